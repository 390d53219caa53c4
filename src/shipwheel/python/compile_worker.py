"""Compiles modules in the target's interpreter. Runs on Python 3.9 and newer, with the standard library alone, as its own process.

Request: the number of sources, then path and source of each; answer: for each the .pyc file, empty for what does not compile.
Every number is four bytes, little-endian; every string follows its length. First of all it says its own version.
"""

import importlib.util
import marshal
import struct
import sys
import types
from collections.abc import Iterable

READ, WRITE = sys.stdin.buffer, sys.stdout.buffer
# PEP 552: bit 0 says that the file is checked by hash, bit 1 that it is checked at all.
UNCHECKED_HASH = struct.pack("<I", 1)


def take() -> bytes:
    return READ.read(struct.unpack("<I", READ.read(4))[0])


def give(data: bytes) -> None:
    WRITE.write(struct.pack("<I", len(data)))
    WRITE.write(data)


def hold(code: types.CodeType, held: list[object]) -> None:
    """Holds one reference more to everything below a code object.

    marshal marks an object for reuse only if somebody else refers to it as well, so that its output depends on what happens
    to live in the process. Referred to from here, everything is marked, always.
    """
    held.append(code)
    for value in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
        held.append(value)
        held.extend(value)
    held.extend((code.co_name, code.co_filename, getattr(code, "co_qualname", None)))
    held.append(getattr(code, "co_linetable", None))
    held.append(getattr(code, "co_exceptiontable", None))
    constants(code.co_consts, held)


def constants(values: Iterable[object], held: list[object]) -> None:
    held.append(values)
    for value in values:
        held.append(value)
        if isinstance(value, types.CodeType):
            hold(value, held)
        elif isinstance(value, (tuple, frozenset)):
            constants(value, held)


def compiled(path: str, source: bytes) -> bytes:
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, OverflowError, MemoryError):
        return b""
    held: list[object] = []
    hold(code, held)
    return importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source) + marshal.dumps(code)


def main() -> None:
    sys.setrecursionlimit(20000)
    give(".".join(str(part) for part in sys.version_info[:3]).encode())
    WRITE.flush()
    while True:
        head = READ.read(4)
        if len(head) < 4:
            return
        batch = [(take().decode(), take()) for _ in range(struct.unpack("<I", head)[0])]
        for path, source in batch:
            give(compiled(path, source))
        WRITE.flush()


if __name__ == "__main__":
    main()
