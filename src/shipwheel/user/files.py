"""The user's text and TOML files, each opened once."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import ProjectError

__all__ = ["UserFiles", "decode_text", "parse_toml", "read_text", "read_toml", "table_at"]

_MAX_BYTES = 8 << 20


class UserFiles:
    """Reads files and remembers their contents, so that every later read sees the same bytes.

    One instance serves one reading of a project. Paths that lead to the same file, through symbolic links or not, share its contents.
    `top` is the directory that the user gave, if the project is one in it.
    """

    def __init__(self, top: Path | None = None) -> None:
        self.top = top.resolve() if top is not None else None
        self._contents: dict[str, bytes | OSError] = {}
        self._is_file: dict[Path, bool] = {}
        self._tables: dict[str, dict[str, Any]] = {}

    def is_file(self, path: Path) -> bool:
        """Return whether the path leads to a regular file."""
        if path not in self._is_file:
            self._is_file[path] = path.is_file()
        return self._is_file[path]

    def read_bytes(self, path: Path) -> bytes:
        """Return a file's contents. Raise OSError."""
        key = os.path.realpath(path)
        if key not in self._contents:
            try:
                self._contents[key] = path.read_bytes()
            except OSError as error:
                self._contents[key] = error
        contents = self._contents[key]
        if isinstance(contents, OSError):
            raise contents
        return contents

    def read_start(self, path: Path, size: int) -> bytes:
        """Return at most the first `size` bytes of a file. Raise OSError."""
        key = os.path.realpath(path)
        if key not in self._contents:
            try:
                with path.open("rb") as stream:
                    start = stream.read(size)
            except OSError as error:
                self._contents[key] = error
                raise
            if len(start) == size:
                return start  # the rest is not known
            self._contents[key] = start
        return self.read_bytes(path)[:size]

    def read_text(self, path: Path) -> str:
        """Return the text of a file. Raise ProjectError if it cannot be read, is not UTF-8, or has more than 8 MiB."""
        try:
            if os.path.realpath(path) not in self._contents and path.stat().st_size > _MAX_BYTES:
                raise ProjectError(
                    f"{path} has more than {_MAX_BYTES >> 20} MiB", hint="No project file is that large; remove or rename it."
                )
            return decode_text(self.read_bytes(path), path)
        except OSError as error:
            raise ProjectError(
                f"{path} cannot be read: {error.strerror or error}", hint="Check the path and the file's permissions."
            ) from error

    def read_toml(self, path: Path) -> dict[str, Any]:
        """Return the content of a TOML file, which callers must not change. Raise ProjectError with file, line and column."""
        key = os.path.realpath(path)
        if key not in self._tables:
            self._tables[key] = parse_toml(self.read_text(path), str(path))
        return self._tables[key]

    def read_tables(self, folder: Path) -> dict[str, Any]:
        """Return the tables of the folder's pyproject.toml, empty when there is none. Raise ProjectError."""
        path = folder / "pyproject.toml"
        return self.read_toml(path) if self.is_file(path) else {}


def read_text(path: Path) -> str:
    """Return the text of a file. Raise ProjectError if it cannot be read, is not UTF-8, or has more than 8 MiB."""
    return UserFiles().read_text(path)


def decode_text(data: bytes, path: Path) -> str:
    """Return UTF-8 bytes as text, without a byte order mark. Raise ProjectError with the first line that is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ProjectError(f"{path}, line {line}: not UTF-8 text", hint="Save the file as UTF-8.") from None


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


def table_at(tables: object, *keys: str) -> dict[str, Any]:
    """Return a table within TOML tables; empty if it is missing, or if anything on the way is not a table."""
    for key in keys:
        tables = tables.get(key) if isinstance(tables, Mapping) else None
    return tables if isinstance(tables, dict) else {}
