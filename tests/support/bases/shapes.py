"""Imitations of public base images, made from Debian packages, because tests do not use public registries.

Each function returns an OCI image layout. A base is made once, in some seconds, and kept in the tests' cache, under a name that changes
with these files.

    cd tests && python -m support.bases.shapes OUT [NAME...]
"""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from support.bases.layout import DOCKER, OCI, Built, Layout, Packed, cached_layout, first_image, pack, unpack_layer
from support.bases.musl import MUSL_PACKAGES, for_musl
from support.bases.parts import (
    Files,
    bootstrapped,
    cpython,
    edit,
    install,
    link,
    packages_of,
    unpack,
    upstream,
    version_of,
    with_pip,
    write,
)

__all__ = ["BASES", "alpine", "conda", "distroless", "official", "official_docker", "pythonless", "ubi", "ubuntu"]

SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CPYTHON_NEEDS: tuple[str, ...] = ("ca-certificates", "libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libncursesw6", "libsqlite3-0")
CPYTHON_NEEDS += ("libssl3", "libuuid1", "netbase", "tzdata", "zlib1g")


def official() -> Path:
    """Like `python:3.13-slim`: Debian's root file system, a CPython built from source in /usr/local, attestations in the image index."""
    return cached_layout("official", lambda layout, work: layout.index(OCI, "3.13-slim", [_official(work)], attested=True))


def official_docker() -> Path:
    """The same image from a mirror that converts: Docker's media types, and still a manifest for no platform in the list."""
    return cached_layout(
        "official_docker", lambda layout, work: layout.index(DOCKER, "3.13-slim", [first_image(official())], attested=True)
    )


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


DISTROLESS: tuple[str, ...] = (
    "base-files",
    "libbz2-1.0",
    "libc6",
    "libcom-err2",
    "libcrypt1",
    "libdb5.3",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "libgomp1",
)
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
    """Like the distroless `python3-debian12`: no shell, no merged /usr, one layer per package, both architectures."""

    def made(layout: Layout, work: Path) -> None:
        layout.index(OCI, "latest", [_distroless(architecture, work / architecture) for architecture in ("amd64", "arm64")])

    return cached_layout("distroless", made)


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
    """Pack a package as a layer, with its description where scanners look for it in images without dpkg."""
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


UBUNTU: tuple[str, ...] = ("libpython3-stdlib", "libpython3.13-minimal", "libpython3.13-stdlib", "media-types", "python3")
UBUNTU += ("python3-minimal", "python3.13", "python3.13-minimal")
"""What `official` lacks of what python3 depends on."""


def ubuntu() -> Path:
    """Like `ubuntu:24.04` with python3: no `python`, an externally managed interpreter, dist-packages, a user 1000."""

    def made(layout: Layout, work: Path) -> None:
        root = unpack_layer(first_image(pythonless()).layers[0], work / "root")
        install(packages_of("trixie", "amd64", work / "debs", *UBUNTU), root)
        names = (
            (r"\bID=debian", "ID=ubuntu\nID_LIKE=debian"),
            (r'VERSION_ID="13"', 'VERSION_ID="24.04"'),
            ("CODENAME=trixie", "CODENAME=noble"),
        )
        edit(
            root / "usr/lib/os-release", *names, ("Debian GNU/Linux 13 [(]trixie[)]", "Ubuntu 24.04.3 LTS"), ("Debian GNU/Linux", "Ubuntu")
        )
        for name, line in (("passwd", "ubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash\n"), ("group", "ubuntu:x:1000:\n")):
            (root / "etc" / name).write_text((root / "etc" / name).read_text() + line)
        labels = {"org.opencontainers.image.ref.name": "ubuntu", "org.opencontainers.image.version": "24.04"}
        config = {"Env": [f"PATH={SBIN}"], "Cmd": ["/bin/bash"], "Labels": labels}
        layout.index(OCI, "24.04", [Built("amd64", [pack(root)], config)])

    return cached_layout("ubuntu", made)


def pythonless() -> Path:
    """Like `debian:trixie-slim`, the first layer of `official`: a base without Python."""

    def made(layout: Layout, work: Path) -> None:
        debian = replace(first_image(official()), config={"Env": [f"PATH={SBIN}"], "Cmd": ["bash"]})
        layout.index(OCI, "trixie-slim", [replace(debian, layers=debian.layers[:1])])

    return cached_layout("pythonless", made)


UBI: tuple[str, ...] = (
    "base-files",
    "bash",
    "coreutils",
    "libacl1",
    "libattr1",
    "libc6",
    "libgcc-s1",
    "libgmp10",
    "libpcre2-8-0",
    "libselinux1",
    "libstdc++6",
)
UBI += ("libtinfo6", *(name for name in CPYTHON_NEEDS if name != "ca-certificates"), "libreadline8")
UBI_ENV: tuple[str, ...] = (
    "APP_ROOT=/opt/app-root",
    "HOME=/opt/app-root/src",
    "PLATFORM=el9",
    "STI_SCRIPTS_PATH=/usr/libexec/s2i",
    "PYTHON_VERSION=3.11",
)
UBI_ENV += ("PYTHONUNBUFFERED=1", "PYTHONIOENCODING=UTF-8", "LC_ALL=C.UTF-8", "LANG=C.UTF-8", "PIP_NO_CACHE_DIR=off", "CNB_USER_ID=1001")


