"""The user's settings: `[tool.shipwheel]` in pyproject.toml, or shipwheel.toml, with the same names as the flags.

All problems of a file are collected and raised once, each with the key's name and, for an unknown key, the nearest known one.
"""

import datetime
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import UsageError
from shipwheel.user_files import UserFiles

__all__ = ["SITE_PACKAGES", "Settings", "expand_env", "load_settings", "merge", "settings_from"]

SITE_PACKAGES = "{site-packages}"
"""Stands for the image's site-packages directory in the values of `env`."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The user's settings. Each field is a key of the settings file, many are flags too, and all have a default."""

    name: str | None = None
    """Name of the project, if neither its metadata nor its directory has a suitable one."""
    tag: str | None = None
    """Name of the image, as NAME:TAG."""
    platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64")
    """Platforms to build for. Each becomes an image of the same image index."""
    python: str | None = None
    """Python version, for example "3.11". Default: from .python-version, runtime.txt or requires-python."""
    as_of: datetime.date | None = None
    """Ignore packages that were uploaded to the package index after this day."""
    command: tuple[str, ...] = ()
    """Command of the image: a list of words, or a string that is split as a shell does. No shell runs it."""
    entrypoint: tuple[str, ...] = ()
    """Entrypoint of the image, like `command`, which then holds the default arguments."""
    ports: tuple[str, ...] = ()
    """Ports that the app listens on: 8000 or "53/udp". Stored as "8000/tcp" (image-spec, ExposedPorts)."""
    volumes: tuple[str, ...] = ()
    """Absolute paths of volumes. They belong to the image's user; the first one records which one-time steps are done."""
    env: dict[str, str] = {}
    """Environment variables. Values may contain `{site-packages}`; see `expand_env`."""
    before_start: tuple[tuple[str, ...], ...] = ()
    """Commands, each a list of words, that run once per volume before the command."""
    user: str | None = None
    """Numeric UID or UID:GID; a UID alone sets the same GID. Default: the base image's user unless that is root, otherwise 65532:65532.
    For root, write "0"."""
    workdir: str = "/app"
    """Working directory, and the directory of an app's files."""
    labels: dict[str, str] = {}
    """Labels of the image, in addition to the annotations."""
    annotations: dict[str, str] = {}
    """Annotations of the image and the image index (image-spec, annotations.md)."""
    packages: tuple[str, ...] = ()
    """Debian packages to add, with the programs and data that they depend on and the libraries that they load."""
    extras: tuple[str, ...] = ()
    """Extras of the project to install."""
    groups: tuple[str, ...] = ()
    """Dependency groups (PEP 735) to install in addition to the project's dependencies."""
    include: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files to include although a rule excludes them. Secrets stay excluded."""
    exclude: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files to exclude."""
    requirements: tuple[str, ...] = ()
    """Requirements files, relative to the project, to use instead of those that shipwheel finds."""
    debian_mirror: str | None = None
    """URL of a Debian archive. Its packages are verified in any case."""
    accelerator: str | None = None
    """Builds of torch and related packages: "cpu" (the default), a CUDA version ("cu126"), "rocm6.4", "xpu", "auto" for what uv detects on
    this machine, or "cuda" for the package index's own builds."""
    accelerator_index: str | None = None
    """URL of a mirror of the vendor's index for these builds, without the kind at its end."""
    base: str | None = None
    """Base image with a Python: NAME:TAG or NAME@DIGEST in a registry, or "oci:DIR" for a layout. Default: Debian packages."""
    suite: str | None = None
    """Debian suite of the base. Default: the suite that has the Python version."""
    python_builds: str | None = None
    """Source of standalone Pythons, for versions that no Debian suite has: a directory of python-build-standalone archives, one archive, or
    the URL of a mirror, like uv's python-install-mirror. Default: uv's settings and its list of builds."""
    bytecode: bool = True
    """Whether to include compiled bytecode: the image is larger and starts much faster."""
    init: bool = True
    """Whether to run Debian's tini as the container's first process, which forwards signals and reaps orphans. Without it, the command is
    the first process, and the kernel drops every signal that it does not handle."""
    stop_signal: str | None = None
    """Signal that stops the container, for example "SIGINT". Default: SIGTERM."""
    cache_repo: str | None = None
    """Repository to share layers between projects: a push asks it before it builds a layer. Everyone who can write to it is trusted as much
    as those who can push the image."""
    output: str | None = None
    """Directory of an OCI image layout, or FILE.tar for an archive. Default: NAME.oci in the current directory."""


def load_settings(root: Path, files: UserFiles | None = None) -> Settings:
    """Return the settings of a project directory; the defaults when it has none.

    Raises UsageError for a wrong key or value and for settings in both files, ProjectError for a TOML syntax error.
    """
    files = files or UserFiles()
    pyproject, own = root / "pyproject.toml", root / "shipwheel.toml"
    tool = files.read_tables(root).get("tool")
    table = tool.get("shipwheel") if isinstance(tool, dict) else None
    if not own.is_file():
        return Settings() if table is None else settings_from(table, f"{pyproject} [tool.shipwheel]")
    if table is not None:
        raise UsageError(
            f"both {own} and [tool.shipwheel] in {pyproject} have settings",
            hint="Keep the settings in one of the two files, and delete the others.",
        )
    return settings_from(files.read_toml(own), str(own))


