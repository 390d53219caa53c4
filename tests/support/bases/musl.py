"""A CPython for musl, built from Debian's source packages. Debian has no binary package."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from support.bases.parts import link, packages_of, sources_of, unpack, write

__all__ = ["MUSL_TOOLS", "built_for_musl"]

MUSL_TOOLS = ("ar", "make", "musl-gcc", "nm", "patchelf", "xz")
"""The additional programs that the build needs."""

COMPILER = """#!/bin/sh
# musl-gcc hides the kernel's headers with glibc's, and says that it compiles for glibc.
case " $* " in *" --print-multiarch "*) echo x86_64-linux-musl; exit;; esac
exec musl-gcc -idirafter {work}/kernel "$@"
"""
MISSING = """
/* What Debian's OpenSSL, which is for glibc, calls and musl does not have. Python starts no asynchronous jobs, which need contexts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <syslog.h>
long __fdelt_chk(long fd) { return fd / (8 * sizeof(long)); }
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room) { return memcpy(to, from, size); }
void *__memset_chk(void *to, int byte, size_t size, size_t room) { return memset(to, byte, size); }
char *__strcat_chk(char *to, const char *from, size_t room) { return strcat(to, from); }
int __vfprintf_chk(FILE *file, int flag, const char *format, va_list list) { return vfprintf(file, format, list); }
int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
    va_list list; va_start(list, format); int size = vfprintf(file, format, list); va_end(list); return size;
}
int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...) {
    va_list list; va_start(list, format); int size = vsnprintf(to, room, format, list); va_end(list); return size;
}
void __syslog_chk(int priority, int flag, const char *format, ...) {
    va_list list; va_start(list, format); vsyslog(priority, format, list); va_end(list);
}
FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }
int getcontext(void *context) { return -1; }
int setcontext(const void *context) { return -1; }
void makecontext(void *context, void (*function)(void), int count, ...) {}
"""
DISABLED: tuple[str, ...] = ("_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw", "_decimal")
DISABLED += ("_elementtree", "_interpchannels", "_interpqueues", "_interpreters", "_lsprof", "_multibytecodec", "pyexpat")
"""Modules of CPython that take long to compile and that no test needs."""
UNUSED = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo", "__pycache__")


def built_for_musl(tree: Path, work: Path) -> str:
    """Build a CPython with --enable-shared and install it below usr/local of a tree. Return its minor version.

    OpenSSL, zlib and libffi are linked statically.
    """
    sources = sources_of("trixie", work / "sources", "python3.13", "zlib")
    host = Path("/usr/include")
    kernel = {"linux": host / "linux", "asm-generic": host / "asm-generic", "asm": host / "x86_64-linux-gnu/asm"}
    link(work / "kernel", {name: str(place) for name, place in kernel.items()})
    write(work, {"cc": COMPILER.format(work=work)}, 0o755)
    prefix = work / "prefix"
    _run(work, sources / "zlib", "./configure", "--static", f"--prefix={prefix}")
    _run(work, sources / "zlib", "make", "install", "libz.a")
    _made_by_debian(prefix, work)
    _python(sources / "python3.13", prefix, work)
    _install(sources / "python3.13", tree / "usr/local")
    return "3.13"


def _run(work: Path, folder: Path, *command: str) -> None:
    """Run a step of a build with the musl compiler. Raise an error with the end of its output if it fails."""
    compiler = str(work / "cc")
    environment = {**os.environ, "CC": compiler, "CXX": compiler, "CFLAGS": "-O0 -g0 -fPIC -w", "MAKEFLAGS": f"-j{os.cpu_count() or 1}"}
    environment["CONFIG_SITE"] = str(work / "config.site")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def _made_by_debian(prefix: Path, work: Path) -> None:
    """Take static libraries from Debian's packages, with what they miss: compiling OpenSSL takes longer than the rest.

    Debian's zlib is not for shared libraries.
    """
    made, machine = work / "made/usr", "x86_64-linux-gnu"
    for package in packages_of("bookworm", "amd64", work / "packages", "libffi-dev", "libssl-dev").values():
        unpack(package, work / "made")
    for headers in (made / "include/openssl", made / "include" / machine / "openssl"):
        shutil.copytree(headers, prefix / "include/openssl", dirs_exist_ok=True)
    for header in ("ffi.h", "ffitarget.h"):
        shutil.copy2(made / "include" / machine / header, prefix / "include")
    shutil.copy2(made / "lib" / machine / "libffi_pic.a", prefix / "lib/libffi.a")
    for library in ("libcrypto.a", "libssl.a"):
        data = (made / "lib" / machine / library).read_bytes()
        # Certificates are where Alpine has them. A string of another length would move what follows it.
        for path in (b"/ssl\0", b"/ssl/cert.pem\0", b"/ssl/certs\0", b"/ssl/private\0"):
            data = data.replace(b"\0/usr/lib" + path, b"\0/etc" + path + bytes(len("/usr/lib") - len("/etc")))
        (prefix / "lib" / library).write_bytes(data)
    write(work, {"missing.c": MISSING})
    _run(work, work, str(work / "cc"), "-c", "-O0", "-fPIC", "-w", "missing.c")
    _run(work, work, "ar", "r", str(prefix / "lib/libcrypto.a"), "missing.o")


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
    write(work, {"config.site": "".join(f"{name}=yes\n" for name in _answers(source))})
    _run(work, source, "./configure", *options, *places)
    # All that `make` makes, but for a program that tests embedding.
    _run(work, source, "make", "python", "sharedmods")


def _answers(source: Path) -> list[str]:
    """Return the variables of configure for the functions and headers that musl has: it would compile a program for each of them."""
    asked = set(re.findall(r"\bac_cv_(?:func|header)_\w+", (source / "configure").read_text()))
    machine = "x86_64-linux-musl"
    listing = ["nm", "--dynamic", "--defined-only", "--format=just-symbols", f"/usr/lib/{machine}/libc.so"]
    functions = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    include = Path("/usr/include", machine)
    headers = [re.sub(r"\W", "_", str(path.relative_to(include))) for path in include.rglob("*.h")]
    return sorted(asked & {*(f"ac_cv_func_{name}" for name in functions), *(f"ac_cv_header_{name}" for name in headers)})


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