def ubi() -> Path:
    """Like `ubi9/python-311`: libraries in /usr/lib64, site-packages there and in /usr/lib, a virtual environment first on PATH, user 1001.

    Debian's loader does not know /usr/lib64 by itself as Red Hat's does: etc/ld.so.conf names it.
    """
    return cached_layout("ubi", lambda layout, work: layout.index(OCI, "latest", [_ubi(work)]))


def _ubi(work: Path) -> Built:
    packages = packages_of("bookworm", "amd64", work / "debs", *UBI, "ca-certificates", *cpython("3.11"))
    root = work / "root"
    for name in UBI:
        unpack(packages[name], root)
    shutil.rmtree(root / "var/lib/dpkg", ignore_errors=True)
    _lib64(root)
    upstream(packages, "3.11", root / "usr", work, libdir="lib64", place="/usr")
    (root / "usr/bin/python").unlink()
    with_pip(root / "usr/lib/python3.11/site-packages", packages, work)
    release = (
        'NAME="Red Hat Enterprise Linux"\nVERSION="9.4 (Plow)"\nID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\n'
    )
    etc: Files = {
        "usr/lib/os-release": release,
        "etc/redhat-release": "Red Hat Enterprise Linux release 9.4 (Plow)\n",
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\ndefault:x:1001:0:Default Application User:/opt/app-root/src:/sbin/nologin\n",
        "etc/group": "root:x:0:\n",
        "etc/ld.so.conf": "include ld.so.conf.d/*.conf\n/usr/lib64\n",
        "etc/pki/tls/certs/ca-bundle.crt": _certificates(packages["ca-certificates"], work / "certificates"),
        "var/lib/rpm/rpmdb.sqlite": _rpmdb(work / "rpmdb.sqlite"),
        "opt/app-root/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n",
    }
    write(root, etc)
    write(root, {"usr/bin/container-entrypoint": '#!/bin/bash\nexec "$@"\n', "usr/libexec/s2i/usage": "#!/bin/bash\necho usage\n"}, 0o755)
    (root / "opt/app-root/src").mkdir()
    os.chown(root / "opt/app-root/src", 1001, 0)
    links = {
        "opt/app-root/bin/python3.11": "/usr/bin/python3.11",
        "opt/app-root/bin/python": "python3.11",
        "opt/app-root/bin/python3": "python3.11",
    }
    certificates = {"etc/pki/tls/cert.pem": "certs/ca-bundle.crt", "usr/lib/ssl/cert.pem": "/etc/pki/tls/cert.pem"}
    link(root, {**links, **certificates, "etc/os-release": "../usr/lib/os-release"})
    subprocess.run(["ldconfig", "-r", root], check=True)
    config = {
        "Env": [f"PATH=/opt/app-root/src/.local/bin/:/opt/app-root/src/bin:/opt/app-root/bin:{SBIN}", *UBI_ENV],
        "User": "1001",
        "WorkingDir": "/opt/app-root/src",
        "Entrypoint": ["container-entrypoint"],
        "Cmd": ["/bin/sh", "-c", "$STI_SCRIPTS_PATH/usage"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"name": "ubi9/python-311", "vendor": "Red Hat, Inc."},
    }
    return Built("amd64", [pack(root)], config)