def settings_from(table: object, origin: str) -> Settings:
    """Settings from a TOML table; `origin` is what errors call it. Raises UsageError with all that is wrong."""
    return merge(Settings(), table, origin)


def merge(settings: Settings, flags: object, origin: str = "command line") -> Settings:
    """The settings with a table of flags laid over them; a flag that is None was not given.

    Flags win; `env`, `labels` and `annotations` are joined key by key. Keys are kebab-case, or with underscores as Python has them.
    Raises UsageError with all that is wrong.
    """
    if not isinstance(flags, Mapping):
        raise UsageError(f"{origin} is not a table", hint="Write settings as key = value lines below a [tool.shipwheel] line.")
    fields = {field.encode_name: field for field in msgspec.structs.fields(Settings)}
    by_flag = origin == "command line"
    problems: list[str] = []
    hints: list[str] = []
    values: dict[str, Any] = {}
    for given, value in flags.items():
        key = given.replace("_", "-") if by_flag else given
        if value is None:
            continue
        if key not in fields:
            near = _nearest(key, list(fields))
            problems.append(f"unknown key {key!r}" + (f", did you mean {near!r}?" if near else ""))
            if key == "tool" and not by_flag:
                hints.append(
                    "Only pyproject.toml has a line [tool.shipwheel]; here leave it out, and write [env] for [tool.shipwheel.env]."
                )
                continue
            hints.append("" if near else f"Known keys: {', '.join(sorted(fields))}.")
            continue
        try:
            values[fields[key].name] = _value(key, value, fields[key].type)
        except _Wrong as wrong:
            problems.append(f"{key}: {wrong.message}")
            hints.append(wrong.hint)
    if problems:
        raise UsageError(
            f"{origin}: " + "; ".join(problems), hint=" ".join(dict.fromkeys(filter(None, hints))) or "Correct the names above."
        )
    for name in ("env", "labels", "annotations"):
        if name in values:
            values[name] = {**getattr(settings, name), **values[name]}
    return msgspec.structs.replace(settings, **values)


def expand_env(env: Mapping[str, str], site_packages: str) -> dict[str, str]:
    """The environment with `{site-packages}` replaced; every other brace stays, since values may well be JSON."""
    return {key: value.replace(SITE_PACKAGES, site_packages) for key, value in env.items()}


