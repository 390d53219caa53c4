"""The parts of base images: root file systems of Debian packages, and a CPython in the upstream directory layout instead of Debian's."""

import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.mirror import choose_mirror
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from support.command import TEST_CACHE
from support.real_archive import real_archive

__all__ = [
    "TOOLS",
    "Files",
    "bootstrapped",
    "cpython",
    "edit",
    "install",
    "link",
    "packages_of",
    "unpack",
    "upstream",
    "version_of",
    "with_pip",
    "write",
]

TOOLS = ("dpkg-deb", "gcc", "ldconfig", "mmdebstrap", "patchelf", "tar")
"""The programs that building the bases needs."""

Files = Mapping[str, str | bytes]


# --- Debian's packages --------------------------------------------------------------------------------------------


def _sources(suite: str) -> list[str]:
    mirror = choose_mirror()
    return [
        f"deb {mirror.debian} {suite} main",
        f"deb {mirror.debian} {suite}-updates main",
        f"deb {mirror.security} {suite}-security main",
    ]


def bootstrapped(suite: str, tree: Path, *packages: str) -> Path:
    """Make a root file system like that of Debian's own image, with apt and dpkg, for this machine's architecture."""
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", suite, str(tree), *_sources(suite)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tree / "dev")
    (tree / "dev").mkdir()
    tree.chmod(0o755)
    return tree


def install(packages: Mapping[str, Path], tree: Path) -> None:
    """Install packages into a root file system with dpkg, which finds the order of their configuration."""
    command = ["dpkg", "--force-depends", "--force-unsafe-io", f"--root={tree}", "--install", *map(str, packages.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Scripts wrote to it, without a device.
    (tree / "dev/null").unlink(missing_ok=True)


def packages_of(suite: str, architecture: str, folder: Path, *packages: str) -> dict[str, Path]:
    """Download the newest files of packages, without their dependencies. Return name -> file.

    The archive's lists are read as builds read them, which have mostly stored them in the tests' cache: apt would take seconds for each.
    """
    store, archive = Store(TEST_CACHE), real_archive()
    index = archive.package_index(suite_by_name(suite), Platform("linux", architecture))
    found = [package for name in packages if (package := index.newest(name))]
    fetch_packages([package for package in found if not store.has(package.digest)], archive.choose_mirror(), store)
    folder.mkdir()
    files = {package.name: folder / f"{package.name}.deb" for package in found}
    for package in found:
        shutil.copyfile(store.path(package.digest), files[package.name])
    return files


def unpack(package: Path, tree: Path) -> Path:
    """Unpack a package into a tree, without manual pages and without documentation except the licence."""
    tree.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "--extract", package, tree], check=True)
    tree.chmod(0o755)
    for place in ("usr/share/man", "usr/share/lintian", "usr/share/bug", "usr/share/info"):
        shutil.rmtree(tree / place, ignore_errors=True)
    for path in (tree / "usr/share/doc").glob("*/*"):
        if path.name != "copyright" and path.is_file():
            path.unlink()
    return tree


def write(tree: Path, files: Files, mode: int = 0o644) -> Path:
    """Write files into a tree."""
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
    return tree


def link(tree: Path, links: Mapping[str, str]) -> Path:
    """Make symbolic links in a tree."""
    for name, target in links.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    return tree


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Edit a file with regular expressions, each of which must match."""
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, flags=re.DOTALL)
        assert count, f"{pattern} is not in {path}"
    path.write_text(text)


# --- a CPython that is not Debian's -------------------------------------------------------------------------------

PROGRAM = """
#include <Python.h>
int main(int argc, char **argv) {
    PyStatus status;
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.use_frozen_modules = 0;
    status = PyConfig_SetBytesString(&config, &config.platlibdir, PLATLIBDIR);
    if (!PyStatus_Exception(status)) status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    return Py_RunMain();
}
"""
"""Programs/python.c of a shared CPython, with the name of the library directory that it was configured with.

The library has Debian's `site` frozen in, which knows dist-packages alone: it is told to read the file.
"""


def cpython(minor: str) -> tuple[str, ...]:
    """Return the packages that `upstream` and `with_pip` need."""
    return (*(f"libpython{minor}{part}" for part in ("", "-minimal", "-stdlib", "-dev")), "python3-pip-whl")


def upstream(
    packages: Mapping[str, Path], minor: str, prefix: Path, work: Path, libdir: str = "lib", place: str = "", compiler: str = "gcc"
) -> Path:
    """Lay Debian's CPython out like `./configure --enable-shared --prefix=… && make install`: a program, libpython, a library.

    What Debian changed in it is taken back: dist-packages, its installation schemes, the mark of an external manager.
    """
    debian = work / f"debian-{minor}-{libdir}"
    for name in (f"libpython{minor}-minimal", f"libpython{minor}-stdlib", f"libpython{minor}", f"libpython{minor}-dev"):
        unpack(packages[name], debian)
    library, home = prefix / libdir, prefix / libdir / f"python{minor}"
    library.mkdir(parents=True, exist_ok=True)
    (debian / f"usr/lib/python{minor}").rename(home)
    shutil.rmtree(home / f"config-{minor}-x86_64-linux-gnu", ignore_errors=True)
    (home / "EXTERNALLY-MANAGED").unlink(missing_ok=True)
    shared = f"libpython{minor}.so.1.0"
    shutil.copy2(debian / "usr/lib/x86_64-linux-gnu" / shared, library / shared)
    link(library, {f"libpython{minor}.so": shared})
    _undo_debian(home, minor, place or f"/{prefix.name}")
    (work / "python.c").write_text(PROGRAM)
    (prefix / "bin").mkdir(exist_ok=True)
    include = debian / "usr/include"
    flags = [f"-I{include}", f"-I{include}/python{minor}", f'-DPLATLIBDIR="{libdir}"', "-O1", "-s", "-Wl,--allow-shlib-undefined"]
    subprocess.run([compiler, *flags, "-o", prefix / f"bin/python{minor}", work / "python.c", library / shared], check=True)
    link(prefix / "bin", {"python3": f"python{minor}", "python": "python3"})
    return home


def _undo_debian(home: Path, minor: str, place: str) -> None:
    edit(
        home / "site.py",
        (r" +if is_virtual_environment:\n.*?# this one is deprecated for Debian\n", ""),
        ('"dist-packages"', '"site-packages"'),
    )
    schemes = home / "sysconfig.py"
    edit(
        schemes if schemes.exists() else home / "sysconfig/__init__.py", ("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'")
    )
    for data in home.glob("_sysconfigdata_*.py"):
        if not data.is_symlink():
            edit(data, (r"'/usr(?=['/])", f"'{place}"))
    (home / "site-packages").mkdir(exist_ok=True)


def with_pip(site_packages: Path, packages: Mapping[str, Path], work: Path) -> None:
    """Install pip into site-packages, where public images have it."""
    wheels = unpack(packages["python3-pip-whl"], work / "pip") / "usr/share/python-wheels"
    (wheel,) = wheels.glob("pip-*.whl")
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as opened:
        opened.extractall(site_packages)


def version_of(package: Path) -> str:
    """Return the upstream version of a package, for example 3.13.5."""
    shown = subprocess.run(["dpkg-deb", "--field", package, "Version"], capture_output=True, text=True, check=True).stdout
    return re.split(r"[-+~]", shown.strip())[0]