def _lib64(root: Path) -> None:
    """Move Debian's libraries to /usr/lib64, and link /bin, /lib, /lib64 and /sbin into /usr."""
    folders = {"lib/x86_64-linux-gnu": "lib64", "usr/lib/x86_64-linux-gnu": "lib64", "lib64": "lib64"}
    for source, target in {**folders, "lib": "lib", "bin": "bin", "sbin": "sbin"}.items():
        place = root / "usr" / target
        place.mkdir(parents=True, exist_ok=True)
        for path in (root / source).iterdir() if (root / source).is_dir() else ():
            if not (place / path.name).exists() and (path.exists() or not path.is_symlink()):
                shutil.move(path, place / path.name)
        shutil.rmtree(root / source, ignore_errors=True)
    link(root, {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin", "usr/bin/sh": "bash"})


def _rpmdb(path: Path) -> bytes:
    """Write an rpm database without packages."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    return path.read_bytes()


CONDA: tuple[str, ...] = (
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libncursesw6",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
)
CONDA += ("libstdc++6", "libtinfo6", "libuuid1", "zlib1g")


def conda() -> Path:
    """Like `continuumio/miniconda3`: a Python first on PATH in /opt/conda, with libraries of its own that it finds by RPATH."""
    return cached_layout("conda", lambda layout, work: layout.index(OCI, "latest", [_conda(work)]))


def _conda(work: Path) -> Built:
    below = first_image(pythonless()).layers
    packages = packages_of("bookworm", "amd64", work / "debs", *CONDA, *cpython("3.11"))
    prefix = work / "conda/opt/conda"
    home = upstream(packages, "3.11", prefix, work, place="/opt/conda")
    with_pip(home / "site-packages", packages, work)
    for name in CONDA:
        tree = unpack(packages[name], work / "own" / name)
        for path in sorted(tree.rglob("*.so.*")):
            if path.parent.name == "x86_64-linux-gnu" and path.suffix != ".py":
                shutil.copy2(path, prefix / "lib" / path.name, follow_symlinks=False)
    for pattern, place in (
        ("lib/*.so*", "$ORIGIN"),
        ("lib/python3.11/lib-dynload/*.so", "$ORIGIN/../.."),
        ("bin/python3.11", "$ORIGIN/../lib"),
    ):
        files = [path for path in prefix.glob(pattern) if not path.is_symlink()]
        subprocess.run(["patchelf", "--force-rpath", "--set-rpath", place, *files], check=True)
    version = version_of(packages["libpython3.11"])
    about = {
        "name": "python",
        "version": version,
        "build": "h0_cpython",
        "build_number": 0,
        "subdir": "linux-64",
        "files": ["bin/python3.11"],
    }
    write(
        prefix, {f"conda-meta/python-{version}-h0_cpython.json": json.dumps(about), "conda-meta/history": "==> 2026-01-01 00:00:00 <==\n"}
    )
    config = {"Env": ["LANG=C.UTF-8", "LC_ALL=C.UTF-8", f"PATH=/opt/conda/bin:{SBIN}"], "Cmd": ["/bin/bash"]}
    return Built("amd64", [*below, pack(work / "conda")], config)


ALPINE = {
    "etc/alpine-release": "3.22.1\n",
    "etc/os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME="Alpine Linux v3.22"\n',
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": "root:x:0:root\nnobody:x:65534:\n",
    "etc/apk/world": "alpine-baselayout\nbusybox\nmusl\n",
    "lib/apk/db/installed": "P:musl\nV:1.2.5-r10\nA:x86_64\nF:lib\nR:ld-musl-x86_64.so.1\nR:libc.musl-x86_64.so.1\n\n"
    "P:busybox\nV:1.37.0-r18\nA:x86_64\nF:bin\nR:busybox\n\n",
}


def alpine() -> Path:
    """Like `python:3.13-alpine`: musl, busybox, no merged /usr, and a CPython for musl in /usr/local."""
    return cached_layout("alpine", lambda layout, work: layout.index(OCI, "3.13-alpine", [_alpine(work)], attested=True))


def _alpine(work: Path) -> Built:
    needed = ("musl", "busybox-static", "ca-certificates", "tzdata", *cpython("3.13"), *MUSL_PACKAGES)
    packages = packages_of("trixie", "amd64", work / "debs", *needed)
    root = write(
        work / "root", {**ALPINE, "etc/ssl/certs/ca-certificates.crt": _certificates(packages["ca-certificates"], work / "certificates")}
    )
    (musl,) = (path for path in unpack(packages["musl"], work / "musl").rglob("*musl/libc.so") if not path.is_symlink())
    shutil.copy2(musl, root / "lib/ld-musl-x86_64.so.1")
    (root / "lib/ld-musl-x86_64.so.1").chmod(0o755)
    (root / "bin").mkdir()
    shutil.copy2(unpack(packages["busybox-static"], work / "busybox") / "usr/bin/busybox", root / "bin/busybox")
    applets = {f"bin/{name}": "/bin/busybox" for name in ("cat", "id", "ls", "sh", "sleep", "uname")}
    link(root, {**applets, "lib/libc.musl-x86_64.so.1": "ld-musl-x86_64.so.1", "etc/ssl/cert.pem": "certs/ca-certificates.crt"})
    for name in ("proc", "sys", "dev", "run", "root", "var/tmp", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    local = work / "python/usr/local"
    home = upstream(packages, "3.13", local, work, place="/usr/local", compiler="musl-gcc")
    for_musl(local, packages, work)
    with_pip(home / "site-packages", packages, work)
    links = link(work / "links", {"usr/local/bin/python3": "python3.13", "usr/local/bin/python": "python3"})
    version = version_of(packages["libpython3.13"])
    env = [f"PATH=/usr/local/bin:{SBIN}", "LANG=C.UTF-8", "GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305"]
    env += [f"PYTHON_VERSION={version}", f"PYTHON_SHA256={'0' * 64}"]
    return Built("amd64", [pack(root), pack(work / "python"), pack(links)], {"Env": env, "Cmd": ["python3"]})


BASES: Mapping[str, Callable[[], Path]] = {
    made.__name__: made for made in (official, official_docker, distroless, ubuntu, pythonless, ubi, conda, alpine)
}
"""Name -> a function that returns the layout."""


def main(out: str, *names: str) -> None:
    """Copy the layouts of these bases, or of all, to a directory and print their names."""
    for name in names or BASES:
        target = Path(out) / name
        shutil.copytree(BASES[name](), target, dirs_exist_ok=True)
        print(f"oci:{target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