class _Wrong(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _nearest(key: str, known: list[str]) -> str:
    import difflib

    same = [name for name in known if name.replace("-", "") == re.sub(r"[-_ ]", "", key.lower())]
    return (same or difflib.get_close_matches(key.lower().replace("_", "-"), known, 1, 0.6) or [""])[0]


def _value(key: str, value: object, kind: Any) -> Any:
    """A value converted to its field's type and checked; raises _Wrong."""
    if key in _BEFORE:
        value = _BEFORE[key](value)
    if kind == tuple[str, ...] and isinstance(value, str):
        value = [value]
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        reason = reason.replace(" | null", "").replace("`", "").replace("Invalid RFC3339 encoded date", f"{value!r} is not a day")
        raise _Wrong((f"at {key}{place.rstrip('`')} " if place else "") + reason[:1].lower() + reason[1:], _HINTS.get(key, "")) from None
    return _AFTER[key](converted) if key in _AFTER else converted


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise _Wrong(f"cannot be split into words ({str(error).lower()})", 'Write a list: ["python", "main.py"].') from None


def _steps(value: object) -> object:
    if isinstance(value, (list, tuple)) and value and all(isinstance(word, str) for word in value):
        raise _Wrong("must be a list of commands, each a list of words", f"Write [[{', '.join(map(_quoted, value))}]].")
    return value


def _quoted(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _texts(value: object) -> object:
    if isinstance(value, Mapping):
        wrong = [str(name) for name, text in value.items() if not isinstance(text, str)]
        if wrong:
            raise _Wrong(f"{', '.join(wrong)} must be a string", "Write the value in quotes.")
    return value


def _port_texts(value: object) -> object:
    if isinstance(value, (int, str)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    return [str(port) if isinstance(port, int) and not isinstance(port, bool) else port for port in value]


def _ports(ports: tuple[str, ...]) -> tuple[str, ...]:
    done = []
    for port in ports:
        found = re.fullmatch(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?", port.strip().lower())
        if found is None or not 0 < int(found[1]) < 65536:
            raise _Wrong(f"{port!r} is not a port", 'A port is a number from 1 to 65535, or one with its protocol: 8000, "53/udp".')
        done.append(f"{int(found[1])}/{found[2] or 'tcp'}")
    return tuple(dict.fromkeys(done))


def _user_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _user(user: str) -> str:
    found = re.fullmatch(r"([0-9]{1,10})(?::([0-9]{1,10}))?", user)
    if found is None or max(int(found[1]), int(found[2] or 0)) > 0xFFFFFFFE:
        raise _Wrong(
            f"{user!r} is not numeric", 'Write "uid" or "uid:gid" in digits, as runAsNonRoot needs it: "65532:65532"; root is "0".'
        )
    return f"{int(found[1])}:{int(found[2] or found[1])}"


def _absolute(path: str) -> str:
    parts = path.rstrip("/").split("/")
    if not path.startswith("/") or any(part in ("", ".", "..") for part in parts[1:]) or "\0" in path or len(parts) == 1:
        raise _Wrong(f"{path!r} is not an absolute path below /", "Write it out from the root of the image, for example /data.")
    return path.rstrip("/")


def _volumes(volumes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_absolute(volume) for volume in volumes))


def _workdir(path: str) -> str:
    return path if path == "/" else _absolute(path)


def _env(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value or not name.isprintable() or " " in name:
            raise _Wrong(f"{name!r} is not a variable that an environment can hold", "Names have no '=' or space, values no NUL.")
    return env


def _keys(table: dict[str, str]) -> dict[str, str]:
    if "" in table:
        raise _Wrong("an empty name", "image-spec: a key must not be empty.")
    return table


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0] or any("\0" in word for word in words):
        raise _Wrong("has no program to run", 'Write a list of words: ["python", "main.py"].')
    return words


def _argvs(steps: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(_argv(step) for step in steps)


def _matching(pattern: str, hint: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise _Wrong(f"{value!r} is not allowed", hint)
        return value

    return check


def _mirror(address: str) -> str:
    # The value is not repeated: it may hold a password.
    if re.fullmatch(r"(https?|file)://[^\s@]+", address) is None:
        raise _Wrong("not the address of a Debian archive", "Write an http, https or file address without user name or password.")
    return address


def _index(address: str) -> str:
    if re.fullmatch(r"https?://[^\s@]+", address) is None:
        raise _Wrong("not the address of an index", "Write an http or https address without user name or password.")
    return address.rstrip("/")


def _builds(place: str) -> str:
    if not place.strip() or "\0" in place or (re.match(r"[a-z+]+://", place) and not re.fullmatch(r"(https?|file)://[^\s@]+", place)):
        raise _Wrong("not a path, and not the address of a mirror", "Write a path, or an http, https or file address without a password.")
    return place.rstrip("/") or "/"


def _each(check: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    return lambda values: tuple(check(value) for value in values)


_RELATIVE = _matching(r"(?!/)(?!(.*/)?\.\.(/|$))[^\0\\]+", "Write a path relative to the project, inside it.")

_BEFORE: dict[str, Callable[[object], object]] = {
    "command": _words,
    "entrypoint": _words,
    "before-start": _steps,
    "ports": _port_texts,
    "user": _user_text,
    "env": _texts,
    "labels": _texts,
    "annotations": _texts,
}
_HINTS = {
    "python": 'Write the version in quotes: python = "3.11".',
    "as-of": "Write the day as YYYY-MM-DD.",
    "bytecode": "Write true or false.",
    "init": "Write true or false.",
    "command": 'Write a list of words: ["python", "main.py"].',
    "entrypoint": 'Write a list of words: ["python", "main.py"].',
    "before-start": 'Write a list of commands: [["python", "setup_data.py"]].',
    "ports": 'Write a list of ports: [8000, "53/udp"].',
}
_AFTER: dict[str, Callable[[Any], Any]] = {
    "name": _matching(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "Letters, digits, '.', '_' and '-'."),
    "tag": _matching(r"\S+", "Write NAME:TAG."),
    "platforms": lambda values: tuple(dict.fromkeys(part.strip() for value in values for part in value.split(",") if part.strip())),
    "python": _matching(r"3\.[0-9]{1,2}(\.[0-9]{1,3})?", 'Write major and minor version: "3.11".'),
    "command": _argv,
    "entrypoint": _argv,
    "before-start": _argvs,
    "ports": _ports,
    "volumes": _volumes,
    "env": _env,
    "user": _user,
    "workdir": _workdir,
    "labels": _keys,
    "annotations": _keys,
    "packages": _each(_matching(r"[a-z0-9][a-z0-9+.-]+", "Names of Debian packages, for example libgl1.")),
    "requirements": _each(_RELATIVE),
    "debian-mirror": _mirror,
    "accelerator": _matching(
        r"cpu|cuda|auto|xpu|cu[0-9]{2,3}|rocm[0-9]+(\.[0-9]+){1,2}", 'Write "cpu", "cuda", "auto", or a kind of build such as "cu126".'
    ),
    "accelerator-index": _index,
    "suite": _matching(r"[a-z]+", "Write a Debian code name, for example bookworm."),
    "python-builds": _builds,
    "stop-signal": _matching(r"SIG[A-Z0-9]+([+-][0-9]+)?|[0-9]{1,2}", "Write a signal's name, for example SIGTERM."),
}
