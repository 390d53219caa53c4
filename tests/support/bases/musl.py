"""A CPython for musl, made of what Debian has compiled for glibc. Debian has no binary package of one, and compiling it takes a minute.

On x86-64, both have the same system calls, structures and calling convention. Debian's objects are linked again with what they call and
musl does not have; its shared objects get another libc, which ignores the versions of symbols.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.bases.parts import edit, unpack, write

__all__ = ["MUSL_PACKAGES", "MUSL_TOOLS", "for_musl"]

MUSL_TOOLS = ("ar", "musl-gcc", "objcopy", "patchelf")
"""The additional programs that this needs."""

MUSL_PACKAGES = ("libffi8", "libssl3t64", "libzstd1", "zlib1g")
"""The packages with the libraries that the modules use."""

_MODULES: tuple[str, ...] = ("_asyncio", "_contextvars", "_ctypes", "_hashlib", "_multiprocessing", "_posixshmem", "_queue", "_ssl")
_MODULES += ("_zoneinfo", "mmap", "resource", "termios")
"""Extension modules outside libpython that need none but those libraries."""

_LIBC = "libc.musl-x86_64.so.1"
"""Alpine's name of it."""

MISSING = """
#define _GNU_SOURCE
#include <errno.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* The names of modules for musl. Debian's table is weak. */
const char *_PyImport_DynLoadFiletab[] = {".cpython-313-x86_64-linux-musl.so", ".abi3.so", ".so", NULL};

/* Modules that need what Debian's package does not have. */
void *PyErr_SetString(void *, const char *);
extern void *PyExc_ImportError;
void *PyInit__sha2(void) { PyErr_SetString(PyExc_ImportError, "no _sha2"); return NULL; }
void *PyInit_pyexpat(void) { PyErr_SetString(PyExc_ImportError, "no pyexpat"); return NULL; }

/* Functions of glibc that musl has under another name. What checks a size has it as an argument behind the others, which is ignored. */
#define SAME(ours, theirs) __asm__(".globl " #ours "\\n.type " #ours ", @function\\n" #ours ": jmp " #theirs "@PLT");
SAME(__explicit_bzero_chk, explicit_bzero)
SAME(__isoc23_sscanf, sscanf)
SAME(__isoc23_strtol, strtol)
SAME(__isoc23_strtoul, strtoul)
SAME(__isoc23_wcstol, wcstol)
SAME(__memcpy_chk, memcpy)
SAME(__memmove_chk, memmove)
SAME(__memset_chk, memset)
SAME(__open64_2, open)
SAME(__realpath_chk, realpath)
SAME(__sched_cpufree, free)
SAME(__strcat_chk, strcat)
SAME(__strcpy_chk, strcpy)
SAME(__strncat_chk, strncat)
SAME(__sysconf, sysconf)
SAME(fcntl64, fcntl)
SAME(posix_fallocate64, posix_fallocate)
SAME(preadv64v2, preadv2)
SAME(pwritev64v2, pwritev2)

long __fdelt_chk(long fd) { return fd / (8 * sizeof(long)); }
void *__sched_cpualloc(size_t count) { return malloc((count + 63) / 64 * 8); }
int close_range(unsigned first, unsigned last, int flags) { return syscall(SYS_close_range, first, last, flags); }
void closefrom(int first) { close_range(first, ~0U, 0); }
int posix_spawn_file_actions_addclosefrom_np(void *actions, int first) { return ENOSYS; }

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *end) {
    struct timespec now, until;
    clock_gettime(clock, &now);
    clock_gettime(CLOCK_REALTIME, &until);
    long nanoseconds = until.tv_nsec + end->tv_nsec - now.tv_nsec + 1000000000;
    until.tv_sec += end->tv_sec - now.tv_sec + nanoseconds / 1000000000 - 1;
    until.tv_nsec = nanoseconds % 1000000000;
    return sem_timedwait(semaphore, &until);
}

#define PRINT(call) { va_list list; va_start(list, format); int printed = call; va_end(list); return printed; }
int __printf_chk(int flag, const char *format, ...) PRINT(vprintf(format, list))
int __fprintf_chk(FILE *file, int flag, const char *format, ...) PRINT(vfprintf(file, format, list))
int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...) PRINT(vsnprintf(to, room, format, list))
int __snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...) PRINT(vsnprintf(to, size, format, list))
int __vfprintf_chk(FILE *file, int flag, const char *format, va_list list) { return vfprintf(file, format, list); }
int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, va_list list) {
    return vsnprintf(to, size, format, list);
}
void __syslog_chk(int priority, int flag, const char *format, ...) {
    va_list list; va_start(list, format); vsyslog(priority, format, list); va_end(list);
}

/* OpenSSL's asynchronous jobs, of which Python starts none, need contexts. */
int getcontext(void *context) { return -1; }
int setcontext(const void *context) { return -1; }
int swapcontext(void *old, const void *context) { return -1; }
void makecontext(void *context, void (*function)(void), int count, ...) {}
"""


