"""Bases of the shapes that public registries have, made from Debian's packages, since tests reach no registry.

Each function returns an OCI image layout. They share no code with what they test: mmdebstrap and dpkg-deb unpack, tar packs, and the few
documents are written here. A base is made once and kept in the tests' cache, under a name that changes with this file.

    python -m tests.engines.bases OUT [NAME...]
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipwheel.debian.mirror import choose_mirror

__all__ = ["BASES", "TOOLS", "distroless", "official", "official_docker"]

ROOT = Path(__file__).parents[2]
TOOLS = ("dpkg-deb", "gcc", "ldconfig", "mmdebstrap", "patchelf", "tar")
"""The programs that making the bases takes."""

CREATED = "2026-01-01T00:00:00Z"
SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OCI = {
    "index": "application/vnd.oci.image.index.v1+json",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}
DOCKER = {
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}

Files = Mapping[str, str | bytes]
Document = dict[str, Any]


# --- layouts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Packed:
    """A layer: its compressed bytes, and the digest of the tar in them."""

    data: bytes
    diff_id: str


@dataclass(frozen=True)
class Built:
    """An image for one architecture: its layers, and the config of its containers."""

    architecture: str
    layers: Sequence[Packed]
    config: Document


@dataclass
class Layout:
    """An OCI image layout that is being written."""

    path: Path
    entries: list[Document] = field(default_factory=list)

    def blob(self, media_type: str, data: bytes, **more: Any) -> Document:
        """Writes a blob; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        place = self.path / "blobs" / "sha256" / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def document(self, media_type: str, value: Document, **more: Any) -> Document:
        """Writes a document; its descriptor."""
        return self.blob(media_type, json.dumps(value).encode(), **more)

    def image(self, types: Mapping[str, str], image: Built) -> Document:
        """Writes an image; the descriptor that an image index has of it."""
        config = {
            "architecture": image.architecture,
            "os": "linux",
            "created": CREATED,
            "config": image.config,
            "history": [{"created": CREATED, "created_by": f"layer {number}"} for number in range(len(image.layers))]
            + [{"created": CREATED, "created_by": "CMD", "empty_layer": True}],
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in image.layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": types["manifest"],
            "config": self.document(types["config"], config),
            "layers": [self.blob(types["layer"], layer.data) for layer in image.layers],
        }
        return self.document(types["manifest"], manifest, platform={"architecture": image.architecture, "os": "linux"})

    def attestation(self, of: Document) -> Document:
        """Writes what BuildKit adds to an image index for each image: a manifest for no platform, whose layer is a statement."""
        statement = {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://spdx.dev/Document",
            "subject": [],
            "predicate": {},
        }
        layer = self.document(
            "application/vnd.in-toto+json", statement, annotations={"in-toto.io/predicate-type": "https://spdx.dev/Document"}
        )
        config = {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI["manifest"],
            "config": self.document(OCI["config"], config),
            "layers": [layer],
        }
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"]}
        return self.document(OCI["manifest"], manifest, platform={"architecture": "unknown", "os": "unknown"}, annotations=notes)

    def index(self, types: Mapping[str, str], tag: str, images: Sequence[Built], *, attested: bool = False) -> None:
        """Writes an image index and its entry in index.json, and the layout's other files."""
        found = [self.image(types, image) for image in images]
        found += [self.attestation(one) for one in found] if attested else []
        top = self.document(types["index"], {"schemaVersion": 2, "mediaType": types["index"], "manifests": found})
        self.entries.append({**top, "annotations": {"org.opencontainers.image.ref.name": tag}})
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": OCI["index"], "manifests": self.entries}))


def pack(tree: Path) -> Packed:
    """A directory as a layer, with names as docker writes them: `usr/bin/tar`, not `./usr/bin/tar`."""
    names = sorted(path.name for path in tree.iterdir())
    options = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=pax", "--pax-option=delete=atime,delete=ctime"]
    plain = subprocess.run(["tar", *options, "-C", tree, "-cf", "-", "--", *names], stdout=subprocess.PIPE, check=True).stdout
    return Packed(gzip.compress(plain, compresslevel=1, mtime=0), f"sha256:{hashlib.sha256(plain).hexdigest()}")


