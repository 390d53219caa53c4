"""The real archive, read through the mirror that this machine is configured with."""

import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.command import TEST_CACHE
from support.debian_packages import base_sources, fetching
from support.digests import ANY
from support.programs import needs, needs_mirror

from shipwheel.debian.archive import Archive
from shipwheel.debian.closure import Closure, close_over_libraries
from shipwheel.debian.downloads import load_segments
from shipwheel.debian.mirror import DebianMirror, choose_mirror
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.package_index import DebianPackageIndex
from shipwheel.debian.seed import libc_version, python_version, resolve_seed
from shipwheel.errors import FetchError
from shipwheel.files.elf import ElfObject
from shipwheel.files.segment import Segment
from shipwheel.oci.layer import Layer, LayerSpec, layer_chunks, make_layer
from shipwheel.platform import Platform, host_platform
from shipwheel.store.store import Store
from shipwheel.suites import SUITES, Suite, suite_by_name

pytestmark = [pytest.mark.online, needs_mirror]

MODULES = (
    "ssl sqlite3 lzma bz2 zlib ctypes readline uuid _uuid curses curses.panel zoneinfo hashlib _hashlib decimal dbm dbm.ndbm "
    "multiprocessing.synchronize asyncio xml.parsers.expat venv http.server email pydoc unittest logging.config json pickle mmap"
)
PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import ctypes.util, mimetypes, os, pwd, socket, ssl, zoneinfo
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert ctypes.util.find_library("ssl"), "find_library"
assert pwd.getpwuid(os.getuid()).pw_name == "app"
zoneinfo.ZoneInfo("Asia/Shanghai"), socket.getservbyname("https")
open("/tmp/x", "w").close()
print(sys.version.split()[0], sys.getfilesystemencoding())
"""


class _World:
    def __init__(self) -> None:
        self.mirror: DebianMirror = choose_mirror()
        self.store = Store(TEST_CACHE)

    def index(self, suite: Suite, platform: Platform) -> DebianPackageIndex:
        return Archive(self.mirror, self.store, allow_stale=True).package_index(suite, platform)

    def load(self, packages: Sequence[DebianPackage]) -> list[Segment]:
        return load_segments(packages, fetching(self.mirror, self.store), self.store)

    def close(self, suite: Suite, platform: Platform, *needed: str, extra: Sequence[str] = ()) -> Closure:
        index = self.index(suite, platform)
        wheel = ElfObject("opt/venv/x.so", f"EM_{platform.machine.upper()}", needed=needed)
        others = [Segment("k", "wheel", ANY, 0, 0, {wheel.path: 0}, {}, {}, (wheel,))]
        return close_over_libraries(resolve_seed(index, suite, extra), index, platform, others, self.load)


@pytest.fixture(scope="module")
def world() -> _World:
    return _World()


@pytest.fixture(scope="module")
def bookworm(world: _World) -> DebianPackageIndex:
    return world.index(suite_by_name("bookworm"), Platform("linux", "amd64"))


PAIRS = [(suite, architecture) for suite in SUITES for architecture in ("amd64", "arm64")]
DISMANTLED = ("bullseye", "arm64")
"""Its security index lists packages that mirrors no longer have."""


@pytest.mark.parametrize(("suite", "architecture"), PAIRS, ids=lambda part: getattr(part, "codename", part))
def test_a_base_has_all_its_libraries(world: _World, suite: Suite, architecture: str) -> None:
    platform = Platform("linux", architecture)
    try:
        closure = world.close(suite, platform)
    except FetchError as error:
        assert (suite.codename, architecture) == DISMANTLED, error.message
        _check_package_is_gone(world, suite, platform, error)
        return
    assert closure.unresolved == {}
    version, libc = python_version(closure.packages), libc_version(closure.packages)
    assert version.startswith(f"{suite.python}.")
    assert libc >= (2, 31)
    assert _layer(world, closure, suite, platform).size < 25_000_000


def _check_package_is_gone(world: _World, suite: Suite, platform: Platform, error: FetchError) -> None:
    """Check the error against the mirror, without our code: the newest version is listed, and the file is gone."""
    package = world.index(suite, platform).newest("libc6")
    assert package is not None
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{world.mirror.security}/{package.filename}", timeout=30)
    caught.value.close()
    assert caught.value.code in (404, 410)
    assert "no longer has a package" in error.message
    assert f"libc6_{package.version}.deb" in error.message
    assert "--upgrade-base" in error.hint


@needs("bwrap")
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.codename)
def test_a_base_runs_python(world: _World, tmp_path: Path, suite: Suite) -> None:
    platform = host_platform()
    closure = world.close(suite, platform)
    root = tmp_path / "root"
    _unpack(b"".join(layer_chunks(_layer(world, closure, suite, platform), world.store)), root)
    version = python_version(closure.packages)
    assert _run(root, suite).split() == [version.partition("~")[0], "utf-8"]


def _layer(world: _World, closure: Closure, suite: Suite, platform: Platform) -> Layer:
    return make_layer(LayerSpec("base", base_sources(closure.packages, platform, suite, world.store)), world.store)


def _unpack(data: bytes, root: Path) -> None:
    archive = root.with_suffix(".tar.gz")
    archive.write_bytes(data)
    with tarfile.open(archive) as tar:
        names = [info.name for info in tar]
        assert len(names) == len(set(names))
        tar.extractall(root, filter=lambda info, _path: info)


def _run(root: Path, suite: Suite) -> str:
    split = ("distutils.core", "lib2to3.pytree") if suite.python in ("3.9", "3.11") else ()
    ids = ["--unshare-user", "--uid", "65532", "--gid", "65532"]
    box = ["bwrap", *ids, "--unshare-net", "--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    env = ["--clearenv", "--setenv", "LANG", "C.UTF-8", "--setenv", "PATH", "/usr/bin:/bin"]
    command = ["/usr/bin/python3", "-W", "ignore", "-c", PROGRAM, *MODULES.split(), *split]
    ran = subprocess.run([*box, *env, *command], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_adds_opengl_without_drivers(world: _World) -> None:
    suite, platform = suite_by_name("bookworm"), Platform("linux", "amd64")
    before = {package.name for package in world.close(suite, platform).packages}
    closure = world.close(suite, platform, "libGL.so.1", "libgthread-2.0.so.0")
    added = {package.name for package in closure.packages} - before
    assert {"libgl1", "libglvnd0", "libglx0", "libx11-6", "libxcb1", "libglib2.0-0"} <= added
    assert not [name for name in added if "mesa" in name or "llvm" in name.lower() or "dri" in name]
    assert closure.unresolved == {}


@pytest.mark.parametrize(
    ("soname", "package"),
    [
        ("libGL.so.1", "libgl1"),
        ("libblas.so.3", "libblas3"),
        ("liblapack.so.3", "liblapack3"),
        ("libopenblas.so.0", "libopenblas0-pthread"),
        ("libOpenCL.so.1", "ocl-icd-libopencl1"),
        ("libgomp.so.1", "libgomp1"),
        ("libcrypt.so.1", "libcrypt1"),
        ("libnsl.so.1", "libc6"),
        ("libnsl.so.2", "libnsl2"),
        ("libpq.so.5", "libpq5"),
        ("libodbc.so.2", "libodbc2"),
        ("libmariadb.so.3", "libmariadb3"),
        ("libstdc++.so.6", "libstdc++6"),
        ("libjpeg.so.62", "libjpeg62-turbo"),
        ("libmagic.so.1", "libmagic1"),
        ("libcairo.so.2", "libcairo2"),
        ("libpango-1.0.so.0", "libpango-1.0-0"),
        ("ld-linux-x86-64.so.2", "libc6"),
    ],
)
def test_finds_the_provider(bookworm: DebianPackageIndex, soname: str, package: str) -> None:
    assert bookworm.providers(soname)[0] == package