def for_musl(local: Path, packages: Mapping[str, Path], work: Path) -> None:
    """Turn a CPython that `upstream` laid out, and whose program musl-gcc has compiled, into one for musl, with the libraries it needs."""
    library, home = local / "lib", local / "lib/python3.13"
    _libraries(library, packages, work)
    _libpython(library, packages, work)
    modules = home / "lib-dynload"
    for path in sorted(modules.iterdir()):
        if path.name.partition(".")[0] in _MODULES:
            path.rename(path.with_name(path.name.replace("linux-gnu", "linux-musl")))
        else:
            path.unlink()
    for path in home.glob("_sysconfigdata__linux_*.py"):
        edit(path, ("x86_64-linux-gnu", "x86_64-linux-musl"))
    objects = [*modules.iterdir(), *(path for path in library.glob("*.so.*") if not path.is_symlink()), local / "bin/python3.13"]
    change = ["--replace-needed", "libc.so.6", _LIBC, "--replace-needed", "libc.so", _LIBC]
    change += ["--remove-needed", "libm.so.6", "--remove-needed", "ld-linux-x86-64.so.2"]
    subprocess.run(["patchelf", *change, *objects], check=True)


def _libraries(library: Path, packages: Mapping[str, Path], work: Path) -> None:
    for name in MUSL_PACKAGES:
        for path in unpack(packages[name], work / "libraries" / name).rglob("lib*.so.*"):
            data = path.read_bytes()
            # Certificates are where Alpine has them. A string of another length would move what follows it.
            for end in (b"/ssl\0", b"/ssl/cert.pem\0", b"/ssl/certs\0", b"/ssl/private\0"):
                data = data.replace(b"\0/usr/lib" + end, b"\0/etc" + end + bytes(len("/usr/lib") - len("/etc")))
            (library / path.name).write_bytes(data)


def _libpython(library: Path, packages: Mapping[str, Path], work: Path) -> None:
    """Link Debian's objects with the musl compiler."""
    (objects,) = unpack(packages["libpython3.13-dev"], work / "objects").rglob("libpython3.13-pic.a")
    subprocess.run(["ar", "d", objects, "pyexpat.o", "sha2module.o"], check=True)
    subprocess.run(["objcopy", "--weaken-symbol=_PyImport_DynLoadFiletab", objects], check=True)
    write(work, {"missing.c": MISSING})
    shared = library / "libpython3.13.so.1.0"
    words: list[str | Path] = ["-shared", "-fPIC", "-O1", "-s", "-w", f"-Wl,-soname,{shared.name}", "-o", shared, work / "missing.c"]
    words += ["-Wl,--whole-archive", objects, "-Wl,--no-whole-archive", library / "libz.so.1"]
    subprocess.run(["musl-gcc", *words], check=True)
