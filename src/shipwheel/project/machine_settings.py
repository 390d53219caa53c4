"""The settings of uv and pip outside the project: the user's and the machine's configuration files, and pip's variables."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shipwheel.errors import ProjectError
from shipwheel.user.directories import config_dirs, config_home, home
from shipwheel.user.files import read_toml
from shipwheel.witness.witness import note_look

__all__ = ["pip_settings", "uv_files"]

_PIP_KEYS = ("index-url", "extra-index-url")


def uv_files(environ: Mapping[str, str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield uv's settings files outside the project with their tables, the user's first. A file that uv would reject is left out."""
    if environ.get("UV_NO_CONFIG"):
        return
    if named := environ.get("UV_CONFIG_FILE"):
        paths = [Path(named)]
    else:
        system = [*(folder / "uv" / "uv.toml" for folder in config_dirs(environ)), Path("/etc/uv/uv.toml")]
        paths = [config_home(environ) / "uv" / "uv.toml", *[path for path in system if _is_file(path)][:1]]
    for path in paths:
        if _is_file(path):
            try:
                yield path, read_toml(path)
            except ProjectError:
                continue  # uv reports what is wrong with it


def _is_file(path: Path) -> bool:
    note_look(path)
    return path.is_file()


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's `index-url` and `extra-index-url`: its variables win over the user's files, and these over the machine's."""
    found: dict[str, str] = {}
    for path in filter(_is_file, _pip_files(environ)):
        import configparser

        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install", "download"):
            for key in _PIP_KEYS:
                spelled = next((name for name in (key, key.replace("-", "_")) if parser.has_option(section, name)), None)
                if spelled is not None:
                    found[key] = parser.get(section, spelled)
    for key in _PIP_KEYS:
        if value := environ.get(f"PIP_{key.upper().replace('-', '_')}"):
            found[key] = value
    return found


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield pip's configuration files, the least important first, as pip reads them."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    yield from (folder / "pip" / "pip.conf" for folder in config_dirs(environ))
    yield Path("/etc/pip.conf")
    yield home(environ) / ".pip" / "pip.conf"
    yield config_home(environ) / "pip" / "pip.conf"
    if environ.get("VIRTUAL_ENV"):
        yield Path(environ["VIRTUAL_ENV"]) / "pip.conf"
    if named:
        yield Path(named)
