"""Addresses on the loopback interface in a project's configuration files, which say where a server listens."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.user.files import UserFiles

__all__ = ["find_config_addresses"]

_FILES = ("*.ini", "*.cfg", "*.conf", "*.toml", "*.yml", "*.yaml", "*.json", "*.properties", "config/*", "conf/*", "etc/*")
_SUFFIXES = frozenset({".ini", ".cfg", ".conf", ".toml", ".yml", ".yaml", ".json", ".properties"})
_OTHERS = lazy_pattern(r"(pyproject|poetry|pylock[\w.-]*|shipwheel|docker-compose[\w.-]*|compose[\w.-]*)\.\w+|package(-lock)?\.json")
_LINE = lazy_pattern(
    rb"^[^\n#;]*?\b(?:host|hostname|bind|listen|address|interface|server_name)\w*[\"']?\s*[:=]\s*[\"']?(127\.0\.0\.1|localhost|\[?::1\]?)",
    re.IGNORECASE | re.MULTILINE,
)
_MAX_FILES = 60
_MAX_BYTES = 1 << 18


def find_config_addresses(root: Path, files: UserFiles) -> tuple[tuple[str, str], ...]:
    """Return (file and line, address) of the lines that set a host to the loopback interface."""
    paths = (path for pattern in _FILES for path in sorted(root.glob(pattern)))
    usable = (path for path in paths if path.suffix in _SUFFIXES and not _OTHERS.fullmatch(path.name))
    return tuple(dict.fromkeys(found for path in islice(usable, _MAX_FILES) for found in _addresses(path, root, files)))


def _addresses(path: Path, root: Path, files: UserFiles) -> Iterator[tuple[str, str]]:
    try:
        data = files.read_start(path, _MAX_BYTES) if files.is_file(path) else b""
    except (OSError, ValueError):
        return
    for match in _LINE.finditer(data):
        line = data.count(b"\n", 0, match.start(1)) + 1
        yield f"{path.relative_to(root).as_posix()}, line {line}", match[1].decode()
