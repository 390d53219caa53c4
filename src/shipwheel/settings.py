"""The user's settings: `[tool.shipwheel]` in pyproject.toml, or shipwheel.toml, with the same names as the flags.

All problems of a table are collected and raised together. An unknown key comes with the most similar known one.
"""

import datetime
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.container_path import as_container_path
from shipwheel.errors import UsageError
from shipwheel.linux_signals import signal_name
from shipwheel.user_files import UserFiles

__all__ = ["SITE_PACKAGES", "AllowedSecret", "Settings", "added", "expand_env", "load_settings", "merge", "settings_from"]

SITE_PACKAGES = "{site-packages}"
"""Placeholder for the image's site-packages directory in the values of `env`."""


class AllowedSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that looks like a secret and is meant to be in the image. `path` is a pattern as in .gitignore, `reason` says why."""

    path: str
    reason: str


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Everything that a user can set. Each field is a key of the file, and many are flags as well."""

    name: str | None = None
    """Name of the project. Default: the name in its metadata, else that of its directory."""
    tag: str | None = None
    """Name of the image, as NAME:TAG."""
    platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64")
    """Platforms to build for. Each gets an image of its own in one image index."""
    python: str | None = None
    """Python version, for example "3.11". Default: what .python-version, runtime.txt or requires-python asks for."""
    as_of: datetime.date | None = None
    """Ignore Python packages that were uploaded to the package index after this day (YYYY-MM-DD)."""
    command: tuple[str, ...] = ()
    """Command to run, as a list of words or as one string. A string is split like in a shell, but no shell runs it."""
    entrypoint: tuple[str, ...] = ()
    """Program to run, written like `command`. If it is set, `command` holds its default arguments."""
    ports: tuple[str, ...] = ()
    """Ports that the app listens on, for example 8000 or "53/udp" (image-spec: ExposedPorts)."""
    volumes: tuple[str, ...] = ()
    """Absolute paths that hold data. The app's user owns them; the first one also records which `before-start` commands have run."""
    state: tuple[str, ...] = ()
    """Paths that the app writes, in addition to those that were found: absolute, or below the working directory. A directory ends in a
    slash and becomes a volume, "uploads/"; a file becomes a link into the volume /data, "db.sqlite3"."""
    env: dict[str, str] = {}
    """Environment variables. `{site-packages}` in a value stands for the image's site-packages directory."""
    before_start: tuple[tuple[str, ...], ...] = ()
    """Commands to run once for each new volume, before the app starts. Each is a list of words."""
    user: str | None = None
    """User to run as, as numeric "uid:gid" or "uid"; "0" is root. Default: the base image's user unless that is root, else 65532:65532."""
    workdir: str = "/app"
    """Working directory. An app that is not a package is copied here."""
    labels: dict[str, str] = {}
    """Labels of the image. All annotations become labels, too."""
    annotations: dict[str, str] = {}
    """Annotations of the images and of the image index (image-spec, annotations.md)."""
    packages: tuple[str, ...] = ()
    """Debian packages to add, together with the programs, data and libraries that they need."""
    extras: tuple[str, ...] = ()
    """Extras of the project to install."""
    groups: tuple[str, ...] = ()
    """Dependency groups (PEP 735) to install in addition to the project's dependencies."""
    include: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files to copy although they would be left out. Secrets need `allow-secrets`."""
    exclude: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files not to copy into the image."""
    allow_secrets: tuple[AllowedSecret, ...] = ()
    """Files that look like secrets and are meant to be in the image: a list of `{path = "…", reason = "…"}`, with a pattern as in
    .gitignore and the reason. The path `env.NAME` stands for a variable of `env`."""
    dependencies: tuple[str, ...] = ()
    """Python packages to install in addition to the project's own, as requirements (PEP 508), for example "setuptools<81"."""
    ignore_imports: tuple[str, ...] = ()
    """Top-level modules that the proof of imports takes for granted, because the app finds them in its own way."""
    requirements: tuple[str, ...] = ()
    """Requirements files to use instead of those that shipwheel finds, relative to the project."""
    debian_mirror: str | None = None
    """URL of a Debian mirror. shipwheel verifies the signatures and hashes of what it sends."""
    accelerator: str | None = None
    """Accelerator that torch and related packages are built for: "cpu", a CUDA version such as "cu126", a ROCm version such as "rocm6.4",
    "xpu", "auto" for what uv detects on this machine, or "cuda" for the builds on the package index. Default: "cpu"."""
    accelerator_index: str | None = None
    """URL of a mirror of PyTorch's index of these builds, without the accelerator at its end."""
    base: str | None = None
    """Base image with a Python, in a registry (NAME:TAG or NAME@DIGEST) or in a layout ("oci:DIR"). Default: a base composed of Debian
    packages."""
    suite: str | None = None
    """Debian suite of the base, for example "bookworm". Default: the suite with the Python version."""
    python_builds: str | None = None
    """Source of standalone Pythons, for versions that no Debian suite has: an archive of python-build-standalone, a directory of them, or
    the URL of a mirror, as in uv's python-install-mirror. Default: what uv is configured to use."""
    bytecode: bool = True
    """Add compiled bytecode: the image is larger, and the app starts much faster."""
    init: bool = True
    """Run Debian's tini as the first process of the container: it forwards signals and reaps orphans. Otherwise the command is the first
    process, and the kernel drops every signal that it does not handle."""
    stop_signal: str | None = None
    """Signal that stops a container, for example "SIGINT". Default: SIGTERM."""
    cache_repo: str | None = None
    """Repository in a registry that caches layers for all projects; `--push` reuses them instead of building them. Trust everyone who can
    write to it as much as everyone who can push the image."""
    records: bool = True
    """Attach records of the layers to a pushed image, as an artifact of about 0.2 MB that refers to it. With them, another machine that
    builds a changed image need not make or fetch the layers that stay."""
    output: str | None = None
    """Directory for an OCI image layout, or FILE.tar for an archive. Default: NAME.oci in the current directory."""


