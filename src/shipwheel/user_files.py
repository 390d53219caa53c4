"""Reading the user's text and TOML files."""

import re
import tomllib
from pathlib import Path
from typing import Any

from shipwheel.errors import ProjectError

__all__ = ["parse_toml", "read_text", "read_toml"]

_MAX_BYTES = 8 << 20


def read_text(path: Path) -> str:
    """Return the text of a file. Raise ProjectError if it cannot be read, is not UTF-8, or has more than 8 MiB."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ProjectError(f"{path} has more than {_MAX_BYTES >> 20} MiB", hint="No project file is that large; remove or rename it.")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ProjectError(f"{path}, line {line}: not UTF-8 text", hint="Save the file as UTF-8.") from None
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be read: {error.strerror or error}", hint="Check the path and the file's permissions."
        ) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Raise ProjectError with file, line and column if its syntax is wrong."""
    return parse_toml(read_text(path), str(path))


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """Return the content of TOML text. Raise ProjectError with `origin`, line and column if its syntax is wrong."""
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError:
        raise ProjectError(f"{origin}: nested too deeply", hint="Simplify the file.") from None
    except ValueError as error:
        reason = str(error)
        position = re.search(r" \(at line (\d+), column (\d+)\)$", reason)
        where = f", line {position[1]}, column {position[2]}" if position else ""
        raise ProjectError(
            f"{origin}{where}: {reason[: position.start()] if position else reason}", hint="Correct the TOML syntax there."
        ) from None
