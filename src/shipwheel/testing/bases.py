"""Small base images with a C library and an interpreter that contain version numbers but no code."""

import struct
from collections.abc import Mapping, Sequence

from shipwheel.files.entry import FileEntry, directory, file, symlink
from shipwheel.oci.image import Image
from shipwheel.oci.model import ContainerConfig
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.debian import shared_object
from shipwheel.testing.images import AMD64, small_image, small_layer
from shipwheel.versions import minor_version

__all__ = ["interpreter", "python_base", "python_files"]

_LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}


def interpreter(version: str, architecture: str = "amd64", loader: str = "") -> bytes:
    """Return an ELF program that names a loader and contains the version of a Python."""
    body = shared_object(needed=["libc.so.6"], architecture=architecture)
    # A third program header would move everything. The table is therefore copied behind the file, and PT_INTERP is added there.
    path = (loader or f"/lib64/{_LOADERS[architecture]}").encode() + b"\0"
    start, number = struct.unpack_from("<Q", body, 32)[0], struct.unpack_from("<H", body, 56)[0]
    size = struct.unpack_from("<H", body, 54)[0]
    table = body[start : start + number * size]
    at = len(body) + (number + 1) * size
    interp = struct.pack("<IIQQQQQQ", 3, 4, at, at, at, len(path), len(path), 1)
    moved = bytearray(body)
    struct.pack_into("<Q", moved, 32, len(body))
    struct.pack_into("<H", moved, 56, number + 1)
    return bytes(moved) + table + interp + path + b"\0" + version.encode() + b"\0"


def python_files(
    version: str = "3.12.4",
    prefix: str = "usr/local",
    platform: Platform = AMD64,
    libc: str = "2.36",
    musl: bool = False,
    codename: str = "bookworm",
) -> list[FileEntry]:
    """Return the files of a Debian-like root with a Python below a prefix; with `musl`, of an Alpine-like one."""
    minor = minor_version(version)
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[platform.architecture]
    if musl:
        loader = f"lib/ld-musl-{machine}.so.1"
        library = shared_object(f"libc.musl-{machine}.so.1", architecture=platform.architecture) + b"\0" + libc.encode() + b"\0"
        c_library = [file(loader, library, 0o755)]
        release = "ID=alpine\nVERSION_ID=3.20.1\n"
    else:
        loader = f"lib64/{_LOADERS[platform.architecture]}"
        banner = f"GNU C Library (Debian GLIBC {libc}-9) stable release version {libc}.\n".encode()
        library = shared_object("libc.so.6", architecture=platform.architecture) + banner
        c_library = [file(f"usr/lib/{platform.multiarch}/libc.so.6", library, 0o755), file(loader, library, 0o755)]
        release = f"ID=debian\nVERSION_CODENAME={codename}\n"
    return [
        *c_library,
        file("etc/os-release", release),
        file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nworker:x:1001:1002::/home/worker:/bin/sh\n"),
        file("etc/group", "root:x:0:\nstaff:x:50:\n"),
        file("etc/ssl/certs/ca-certificates.crt", "AAA\n"),
        directory("tmp", 0o1777),
        file(f"{prefix}/bin/python{minor}", interpreter(version, platform.architecture, f"/{loader}"), 0o755),
        symlink(f"{prefix}/bin/python3", f"python{minor}"),
        symlink(f"{prefix}/bin/python", "python3"),
        file(f"{prefix}/lib/python{minor}/os.py", "name = 'posix'\n"),
    ]


def python_base(
    store: Store,
    platform: Platform = AMD64,
    files: Sequence[FileEntry] | None = None,
    env: Mapping[str, str] | None = None,
    **config: object,
) -> Image:
    """Make an image of these files, by default of those that the official Python image has."""
    path = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/bin", "PYTHON_VERSION": "3.12.4"} if env is None else env
    entries = tuple(f"{name}={value}" for name, value in path.items())
    layer = small_layer(store, list(files if files is not None else python_files(platform=platform)), "base")
    return small_image(store, platform, [layer], ContainerConfig(env=entries, cmd=("python3",), **config))  # type: ignore[arg-type]
