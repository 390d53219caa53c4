"""Compiling bytecode in tests."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shipwheel.files.compress import Deflated, inflate
from shipwheel.wheels.bytecode import BytecodeCompiler, Interpreter
from shipwheel.wheels.bytecode_cache import BytecodeCache

__all__ = ["RICH", "compile_all", "compiler_of", "data_of", "many"]


def compiler_of(folder: Path, python: str = sys.executable, workers: int = 2, version: str = "") -> BytecodeCompiler:
    """Return a compiler with a cache in a directory."""
    if not version:
        command = [python, "-c", "import platform; print(platform.python_version())"]
        version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    identity = f"cpython-{version}"
    return BytecodeCompiler(lambda: Interpreter((python,), identity=identity), identity, BytecodeCache(folder / "cache"), workers)


def data_of(item: Deflated | None) -> bytes:
    """Return the inflated bytes of a compiled file."""
    assert item is not None
    return b"".join(bytes(piece) for piece in inflate(item))


def compile_all(compiler: BytecodeCompiler, sources: Sequence[tuple[str, bytes]]) -> list[bytes | None]:
    """Compile (path, source) pairs; None stands for a source that does not compile."""
    return [None if item is None else data_of(item) for item in compiler.compile(sources)]


RICH = b'''
"""A module with constants of all kinds."""
import os, sys
from typing import NamedTuple

LIMIT = 12345678901234567890
NAMES = ("os", "sys", ("nested", None, ...), b"bytes", 1.5, 2j, -0.0, 300, "a b", "")

class Thing(NamedTuple):
    size: int = 257
    def where(self, value, *args, key="default", **more):
        def inner(x):
            return [y for y in value if y in {"alpha", "beta", "gamma", 7} or x in {1, 2, 3, 1000}]
        return inner, value in ("a", "b"), lambda: (key, args, more), value[1:2], value["a":"b"]

async def run(items):
    async with items as item:
        yield item
    try:
        raise ValueError("text with spaces")
    except (ValueError, OSError) as error:
        print(f"{error!r:>10} {__name__}")
'''
"""A module with constants of all kinds."""


def many(count: int = 30) -> list[tuple[str, bytes]]:
    """Return modules of the standard library and our own."""
    folder = Path(os.__file__).parent
    modules = sorted(folder.glob("*.py"))[:count]
    return [("/opt/venv/rich.py", RICH), *((f"/opt/venv/{path.name}", path.read_bytes()) for path in modules)]
