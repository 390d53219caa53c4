"""Scripts before the compilers of a builder's root in PATH: they leave out the options that ask for the processor of this machine.

A wheel also runs on other processors than the one that compiles it. The scripts also keep what a compiler says that fails: configure
scripts and some setup.py files show nothing of it.
"""

from collections.abc import Iterator
from pathlib import Path

from shipwheel.builder.surroundings import INSIDE, PORTABLE
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["last_complaint", "write_portable_compilers"]

_FOLDERS = ("usr/local/bin", "usr/bin", "bin")
"""The directories of compilers, in the order of PATH."""
_COMPILER = lazy_pattern(r"(?:\w+-)*(?:gcc|g\+\+|cc|c\+\+|gfortran|clang|clang\+\+|rustc)(?:-[\d.]+)?")
_SAID = "home/.compiler"
"""The file in the directory of a build with what the last compiler said that failed."""
_MAX_BYTES = 1 << 16
_C = f"""\
#!/bin/sh
for word do
    shift
    case $word in
        -march=native | -mcpu=native | -mtune=native) ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec 9>&1
said=$(exec {{compiler}} "$@" 2>&1 >&9 9>&-)
code=$?
[ -z "$said" ] || printf '%s\\n' "$said" >&2
[ $code = 0 ] || {{ printf '%s\\n' "$said" >{INSIDE}/{_SAID}; }} 2>/dev/null
exit $code
"""
# cargo reads what its compiler says while that runs.
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


def last_complaint(place: Path) -> str:
    """Return what the last compiler said that failed in a build, which has ended; empty if none did."""
    path = place / _SAID
    # The build could put a link there.
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as stream:
        return stream.read(_MAX_BYTES).decode("utf-8", "replace")


def _compilers(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each compiler, and its path in the sandbox."""
    top = root.resolve()
    for folder in _FOLDERS:
        # A link could lead to a directory of this machine.
        if (root / folder).is_dir() and (root / folder).resolve().is_relative_to(top):
            names = (path.name for path in (root / folder).iterdir())
            yield from ((name, f"/{folder}/{name}") for name in names if _COMPILER.fullmatch(name))
