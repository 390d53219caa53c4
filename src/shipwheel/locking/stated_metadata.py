"""The metadata that setuptools left in a source distribution when it was published, for a setup.py that this machine's Python cannot run.

A source for Python 3.9 is locked on a machine with another Python, and uv asks setup.py what the package requires. Only the standard
library is imported, since the stand-in for the build's Python uses this.
"""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["answer_from_source"]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+!")
"""Characters of names and versions, which become names of files."""
_MAX_BYTES = 1 << 20


def answer_from_source(script: str, source: Path, environment: Path, metadata: Path) -> bool:
    """Answer uv's script that asks a backend, and return whether the source had the answer.

    Args:
        script: uv's, which names the hook of PEP 517 that it calls.
        source: The unpacked source distribution.
        environment: The directory where uv looks for what the hook returns.
        metadata: The directory for the .dist-info.
    """
    found = _dist_info(source)
    if found is None:
        return False
    name, text = found
    if "get_requires_for_build_wheel" in script:
        (environment / "get_requires_for_build_wheel.txt").write_text("[]", encoding="utf-8")
    elif "prepare_metadata_for_build_wheel" in script:
        folder = metadata / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text(text, encoding="utf-8")
        (environment / "prepare_metadata_for_build_wheel.txt").write_text(name, encoding="utf-8")
    else:
        return False
    return True


def _dist_info(source: Path) -> tuple[str, str] | None:
    """Return the name of a .dist-info and its METADATA; None for a source that states none."""
    from email.parser import HeaderParser

    found = [path.parent for pattern in ("*.egg-info", "*/*.egg-info") for path in source.glob(f"{pattern}/PKG-INFO") if path.is_file()]
    if len(found) != 1:
        return None
    folder = found[0]
    stated = HeaderParser().parsestr(_text(folder / "PKG-INFO", source))
    name, version = stated["Name"], stated["Version"]
    if not (name and version) or not set(name + version) <= _PLAIN:
        return None
    lines = _text(folder / "requires.txt", source).splitlines()
    python = [f"Requires-Python: {stated['Requires-Python']}"] if stated["Requires-Python"] else []
    text = "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *python, *_required(lines)))
    return f"{name.replace('-', '_')}-{version}.dist-info", f"{text}\n"


def _text(path: Path, source: Path) -> str:
    """Return the start of a file; empty without one, and for a link: the backend wrote here, and links lead to any file of this machine."""
    if not path.is_file() or path.resolve() != source.resolve() / path.relative_to(source):
        return ""
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode(errors="replace")


def _required(lines: list[str]) -> Iterator[str]:
    """Yield the fields of METADATA for the lines of requires.txt, whose sections are `[extra]`, `[:marker]` or `[extra:marker]`."""
    condition = ""
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("["):
            extra, _, marker = line.strip("[]").partition(":")
            if extra:
                yield f"Provides-Extra: {extra}"
            terms = [f"({marker})"] if marker else []
            condition = " and ".join([*terms, *([f'extra == "{extra}"'] if extra else [])])
        else:
            yield f"Requires-Dist: {line}" + (f" ; {condition}" if condition else "")
