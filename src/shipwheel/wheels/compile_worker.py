"""Compiles modules in the target's interpreter. Runs on Python 3.9 and newer, with the standard library alone, as its own process.

Request: the number of sources, then path and source of each; answer: for each the .pyc file, empty for what does not compile.
Every number is four bytes, little-endian; every string follows its length. First of all it says its own version.
"""

import importlib.util
import marshal
import signal
import struct
import sys
import types

READ, WRITE = sys.stdin.buffer, sys.stdout.buffer
# PEP 552: bit 0 says that the file is checked by hash, bit 1 that it is checked at all.
UNCHECKED_HASH = struct.pack("<I", 1)


def take() -> bytes:
    return READ.read(struct.unpack("<I", READ.read(4))[0])


def give(data: bytes) -> None:
    WRITE.write(struct.pack("<I", len(data)))
    WRITE.write(data)


def hold(code: types.CodeType) -> list[object]:
    """Holds one reference more to everything below a code object.

    marshal marks an object for reuse only if somebody else refers to it as well, so that its output depends on what happens
    to live in the process. Referred to from here, everything is marked, always.
    """
    held: list[object] = []
    pending: list[object] = [code]
    while pending:
        value = pending.pop()
        held.append(value)
        if isinstance(value, types.CodeType):
            pending += (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars, value.co_consts)
            pending += (value.co_name, value.co_filename, getattr(value, "co_qualname", None))
            pending += (getattr(value, "co_linetable", None), getattr(value, "co_exceptiontable", None))
        elif isinstance(value, frozenset) and sys.version_info < (3, 11) and any(wanders(item) for item in value):
            raise ValueError("a set in no fixed order")
        elif isinstance(value, (tuple, frozenset)):
            pending += value
        elif isinstance(value, slice):
            pending += (value.start, value.stop, value.step)
    return held


def wanders(value: object) -> bool:
    """Whether the place of a value in a set depends on where it lies in memory. Since 3.11 marshal sorts what is in a set."""
    return value is None or value is ... or (isinstance(value, (tuple, frozenset)) and any(wanders(item) for item in value))


def compiled(path: str, source: bytes) -> bytes:
    # Whatever is wrong with one source, the others are compiled: nothing but this file is left without bytecode.
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        held = hold(code)
        data = marshal.dumps(code)
        del held
    except Exception:
        return b""
    return importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source) + data


def main() -> None:
    # Who interrupts the build ends it through our standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