def kept(name: str, make: Callable[[Layout, Path], None]) -> Path:
    """The layout of that name in the tests' cache; made if it is not there, by a function that is given a folder to work in."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("SHIPWHEEL_TEST_CACHE", ROOT / ".work" / "test-cache")) / "bases" / version
    place = cache / name
    if not place.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="shipwheel-base-") as work, tempfile.TemporaryDirectory(dir=cache) as written:
            layout = Layout(Path(written) / "layout")
            make(layout, Path(work))
            if not place.is_dir():
                layout.path.rename(place)
    return place


# --- Debian's packages --------------------------------------------------------------------------------------------


def mmdebstrap(suite: str, *options: str) -> None:
    """Runs it on the mirror that this machine uses."""
    mirror = choose_mirror()
    lines = [
        f"deb {mirror.debian} {suite} main",
        f"deb {mirror.debian} {suite}-updates main",
        f"deb {mirror.security} {suite}-security main",
    ]
    done = subprocess.run(["mmdebstrap", "--quiet", *options, *lines], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def bootstrapped(suite: str, tree: Path, *packages: str) -> Path:
    """A root as Debian's own image has it, made by dpkg and apt with the packages' scripts run; for this machine's architecture."""
    mmdebstrap(suite, "--variant=minbase", f"--include={','.join(packages)}", suite, str(tree))
    shutil.rmtree(tree / "dev")
    (tree / "dev").mkdir()
    tree.chmod(0o755)
    return tree


def packages_of(suite: str, architecture: str, folder: Path, *packages: str) -> dict[str, Path]:
    """The packages' newest files by their names, without what they depend on."""
    folder.mkdir()
    hook = f'cd "{folder}" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --quiet download {" ".join(packages)}'
    empty = ["--variant=custom", "--skip=download/empty,check/qemu", f"--customize-hook={hook}", f"--architectures={architecture}"]
    mmdebstrap(suite, *empty, suite, str(folder / "root.tar"))
    (folder / "root.tar").unlink()
    return {path.name.partition("_")[0]: path for path in sorted(folder.glob("*.deb"))}


def unpack(package: Path, tree: Path) -> Path:
    """Unpacks a package over a tree, without its manual pages and documentation except the licence."""
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
    """Writes files into a tree."""
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
    return tree


def link(tree: Path, links: Mapping[str, str]) -> Path:
    """Makes symbolic links in a tree."""
    for name, target in links.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    return tree


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Changes a text by regular expressions, each of which must match."""
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
    status = PyConfig_SetBytesString(&config, &config.platlibdir, PLATLIBDIR);
    if (!PyStatus_Exception(status)) status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    return Py_RunMain();
}
"""
"""What Programs/python.c of a shared CPython is, with the name of the library directory that it was configured with."""


def cpython(minor: str) -> tuple[str, ...]:
    """The packages that `upstream` and `with_pip` take."""
    return tuple(f"libpython{minor}{part}" for part in ("", "-minimal", "-stdlib", "-dev")) + ("python3-pip-whl",)


def upstream(packages: Mapping[str, Path], minor: str, prefix: Path, work: Path, libdir: str = "lib", place: str = "") -> Path:
    """Lays Debian's CPython out as `./configure --enable-shared --prefix=… && make install` does: a program, libpython, a library.

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
    subprocess.run(["gcc", *flags, "-o", prefix / f"bin/python{minor}", work / "python.c", library / shared], check=True)
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
    """Installs pip, which every such image has in its own site-packages."""
    wheels = unpack(packages["python3-pip-whl"], work / "pip") / "usr/share/python-wheels"
    (wheel,) = wheels.glob("pip-*.whl")
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as opened:
        opened.extractall(site_packages)


def version_of(package: Path) -> str:
    """The version of a package without Debian's part: 3.13.5."""
    shown = subprocess.run(["dpkg-deb", "--field", package, "Version"], capture_output=True, text=True, check=True).stdout
    return re.split(r"[-+~]", shown.strip())[0]


# --- the shapes ---------------------------------------------------------------------------------------------------

CPYTHON_NEEDS = ("ca-certificates", "libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libncursesw6", "libsqlite3-0", "libssl3", "libuuid1")
CPYTHON_NEEDS += ("netbase", "tzdata", "zlib1g")


def official() -> Path:
    """As `python:3.13-slim`: Debian's root below, a CPython built from source in /usr/local, attestations in the image index."""
    return kept("official", lambda layout, work: layout.index(OCI, "3.13-slim", [_official(work)], attested=True))


def official_docker() -> Path:
    """The same image as a mirror that converts has it: Docker's media types, and still a manifest for no platform in the list."""
    return kept("official_docker", lambda layout, work: layout.index(DOCKER, "3.13-slim", [_official(work)], attested=True))


