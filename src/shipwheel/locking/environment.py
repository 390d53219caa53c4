"""The environments of the programs that run other people's code: uv, which starts build backends, and the backends themselves.

Only variables that are known to be needed are passed on. A CI job's environment is full of passwords: of registries, clouds and indexes.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["build_variables", "locale_variables", "network_variables", "uv_environment"]

_SYSTEM = lazy_pattern(
    r"PATH|TMPDIR|TEMP|TMP|LANG|LANGUAGE|LC_\w+|SYSTEMROOT|COMSPEC|PATHEXT|LD_LIBRARY_PATH|NIX_\w+|SDKROOT|DEVELOPER_DIR", re.ASCII
)
_USER = lazy_pattern(r"HOME|USER|LOGNAME|USERPROFILE|(LOCAL)?APPDATA|PROGRAMDATA|XDG_\w+|DBUS_SESSION_BUS_ADDRESS", re.ASCII)
_NETWORK = lazy_pattern(r"(?i:(http|https|all|no)_proxy)|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE", re.ASCII)
_ACCESS = lazy_pattern(
    r"NETRC|SSH_(AUTH_SOCK|ASKPASS)|(PYTHON_)?KEYRING_\w+|UV_(?!PUBLISH_)\w+|"
    r"GIT_(CONFIG|ASKPASS|SSH|SSL|HTTP|PROXY|TERMINAL_PROMPT|ALLOW_PROTOCOL|EXEC_PATH|TRACE|LFS)\w*",
    re.A,
)
"""The variables that give access to indexes and repositories."""
_CLOUD = lazy_pattern(r"(AWS|AZURE|GOOGLE|CLOUDSDK|ARTIFACTS|VSS)_\w+", re.ASCII)
"""The variables from which plugins of the program keyring make logins of indexes."""
_BUILD = lazy_pattern(
    r"(SETUPTOOLS|VCS_VERSIONING|DISTUTILS|PBR|HATCH_BUILD|PDM_BUILD|POETRY_DYNAMIC_VERSIONING|UV_DYNAMIC_VERSIONING)_\w+|\w*NO_EXTENSIONS",
    re.ASCII,
)
"""The variables that tell build backends a version, or to leave out extension modules. None of them is a secret."""
_NAMED = lazy_pattern(r"\$\{([A-Za-z_]\w*)\}", re.ASCII)


def uv_environment(environ: Mapping[str, str], directory: Path | None) -> dict[str, str]:
    """Return the variables that uv gets: it reads the user's settings, and logs in at indexes and repositories.

    `directory` has the project that uv works on; variables that it names in URLs are passed on, too.
    """
    patterns = [_SYSTEM, _USER, _NETWORK, _ACCESS, *([_CLOUD] if shutil.which("keyring") else [])]
    named = _names_in(directory / "pyproject.toml") if directory is not None else frozenset()
    passed = {name: value for name, value in environ.items() if name in named or any(pattern.fullmatch(name) for pattern in patterns)}
    return {**passed, **build_variables(environ)}


def build_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change what a build backend makes. They belong into the key of the result."""
    return {name: value for name, value in sorted(environ.items()) if _BUILD.fullmatch(name)}


def locale_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the language and of its encoding."""
    return {name: value for name, value in environ.items() if name == "LANG" or name.startswith("LC_")}


def network_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of proxies and certificate authorities. A proxy's may have a password."""
    return {name: value for name, value in environ.items() if _NETWORK.fullmatch(name)}


def _names_in(path: Path) -> frozenset[str]:
    try:
        return frozenset(_NAMED.findall(path.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return frozenset()
