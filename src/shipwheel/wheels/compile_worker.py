"""A program that compiles modules in the target's interpreter. It runs on CPython 3.9 and newer.

It imports built-in modules alone: the interpreter may have no bytecode of its own library, and would compile what is imported first.

It first writes its own version. A request is the number of sources, then the path and the text of each; the answer is a .pyc file for each,
empty if the source does not compile. Numbers are four bytes, little-endian; strings are preceded by their length.
"""

import _frozen_importlib_external
import _imp
import _signal  # type: ignore[import-not-found]
import _warnings
import marshal
import sys

INPUT, OUTPUT = sys.stdin.buffer, sys.stdout.buffer
# PEP 552: bit 0 stands for a hash in place of a time, bit 1 for a check against the source.
UNCHECKED_HASH = (1).to_bytes(4, "little")
MAGIC_NUMBER = _frozen_importlib_external.MAGIC_NUMBER
CodeType = type((lambda: None).__code__)
CONTAINERS = frozenset((CodeType, tuple, frozenset, slice))


def read_number() -> int:
    return int.from_bytes(INPUT.read(4), "little")


def read_string() -> bytes:
    return INPUT.read(read_number())


def write_string(data: bytes) -> None:
    OUTPUT.write(len(data).to_bytes(4, "little"))
    OUTPUT.write(data)


def hold_references(code: object) -> list[object]:
    """Return a list that holds another reference to every object below a code object.

    marshal marks an object for reuse only if it has another reference, so its output depends on what else is alive in the process. While
    this list is alive, every object is marked.
    """
    held: list[object] = [code]
    pending: list[object] = [code]
    while pending:
        value = pending.pop()
        if isinstance(value, CodeType):
            for names in (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars):
                held += (names, *names)
            held += (value.co_consts, value.co_name, value.co_filename, getattr(value, "co_qualname", None))
            held += (getattr(value, "co_linetable", None), getattr(value, "co_exceptiontable", None))
            items = value.co_consts
        elif isinstance(value, slice):
            items = (value.start, value.stop, value.step)
        else:
            if isinstance(value, frozenset) and sys.version_info < (3, 11) and any(hash_varies(item) for item in value):
                raise ValueError("the order of a set varies")
            items = tuple(value)  # type: ignore[arg-type]
        held += items
        pending += [item for item in items if type(item) in CONTAINERS]
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
    # The hash is that of importlib.util.source_hash.
    return MAGIC_NUMBER + UNCHECKED_HASH + _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), source) + data


def main() -> None:
    # marshal marks interned strings. There is one object for each text of at most one character: a module that has it as a name, by
    # "import *" or "from . import x", would change what it is in modules that are compiled later.
    sys.intern("*")
    sys.intern("")
    # An interrupted build closes our standard input.
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    # Like -W ignore, which imports more. What is wrong with a module's style is for its author.
    _warnings.filters.insert(0, ("ignore", None, Warning, None, 0))
    write_string(".".join(str(part) for part in sys.version_info[:3]).encode())
    OUTPUT.flush()
    while True:
        head = INPUT.read(4)
        if len(head) < 4:
            return
        batch = [(read_string().decode(), read_string()) for _ in range(int.from_bytes(head, "little"))]
        for path, source in batch:
            write_string(compile_source(path, source))
        OUTPUT.flush()


if __name__ == "__main__":
    main()
