"""The imports of the processes of one run, as the observer prints it (runtime/import_log.py).

The image's own interpreter makes this, so every size has a limit.
"""

from typing import Annotated

import msgspec

__all__ = ["ImportRecord", "ImportingProcess", "InstalledPackage", "OneImport", "UnusedModules"]

_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Time = Annotated[int, msgspec.Meta(ge=-(1 << 50), le=1 << 50)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
_Package = Annotated[int, msgspec.Meta(ge=-1, le=100_000)]


class OneImport(msgspec.Struct, frozen=True, array_like=True):
    """The import of a module in a thread, in microseconds after the command's start; at depth 0, the program asked for it.

    `file` is "built-in" or "frozen" for a module in the interpreter, empty for one that failed or has no file. `package` is a number in
    `ImportRecord.packages`, -1 without one.
    """

    thread: int
    depth: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    start: _Time
    end: _Time
    name: _Text
    file: _Text
    package: _Package = -1


class ImportingProcess(msgspec.Struct, frozen=True):
    """An interpreter: the start of a program, or a fork of one. `imports` come after those that they made.

    `began` is when its first line of Python ran, in microseconds after the command's start; `worked` are the microseconds of the processor
    that its process had used by then. `library` is the directory of the standard library.
    """

    pid: int
    parent: int = 0
    forked: bool = False
    began: _Time = 0
    worked: _Time = 0
    command: _Text = ""
    library: _Text = ""
    imports: Annotated[tuple[OneImport, ...], msgspec.Meta(max_length=50_000)] = ()


class InstalledPackage(msgspec.Struct, frozen=True):
    """An installed Python package: bytes of all its files, of its modules with their bytecode, and of those that were imported.

    `used` are the sources of these, relative to the directory that it is installed in.
    """

    name: _Text
    version: _Text = ""
    size: _Size = 0
    code: _Size = 0
    imported: _Size = 0
    modules: _Size = 0
    used: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=100_000)] = ()


class UnusedModules(msgspec.Struct, frozen=True, array_like=True):
    """A directory, or a module, of which nothing was imported, with the number of its modules and the bytes of their files."""

    package: _Package
    path: _Text
    modules: _Size
    size: _Size


class ImportRecord(msgspec.Struct, frozen=True):
    """All that was written down. `unmeasured` are interpreters that ran without writing; `cut` is true if there was more than fits."""

    processes: Annotated[tuple[ImportingProcess, ...], msgspec.Meta(max_length=1000)] = ()
    packages: Annotated[tuple[InstalledPackage, ...], msgspec.Meta(max_length=10_000)] = ()
    unused: Annotated[tuple[UnusedModules, ...], msgspec.Meta(max_length=10_000)] = ()
    unmeasured: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=100)] = ()
    cut: bool = False
