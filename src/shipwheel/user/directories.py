"""The user's directories, found in an environment (XDG Base Directory Specification)."""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["config_dirs", "config_home", "data_home", "home"]


def home(environ: Mapping[str, str]) -> Path:
    """Return the user's home directory: HOME, USERPROFILE, or the account's own."""
    named = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(named) if named else Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none


def config_home(environ: Mapping[str, str]) -> Path:
    """Return the directory of the user's configuration files: XDG_CONFIG_HOME or ~/.config."""
    return Path(environ.get("XDG_CONFIG_HOME") or home(environ) / ".config")


def config_dirs(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the system's configuration directories, the most important first: XDG_CONFIG_DIRS or /etc/xdg."""
    return tuple(Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if folder)


def data_home(environ: Mapping[str, str]) -> Path:
    """Return the directory of the user's data files: XDG_DATA_HOME or ~/.local/share."""
    return Path(environ.get("XDG_DATA_HOME") or home(environ) / ".local" / "share")
