"""Scripts before the compilers of a builder's root in PATH: they leave out the options that ask for the processor of this machine.

A wheel also runs on other processors than the one that compiles it.
"""

from collections.abc import Iterator
from pathlib import Path

from shipwheel.builder.surroundings import PORTABLE
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["write_portable_compilers"]

_FOLDERS = ("usr/local/bin", "usr/bin", "bin")
"""The directories of compilers, in the order of PATH."""
_COMPILER = lazy_pattern(r"(?:\w+-)*(?:gcc|g\+\+|cc|c\+\+|gfortran|clang|clang\+\+|rustc)(?:-[\d.]+)?")
_C = """\
#!/bin/sh
for word do
    shift
    case $word in
        -march=native | -mcpu=native | -mtune=native) ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec {compiler} "$@"
"""
_RUST = """\
#!/bin/sh
option=
for word do
    shift
    case $option$word in
        -C | --codegen) option=-C; continue ;;
        -Ctarget-cpu=native | --codegen=target-cpu=native) ;;
        *) set -- "$@" "$option$word" ;;
    esac
    option=
done
exec {compiler} "$@"
"""


def write_portable_compilers(root: Path, place: Path) -> None:
    """Write a script for each compiler of `root` into a new directory below `place`."""
    folder = place / PORTABLE
    folder.mkdir()
    for name, compiler in _compilers(root):
        script = folder / name
        if not script.exists():
            script.write_text((_RUST if "rustc" in name else _C).replace("{compiler}", compiler), encoding="utf-8")
            script.chmod(0o755)


def _compilers(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each compiler, and its path in the sandbox."""
    top = root.resolve()
    for folder in _FOLDERS:
        # A link could lead to a directory of this machine.
        if (root / folder).is_dir() and (root / folder).resolve().is_relative_to(top):
            names = (path.name for path in (root / folder).iterdir())
            yield from ((name, f"/{folder}/{name}") for name in names if _COMPILER.fullmatch(name))
