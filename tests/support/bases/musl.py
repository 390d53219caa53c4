"""A CPython for musl, built from Debian's source packages, which takes about a minute on two cores. Debian has no binary package."""

import os
import shutil
import subprocess
from pathlib import Path

from support.bases.parts import link, sources_of, write

__all__ = ["MUSL_TOOLS", "built_for_musl"]

MUSL_TOOLS = ("make", "musl-gcc", "patchelf", "perl", "xz")
"""The additional programs that the build needs."""

COMPILER = """#!/bin/sh
# musl-gcc hides the kernel's headers with glibc's, and says that it compiles for glibc.
case " $* " in *" --print-multiarch "*) echo x86_64-linux-musl; exit;; esac
exec musl-gcc -idirafter {work}/kernel "$@"
"""
OPENSSL: tuple[str, ...] = (
    "shared",
    "tests",
    "engine",
    "module",
    "legacy",
    "cmp",
    "cms",
    "ts",
    "srp",
    "async",
    "afalgeng",
    "idea",
    "camellia",
    "aria",
    "seed",
)
OPENSSL += ("sm2", "sm4", "bf", "cast", "rc2", "rc4")
"""Parts that Python does not use."""
DISABLED = ("_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw", "_decimal", "_multibytecodec")
"""Modules of CPython that take long to compile and that no test needs."""
UNUSED = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo", "__pycache__")


def built_for_musl(tree: Path, work: Path) -> str:
    """Build a CPython with --enable-shared and install it below usr/local of a tree. Return its minor version.

    OpenSSL, zlib and libffi are linked statically.
    """
    sources_of("bookworm", work / "sources", "libffi", "openssl", "zlib")
    sources = sources_of("trixie", work / "sources", "python3.13")
    host = Path("/usr/include")
    kernel = {"linux": host / "linux", "asm-generic": host / "asm-generic", "asm": host / "x86_64-linux-gnu/asm"}
    link(work / "kernel", {name: str(place) for name, place in kernel.items()})
    write(work, {"cc": COMPILER.format(work=work)}, 0o755)
    prefix = work / "prefix"
    _run(work, sources / "zlib", "./configure", "--static", f"--prefix={prefix}")
    _run(work, sources / "zlib", "make", "install", "libz.a")
    quiet = ("--disable-docs", "--disable-multi-os-directory", "--disable-exec-static-tramp")
    _run(work, sources / "libffi", "./configure", "--disable-shared", "--enable-static", f"--prefix={prefix}", *quiet)
    _run(work, sources / "libffi", "make", "install")
    where = (f"--prefix={prefix}", "--openssldir=/etc/ssl", "--libdir=lib")
    _run(work, sources / "openssl", "./Configure", "linux-x86_64", *where, *(f"no-{part}" for part in OPENSSL), "-O0", "-fPIC", "-w")
    _run(work, sources / "openssl", "make", "build_libs")
    shutil.copytree(sources / "openssl/include/openssl", prefix / "include/openssl")
    for library in ("libcrypto.a", "libssl.a"):
        shutil.copy2(sources / "openssl" / library, prefix / "lib")
    _python(sources / "python3.13", prefix, work)
    _install(sources / "python3.13", tree / "usr/local")
    return "3.13"


def _run(work: Path, folder: Path, *command: str) -> None:
    """Run a step of a build with the musl compiler. Raise an error with the end of its output if it fails."""
    compiler = str(work / "cc")
    environment = {**os.environ, "CC": compiler, "CXX": compiler, "CFLAGS": "-O0 -g0 -fPIC -w", "MAKEFLAGS": f"-j{os.cpu_count() or 1}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def _python(source: Path, prefix: Path, work: Path) -> None:
    options: tuple[str, ...] = (
        "--prefix=/usr/local",
        "--enable-shared",
        "--without-ensurepip",
        "--disable-test-modules",
        "--with-pkg-config=no",
    )
    include, library = f"-I{prefix}/include", f"-L{prefix}/lib"
    places = [f"CPPFLAGS={include}", f"LDFLAGS={library}", f"--with-openssl={prefix}", "--with-readline=no"]
    for name, flag in (("ZLIB", "-lz"), ("LIBFFI", "-lffi")):
        places += [f"{name}_CFLAGS={include}", f"{name}_LIBS={library} {flag}"]
    options += tuple(f"py_cv_module_{name}=n/a" for name in DISABLED)
    _run(work, source, "./configure", *options, *places)
    _run(work, source, "make")


def _install(source: Path, local: Path) -> None:
    """Install like `make install`, without bytecode, and name libc as Alpine does."""
    home = local / "lib/python3.13"
    shutil.copytree(source / "Lib", home, ignore=shutil.ignore_patterns(*UNUSED))
    made = source / (source / "pybuilddir.txt").read_text().strip()
    for path in made.glob("_sysconfigdata*.py"):
        shutil.copy2(path, home)
    (home / "lib-dynload").mkdir()
    modules = [Path(shutil.copy2(path, home / "lib-dynload")) for path in sorted(made.glob("*.so"))]
    (home / "site-packages").mkdir(exist_ok=True)
    (local / "bin").mkdir()
    shutil.copy2(source / "python", local / "bin/python3.13")
    shutil.copy2(source / "libpython3.13.so.1.0", local / "lib")
    link(local / "lib", {"libpython3.13.so": "libpython3.13.so.1.0"})
    objects = [*modules, local / "bin/python3.13", local / "lib/libpython3.13.so.1.0"]
    subprocess.run(["strip", *objects], check=True)
    subprocess.run(["patchelf", "--replace-needed", "libc.so", "libc.musl-x86_64.so.1", *objects], check=True)
