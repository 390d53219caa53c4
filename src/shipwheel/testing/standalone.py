"""Archives like those of python-build-standalone, from invented files or from an installed CPython."""

import gzip
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from shipwheel.platform import Platform
from shipwheel.testing.debian import make_tar, shared_object

__all__ = ["installed_files", "invented_files", "make_standalone", "standalone_name"]


def standalone_name(version: str, release: str = "20240101", architecture: str = "amd64", *, stripped: bool = True) -> str:
    """Return the file name of a build. No real build has this release date."""
    kind = "install_only_stripped" if stripped else "install_only"
    return f"cpython-{version}+{release}-{Platform('linux', architecture).machine}-unknown-linux-gnu-{kind}.tar.gz"


def make_standalone(files: Mapping[str, bytes | str], *, members: Sequence[tuple[tarfile.TarInfo, bytes]] = ()) -> bytes:
    """Return an install_only archive of files below `python/`. A `str` is the target of a symbolic link; `members` are added unchecked."""
    made = [_member(path, content) for path, content in files.items()]
    return gzip.compress(make_tar([*made, *members]), compresslevel=1, mtime=0)


def _member(path: str, content: bytes | str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(f"python/{path}")
    info.mode = 0o755 if path.startswith("bin/") or ".so" in path else 0o644
    if isinstance(content, bytes):
        return info, content
    info.type, info.linkname = tarfile.SYMTYPE, content
    return info, b""


def invented_files(minor: str, architecture: str = "amd64", *, needed: Sequence[str] = ()) -> dict[str, bytes | str]:
    """Return the files of such an archive that matter, with an interpreter that contains no code and needs the libraries `needed`."""
    library = f"libpython{minor}.so.1.0"
    home = f"lib/python{minor}"
    return {
        f"bin/python{minor}": shared_object(needed=[library, *needed], runpath="$ORIGIN/../lib", architecture=architecture),
        "bin/python3": f"python{minor}",
        "bin/python": f"python{minor}",
        "bin/pip3": b"#!/bin/sh\n",
        "bin/idle3": f"idle{minor}",
        f"include/python{minor}/Python.h": b"/* */\n",
        f"lib/{library}": shared_object(library, architecture=architecture),
        f"lib/libpython{minor}.so": library,
        f"lib/libpython{minor}.a": b"!<arch>\n",
        "lib/tcl8.6/init.tcl": b"# Tcl\n",
        "lib/libtcl8.6.so": shared_object("libtcl8.6.so", architecture=architecture),
        f"{home}/os.py": b"NAMES = {'a', 'b', None, 3.5}\n",
        f"{home}/encodings/__init__.py": b"import os\n",
        f"{home}/__pycache__/os.cpython-{minor.replace('.', '')}.pyc": b"old",
        f"{home}/LICENSE.txt": b"yours\n",
        f"{home}/test/__init__.py": b"",
        f"{home}/tkinter/__init__.py": b"import _tkinter\n",
        f"{home}/lib-dynload/_tkinter.cpython.so": shared_object(needed=["libtcl8.6.so"], architecture=architecture),
        f"{home}/lib-dynload/_ssl.cpython.so": shared_object(architecture=architecture),
        f"{home}/site-packages/pip/__init__.py": b"",
        "share/man/man1/python3.1": b".TH\n",
    }


def installed_files(prefix: Path) -> dict[str, bytes | str]:
    """Return the files of an installed CPython, without its tests, and with a run path relative to the interpreter."""
    found: dict[str, bytes | str] = {}
    run_path = f"{prefix}/lib".encode() + b"\0"
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if "/test/" in name or "/__pycache__/" in name:
            continue
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
            found[name] = content.replace(run_path, b"$ORIGIN/../lib".ljust(len(run_path), b"\0")) if content[:4] == b"\x7fELF" else content
    return found