def load_settings(root: Path, files: UserFiles | None = None) -> Settings:
    """Return the settings of a project directory, or the defaults if it has none.

    Raise UsageError for a wrong key or value and for settings in both files, ProjectError for a TOML syntax error.
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
            hint="Move all settings into one of the two files.",
        )
    return settings_from(files.read_toml(own), str(own))


def settings_from(table: object, origin: str) -> Settings:
    """Return the settings in a TOML table. `origin` names it in errors. Raise UsageError with all problems."""
    return _merge(Settings(), table, origin, by_flag=False)


def merge(settings: Settings, flags: Mapping[str, object]) -> Settings:
    """Return the settings with a table of flags applied. A flag that is None was not set.

    Flags win; `env`, `labels` and `annotations` are merged key by key. Keys of flags may have underscores. Raise UsageError with all
    problems.
    """
    return _merge(settings, flags, "command line", by_flag=True)


def _merge(settings: Settings, table: object, origin: str, *, by_flag: bool) -> Settings:
    if not isinstance(table, Mapping):
        raise UsageError(f"{origin} is not a table", hint="Write `key = value` lines below a [tool.shipwheel] line.")
    fields = {field.encode_name: field for field in msgspec.structs.fields(Settings)}
    problems: list[str] = []
    hints: list[str] = []
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = name.replace("_", "-") if by_flag else name
        if value is None:
            continue
        if key not in fields:
            similar = _most_similar(key, list(fields))
            problems.append(f"unknown key {key!r}" + (f", did you mean {similar!r}?" if similar else ""))
            if key == "tool" and not by_flag:
                hints.append(
                    "A [tool.shipwheel] line belongs into pyproject.toml only: leave it out here, and write [env] for [tool.shipwheel.env]."
                )
                continue
            hints.append("" if similar else f"Known keys: {', '.join(sorted(fields))}.")
            continue
        try:
            values[fields[key].name] = _value(key, value, fields[key].type)
        except _InvalidValue as error:
            problems.append(f"{key}: {error.message}")
            hints.append(error.hint)
    if problems:
        raise UsageError(f"{origin}: " + "; ".join(problems), hint=" ".join(dict.fromkeys(filter(None, hints))) or "Correct these keys.")
    for name in ("env", "labels", "annotations"):
        if name in values:
            values[name] = {**getattr(settings, name), **values[name]}
    return msgspec.structs.replace(settings, **values)


def added(settings: Settings, key: str, value: Any) -> Settings:
    """Return the settings with a value added: appended to a list, merged into a table, or in place of a value that is not set.

    A value that a person set stays. Raise UsageError for a wrong value.
    """
    name = key.replace("-", "_")
    before = getattr(settings, name)
    if name == "command":
        return _merge(settings, {key: value}, "the finding", by_flag=False)
    if isinstance(before, tuple):
        one = [value] if name == "before_start" else value
        new = [item for item in one if item not in before]
        return _merge(settings, {key: [*before, *new]}, "the finding", by_flag=False) if new else settings
    if isinstance(before, Mapping):
        return _merge(settings, {key: {**value, **before}}, "the finding", by_flag=False)
    return settings if before is not None else _merge(settings, {key: value}, "the finding", by_flag=False)


def expand_env(env: Mapping[str, str], site_packages: str) -> dict[str, str]:
    """Return the environment with `{site-packages}` replaced. Other braces stay, because values may be JSON."""
    return {key: value.replace(SITE_PACKAGES, site_packages) for key, value in env.items()}


class _InvalidValue(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _most_similar(key: str, known: list[str]) -> str:
    import difflib

    same = [name for name in known if name.replace("-", "") == re.sub(r"[-_ ]", "", key.lower())]
    return (same or difflib.get_close_matches(key.lower().replace("_", "-"), known, 1, 0.6) or [""])[0]


def _value(key: str, value: object, kind: Any) -> Any:
    """Return a value converted to the type of its field and checked. Raise _InvalidValue if it does not fit."""
    if key in _TO_TYPE:
        value = _TO_TYPE[key](value)
    if kind == tuple[str, ...] and isinstance(value, str):
        value = [value]
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        reason = reason.replace(" | null", "").replace("`", "").replace("Invalid RFC3339 encoded date", f"{value!r} is not a day")
        raise _InvalidValue(
            (f"at {key}{place.rstrip('`')} " if place else "") + reason[:1].lower() + reason[1:], _HINTS.get(key, "")
        ) from None
    return _CHECKS[key](converted) if key in _CHECKS else converted


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise _InvalidValue(f"cannot be split into words ({str(error).lower()})", 'Write a list: ["python", "main.py"].') from None


def _steps(value: object) -> object:
    if isinstance(value, (list, tuple)) and value and all(isinstance(word, str) for word in value):
        raise _InvalidValue("must be a list of commands, each a list of words", f"Write [[{', '.join(map(_quoted, value))}]].")
    return value


def _quoted(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _texts(value: object) -> object:
    if isinstance(value, Mapping):
        wrong = [str(name) for name, text in value.items() if not isinstance(text, str)]
        if wrong:
            raise _InvalidValue(f"{', '.join(wrong)} must be a string", "Write the value in quotes.")
    return value


def _port_texts(value: object) -> object:
    if isinstance(value, (int, str)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    return [str(port) if isinstance(port, int) and not isinstance(port, bool) else port for port in value]


def _ports(ports: tuple[str, ...]) -> tuple[str, ...]:
    normalized = []
    for port in ports:
        found = re.fullmatch(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?", port.strip().lower())
        if found is None or not 0 < int(found[1]) < 65536:
            raise _InvalidValue(f"{port!r} is not a port", 'A port is a number from 1 to 65535, or one with its protocol: 8000, "53/udp".')
        normalized.append(f"{int(found[1])}/{found[2] or 'tcp'}")
    return tuple(dict.fromkeys(normalized))


def _user_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _user(user: str) -> str:
    found = re.fullmatch(r"([0-9]{1,10})(?::([0-9]{1,10}))?", user)
    if found is None or max(int(found[1]), int(found[2] or 0)) > 0xFFFFFFFE:
        raise _InvalidValue(
            f"{user!r} is not numeric", 'Write "uid" or "uid:gid" in digits, as runAsNonRoot needs it: "65532:65532"; root is "0".'
        )
    return f"{int(found[1])}:{int(found[2] or found[1])}"


def _absolute(path: str) -> str:
    parts = path.rstrip("/").split("/")
    if not path.startswith("/") or any(part in ("", ".", "..") for part in parts[1:]) or "\0" in path or len(parts) == 1:
        raise _InvalidValue(f"{path!r} is not an absolute path below /", "Write the whole path, for example /data.")
    return path.rstrip("/")


def _volumes(volumes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_volume(volume) for volume in volumes))


def _volume(text: str) -> str:
    path = as_container_path(text)
    if path is None:
        raise _InvalidValue(f"{text!r} is not an absolute path below /", "Write the whole path, for example /data, without `:` and `,`.")
    return path


def _state_path(path: str) -> str:
    parts = path.removeprefix("./").strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise _InvalidValue(f"{path!r} is not a path", 'Write a file, "db.sqlite3", or a directory, "uploads/" or "/var/lib/app/".')
    return path.removeprefix("./")


def _requirement(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(text))
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise _InvalidValue(f"{text!r} is not a requirement ({reason})", 'Write "name", or "name>=1,<2" (PEP 508).') from None


def _workdir(path: str) -> str:
    return path if path == "/" else _absolute(path)


def _env(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value or not name.isprintable() or " " in name:
            raise _InvalidValue(f"{name!r} is not a valid environment variable", "Names contain no '=' and no space, values no NUL.")
    return env


def _keys(table: dict[str, str]) -> dict[str, str]:
    if "" in table:
        raise _InvalidValue("has an empty key", "Write a key before the equals sign (image-spec: keys must not be empty).")
    return table


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0] or any("\0" in word for word in words):
        raise _InvalidValue("has no program to run", 'Write a list of words: ["python", "main.py"].')
    return words


def _argvs(steps: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(_argv(step) for step in steps)


def _matching(pattern: str, hint: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise _InvalidValue(f"{value!r} is not allowed", hint)
        return value

    return check


def _mirror(address: str) -> str:
    # The value is not repeated: it may hold a password.
    if re.fullmatch(r"(https?|file)://[^\s@]+", address) is None:
        raise _InvalidValue("not the URL of a Debian archive", "Write an http, https or file URL without user and password.")
    return address


def _index(address: str) -> str:
    if re.fullmatch(r"https?://[^\s@]+", address) is None:
        raise _InvalidValue("not the URL of a package index", "Write an http or https URL without user and password.")
    return address.rstrip("/")


def _python_builds(location: str) -> str:
    if (
        not location.strip()
        or "\0" in location
        or (re.match(r"[a-z+]+://", location) and not re.fullmatch(r"(https?|file)://[^\s@]+", location))
    ):
        raise _InvalidValue(
            "neither a path nor the URL of a mirror", "Write a path, or an http, https or file URL without user and password."
        )
    return location.rstrip("/") or "/"


def _signal(text: str) -> str:
    name = signal_name(text)
    if name is None:
        raise _InvalidValue(f"{text!r} is not a signal of Linux", "Write its name, for example SIGTERM, or its number.")
    return name


def _each(check: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    return lambda values: tuple(check(value) for value in values)


def _allowed_secrets(allowed: tuple[AllowedSecret, ...]) -> tuple[AllowedSecret, ...]:
    for secret in allowed:
        if not secret.path.strip() or not secret.reason.strip():
            raise _InvalidValue("needs a path and a reason", _HINTS["allow-secrets"])
    return allowed


_RELATIVE = _matching(r"(?!/)(?!(.*/)?\.\.(/|$))[^\0\\]+", "Write a path inside the project, relative to it.")

_TO_TYPE: dict[str, Callable[[object], object]] = {
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
    "as-of": "Write a day as YYYY-MM-DD.",
    "bytecode": "Write true or false.",
    "init": "Write true or false.",
    "records": "Write true or false.",
    "command": 'Write a list of words: ["python", "main.py"].',
    "entrypoint": 'Write a list of words: ["python", "main.py"].',
    "before-start": 'Write a list of commands: [["python", "setup_data.py"]].',
    "ports": 'Write a list of ports: [8000, "53/udp"].',
    "allow-secrets": 'Write a list of tables: [{path = "certs/test.pem", reason = "for the demo only"}].',
}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _matching(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "Use letters, digits, '.', '_' and '-'."),
    "tag": _matching(r"\S+", "Write NAME:TAG."),
    "platforms": lambda values: tuple(dict.fromkeys(part.strip() for value in values for part in value.split(",") if part.strip())),
    "python": _matching(r"3\.[0-9]{1,2}(\.[0-9]{1,3})?", 'Write the major and minor version, for example "3.11".'),
    "command": _argv,
    "entrypoint": _argv,
    "before-start": _argvs,
    "ports": _ports,
    "volumes": _volumes,
    "state": _each(_state_path),
    "dependencies": _each(_requirement),
    "env": _env,
    "user": _user,
    "workdir": _workdir,
    "labels": _keys,
    "annotations": _keys,
    "packages": _each(_matching(r"[a-z0-9][a-z0-9+.-]+", "Write names of Debian packages, for example libgl1.")),
    "requirements": _each(_RELATIVE),
    "allow-secrets": _allowed_secrets,
    "debian-mirror": _mirror,
    "accelerator": _matching(
        r"cpu|cuda|auto|xpu|cu[0-9]{2,3}|rocm[0-9]+(\.[0-9]+){1,2}", 'Write "cpu", "cuda", "auto", or a version such as "cu126".'
    ),
    "accelerator-index": _index,
    "suite": _matching(r"[a-z]+", "Write a Debian code name, for example bookworm."),
    "python-builds": _python_builds,
    "stop-signal": _signal,
}
