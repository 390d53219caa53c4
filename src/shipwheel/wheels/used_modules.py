"""Bytecode of those modules alone that a start of the image imported."""

import hashlib
from collections.abc import Iterable, Sequence

from shipwheel.container.venv import module_of
from shipwheel.files.compress import Deflated
from shipwheel.wheels.bytecode import Compiler

__all__ = ["CompilerOfUsed"]


class CompilerOfUsed:
    """A compiler for a package's modules that are in `names`, as `module_of` has them; others get no bytecode.

    `site_packages` is the directory that they are in, without a leading slash. Names that no file has are ignored.
    """

    def __init__(self, compiler: Compiler, site_packages: str, names: Iterable[str]) -> None:
        self._compiler = compiler
        self._root = f"/{site_packages}/"
        self._names = frozenset(names)

    @property
    def identity(self) -> str:
        """See Compiler."""
        names = hashlib.sha256("\0".join(sorted(self._names)).encode()).hexdigest()
        return f"{self._compiler.identity} for {names}"

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        """See Compiler."""
        used = [source for source in sources if module_of(source[0].removeprefix(self._root)) in self._names]
        compiled = {path: item for (path, _), item in zip(used, self._compiler.compile(used), strict=True)}
        return [compiled.get(path) for path, _ in sources]
