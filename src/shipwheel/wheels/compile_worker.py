"""A program that compiles modules in the target's interpreter. It runs on Python 3.9 and newer and uses only the standard library.

It first writes its own version. A request is the number of sources, then the path and the text of each; the answer is a .pyc file for each,
empty if the source does not compile. Numbers are four bytes, little-endian; strings are preceded by their length.
"""

import importlib.util
import marshal
import signal
import struct
import sys
import types

INPUT, OUTPUT = sys.stdin.buffer, sys.stdout.buffer
# PEP 552: bit 0 stands for a hash in place of a time, bit 1 for a check against the source.
UNCHECKED_HASH = struct.pack("<I", 1)


def read_string() -> bytes:
    return INPUT.read(struct.unpack("<I", INPUT.read(4))[0])


def write_string(data: bytes) -> None:
    OUTPUT.write(struct.pack("<I", len(data)))
    OUTPUT.write(data)


def hold_references(code: types.CodeType) -> list[object]:
    """Return a list that holds another reference to every object below a code object.

    marshal marks an object for reuse only if it has another reference, so its output depends on what else is alive in the process. While
    this list is alive, every object is marked.
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
        elif isinstance(value, frozenset) and sys.version_info < (3, 11) and any(hash_varies(item) for item in value):
            raise ValueError("the order of a set varies")
        elif isinstance(value, (tuple, frozenset)):
            pending += value
        elif isinstance(value, slice):
            pending += (value.start, value.stop, value.step)
    return held


def hash_varies(value: object) -> bool:
    """Return whether the hash of a value, and so its place in a set, depends on its address. Since 3.11 marshal sorts sets."""
    return value is None or value is ... or (isinstance(value, (tuple, frozenset)) and any(hash_varies(item) for item in value))


def compile_source(path: str, source: bytes) -> bytes:
    # An error in one source must not leave others without bytecode.
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        held = hold_references(code)
        data = marshal.dumps(code)
        del held
    except Exception:
        return b""
    return importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source) + data


def main() -> None:
    # An interrupted build closes our standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    write_string(".".join(str(part) for part in sys.version_info[:3]).encode())
    OUTPUT.flush()
    while True:
        head = INPUT.read(4)
        if len(head) < 4:
            return
        batch = [(read_string().decode(), read_string()) for _ in range(struct.unpack("<I", head)[0])]
        for path, source in batch:
            write_string(compile_source(path, source))
        OUTPUT.flush()


if __name__ == "__main__":
    main()