def _official(work: Path) -> Built:
    needs = [
        "libreadline8t64" if name == "libreadline8" else name.replace("libssl3", "libssl3t64") for name in (*CPYTHON_NEEDS, "libreadline8")
    ]
    root = bootstrapped("trixie", work / "root", *needs)
    below = pack(root)
    packages = packages_of("trixie", "amd64", work / "debs", *cpython("3.13"))
    ours = work / "python"
    home = upstream(packages, "3.13", ours / "usr/local", work, place="/usr/local")
    with_pip(home / "site-packages", packages, work)
    links = link(work / "links", {"usr/local/bin/python3": "python3.13", "usr/local/bin/python": "python3"})
    for name in ("python3", "python"):
        (ours / "usr/local/bin" / name).unlink()
    shutil.copytree(ours, root, symlinks=True, dirs_exist_ok=True)
    subprocess.run(["ldconfig", "-r", root], check=True)
    (ours / "etc").mkdir()
    shutil.copy2(root / "etc/ld.so.cache", ours / "etc/ld.so.cache")
    version = version_of(packages["libpython3.13"])
    env = [f"PATH=/usr/local/bin:{SBIN}", "LANG=C.UTF-8", "GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305"]
    env += [f"PYTHON_VERSION={version}", f"PYTHON_SHA256={'0' * 64}"]
    return Built("amd64", [below, pack(ours), pack(links)], {"Env": env, "Cmd": ["python3"]})


DISTROLESS = ("base-files", "libbz2-1.0", "libc6", "libcom-err2", "libcrypt1", "libdb5.3", "libexpat1", "libffi8", "libgcc-s1", "libgomp1")
DISTROLESS += (
    "liblzma5",
    "libncursesw6",
    "libnsl2",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
)
DISTROLESS += ("libgssapi-krb5-2", "libk5crypto3", "libkeyutils1", "libkrb5-3", "libkrb5support0", "libtirpc3", "libtirpc-common")
DISTROLESS += ("libstdc++6", "libtinfo6", "libuuid1", "media-types", "netbase", "python3.11-minimal", "tzdata", "zlib1g")


def distroless() -> Path:
    """As gcr.io's `python3-debian12`, without a shell and without a merged /usr: a layer a package, both architectures."""

    def made(layout: Layout, work: Path) -> None:
        layout.index(OCI, "latest", [_distroless(architecture, work / architecture) for architecture in ("amd64", "arm64")])

    return kept("distroless", made)


def _distroless(architecture: str, work: Path) -> Built:
    work.mkdir()
    packages = packages_of("bookworm", architecture, work / "debs", *DISTROLESS, "ca-certificates")
    layers = [_one_package(name, packages[name], work / name) for name in DISTROLESS]
    etc = {
        "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
        "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
        "etc/group": "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n",
        "etc/nsswitch.conf": "passwd: files\nhosts: files dns\n",
        "etc/ssl/certs/ca-certificates.crt": _certificates(packages["ca-certificates"], work / "certificates"),
    }
    own = link(write(work / "own", etc), {"usr/bin/python": "/usr/bin/python3.11", "usr/bin/python3": "/usr/bin/python3.11"})
    for name, mode in (("tmp", 0o1777), ("home/nonroot", 0o700), ("root", 0o700)):
        (own / name).mkdir(parents=True)
        (own / name).chmod(mode)
    os.chown(own / "home/nonroot", 65532, 65532)
    env = [f"PATH={SBIN}", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "LANG=C.UTF-8"]
    config = {"Env": env, "User": "0", "WorkingDir": "/", "Entrypoint": ["/usr/bin/python3.11"]}
    return Built(architecture, [*layers, pack(own)], config)


def _one_package(name: str, package: Path, tree: Path) -> Packed:
    """A package as a layer, with its description where scanners look for it when there is no dpkg."""
    unpack(package, tree)
    fields = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, check=True).stdout
    write(tree, {f"var/lib/dpkg/status.d/{name}": fields})
    if name == "base-files":
        release = {
            "PRETTY_NAME": "Distroless",
            "NAME": "Debian GNU/Linux",
            "ID": "debian",
            "VERSION_ID": "12",
            "VERSION": "Debian 12 (bookworm)",
        }
        write(tree, {"usr/lib/os-release": "".join(f'{key}="{value}"\n' for key, value in release.items())})
    return pack(tree)


def _certificates(package: Path, tree: Path) -> str:
    found = sorted((unpack(package, tree) / "usr/share/ca-certificates").rglob("*.crt"))
    return "".join(path.read_text() for path in found)


BASES: Mapping[str, Callable[[], Path]] = {made.__name__: made for made in (official, official_docker, distroless)}
"""The bases by name."""


def main(out: str, *names: str) -> None:
    """Copies the layouts of these bases, or of all, to a folder and says what they are."""
    for name in names or BASES:
        place = Path(out) / name
        shutil.copytree(BASES[name](), place, dirs_exist_ok=True)
        print(f"oci:{place}")


if __name__ == "__main__":
    main(*sys.argv[1:])
