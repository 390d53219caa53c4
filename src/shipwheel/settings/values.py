"""The values of settings: converted to their types, and checked."""

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shipwheel.container.path import as_container_path
from shipwheel.container.signals import signal_name
from shipwheel.container.venv import VENV
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["AllowedSecret", "InvalidValue", "pattern_of", "setting_value"]


class AllowedSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that looks like a secret and is meant to be in the image. `path` is a pattern as in .gitignore, `reason` says why."""

    path: str
    reason: str


class InvalidValue(Exception):
    """A value that a setting cannot have: why, and what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


_TYPES = lazy_pattern(r"`([^`]*)`")
_TOML_TYPES = {"str": "string", "int": "integer", "bool": "boolean", "object": "table"}
"""msgspec's names of types -> those of TOML, where they differ."""


def _toml_types(found: re.Match[str]) -> str:
    return " or ".join(_TOML_TYPES.get(name, name) for name in found[1].split(" | ") if name != "null")


def setting_value(key: str, value: object, kind: Any) -> Any:
    """Return a value converted to the type of its field and checked. Raise InvalidValue if it does not fit."""
    if key in _TO_TYPE:
        value = _TO_TYPE[key](value)
    if kind == tuple[str, ...] and isinstance(value, str):
        value = [value]
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        reason = _TYPES.sub(_toml_types, reason).replace("Invalid RFC3339 encoded date", f"{value!r} is not a day")
        raise InvalidValue(
            (f"at {key}{place.rstrip('`')} " if place else "") + reason[:1].lower() + reason[1:], _HINTS.get(key, "")
        ) from None
    return _CHECKS[key](converted) if key in _CHECKS else converted


def pattern_of(key: str) -> str:
    """Return the regular expression that the text of a setting, or each text of its list, matches as a whole; empty if there is none."""
    check = _CHECKS.get(key)
    if isinstance(check, _Each):
        check = check.check
    return check.pattern if isinstance(check, _Matching) else ""


def _bytecode(value: object) -> object:
    return ("all" if value else "none") if isinstance(value, bool) else value


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise InvalidValue(f"cannot be split into words ({str(error).lower()})", 'Write a list: ["python", "main.py"].') from None


def _commands(value: object) -> object:
    return {name: _words(words) for name, words in value.items()} if isinstance(value, Mapping) else value


def _processes(processes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    for name in processes:
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) is None:
            raise InvalidValue(f"{name!r} is not the name of a process", "Use letters, digits, '-' and '_'.")
    return {name: _argv(words) for name, words in processes.items()}


def _steps(value: object) -> object:
    if isinstance(value, (list, tuple)) and value and all(isinstance(word, str) for word in value):
        raise InvalidValue("must be a list of commands, each a list of words", f"Write [[{', '.join(map(_quoted, value))}]].")
    return value


def _quoted(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _texts(value: object) -> object:
    if isinstance(value, Mapping):
        wrong = [str(name) for name, text in value.items() if not isinstance(text, str)]
        if wrong:
            raise InvalidValue(f"{', '.join(wrong)} must be a string", "Write the value in quotes.")
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
            raise InvalidValue(f"{port!r} is not a port", 'A port is a number from 1 to 65535, or one with its protocol: 8000, "53/udp".')
        normalized.append(f"{int(found[1])}/{found[2] or 'tcp'}")
    return tuple(dict.fromkeys(normalized))


def _user_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _user(user: str) -> str:
    found = re.fullmatch(r"([0-9]{1,10})(?::([0-9]{1,10}))?", user)
    if found is None or max(int(found[1]), int(found[2] or 0)) > 0xFFFFFFFE:
        raise InvalidValue(
            f"{user!r} is not numeric", 'Write "uid" or "uid:gid" in digits, as runAsNonRoot needs it: "65532:65532"; root is "0".'
        )
    return f"{int(found[1])}:{int(found[2] or found[1])}"


def _absolute(path: str) -> str:
    parts = path.rstrip("/").split("/")
    if not path.startswith("/") or any(part in ("", ".", "..") for part in parts[1:]) or "\0" in path or len(parts) == 1:
        raise InvalidValue(f"{path!r} is not an absolute path below /", "Write the whole path, for example /data.")
    return path.rstrip("/")


def _volumes(volumes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_volume(volume) for volume in volumes))


def _volume(text: str) -> str:
    path = as_container_path(text)
    if path is None:
        raise InvalidValue(f"{text!r} is not an absolute path below /", "Write the whole path, for example /data, without `:` and `,`.")
    return path


def _state_path(path: str) -> str:
    parts = path.removeprefix("./").strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise InvalidValue(f"{path!r} is not a path", 'Write a file, "db.sqlite3", or a directory, "uploads/" or "/var/lib/app/".')
    return path.removeprefix("./")


def _requirement(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(text))
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise InvalidValue(f"{text!r} is not a requirement ({reason})", 'Write "name", or "name>=1,<2" (PEP 508).') from None


def _replacements(replaced: dict[str, str]) -> dict[str, str]:
    return {_requirement(name): _requirement(text) for name, text in replaced.items()}


def _workdir(path: str) -> str:
    return path if path == "/" else _absolute(path)


def _env(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value or not name.isprintable() or " " in name:
            raise InvalidValue(f"{name!r} is not a valid environment variable", "Names contain no '=' and no space, values no NUL.")
    return env


def _published_port(text: str) -> str:
    found = re.fullmatch(r"(?:(?:\[[0-9a-fA-F:]+\]|[0-9.]+):)?(?:([0-9]{1,5}):)?([0-9]{1,5})(?:/(?:tcp|udp))?", text.strip())
    if found is None or not all(0 < int(number) < 65536 for number in found.groups() if number):
        hint = 'Write the port, 8000, this machine\'s and the container\'s, "8080:8000", or an address before both, "0.0.0.0:8080:8000".'
        raise InvalidValue(f"{text!r} is not a port to publish", hint)
    return text.strip()


def _named_volumes(volumes: dict[str, str]) -> dict[str, str]:
    for name in volumes:
        if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name) is None:
            raise InvalidValue(f"{name!r} is not the name of a volume", "Use letters, digits, '_', '.' and '-'.")
    return {name: _volume(path) for name, path in volumes.items()}


def _health(health: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if not isinstance(health, str):
        return _argv(health)
    if not health.startswith("/") or " " in health or not health.isprintable():
        raise InvalidValue(f"{health!r} is not the path of a URL", _HINTS["services.health"])
    return health


def _positive(number: Any) -> Any:
    if not 0 < number < 1_000_000:
        raise InvalidValue(f"{number} is not a positive number", "Write a number above zero.")
    return number


def _keys(table: dict[str, str]) -> dict[str, str]:
    if "" in table:
        raise InvalidValue("has an empty key", "Write a key before the equals sign (image-spec: keys must not be empty).")
    return table


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0] or any("\0" in word for word in words):
        raise InvalidValue("has no program to run", 'Write a list of words: ["python", "main.py"].')
    return words


def _argvs(steps: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(_argv(step) for step in steps)


class _Matching(msgspec.Struct, frozen=True):
    """The check of a text by a regular expression, which must match it as a whole."""

    pattern: str
    hint: str

    def __call__(self, value: str) -> str:
        if re.fullmatch(self.pattern, value) is None:
            raise InvalidValue(f"{value!r} is not allowed", self.hint)
        return value


def _mirror(address: str) -> str:
    # The value is not repeated: it may hold a password.
    if re.fullmatch(r"(https?|file)://[^\s@]+", address) is None:
        raise InvalidValue("not the URL of a Debian archive", "Write an http, https or file URL without user and password.")
    return address


def _index(address: str) -> str:
    if re.fullmatch(r"https?://[^\s@]+", address) is None:
        raise InvalidValue("not the URL of a package index", "Write an http or https URL without user and password.")
    return address.rstrip("/")


def _python_builds(location: str) -> str:
    if (
        not location.strip()
        or "\0" in location
        or (re.match(r"[a-z+]+://", location) and not re.fullmatch(r"(https?|file)://[^\s@]+", location))
    ):
        raise InvalidValue(
            "neither a path nor the URL of a mirror", "Write a path, or an http, https or file URL without user and password."
        )
    return location.rstrip("/") or "/"


def _signal(text: str) -> str:
    name = signal_name(text)
    if name is None:
        raise InvalidValue(f"{text!r} is not a signal of Linux", "Write its name, for example SIGTERM, or its number.")
    return name


class _Each(msgspec.Struct, frozen=True):
    """The check of each text of a list."""

    check: Callable[[str], str]

    def __call__(self, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.check(value) for value in values)


def _allowed_secrets(allowed: tuple[AllowedSecret, ...]) -> tuple[AllowedSecret, ...]:
    for secret in allowed:
        if not secret.path.strip() or not secret.reason.strip():
            raise InvalidValue("needs a path and a reason", _HINTS["allow-secrets"])
    return allowed


_RELATIVE = _Matching(r"(?!/)(?!(.*/)?\.\.(/|$))[^\0\\]+", "Write a path inside the project, relative to it.")

_PACKAGE = _Matching(r"[a-z0-9][a-z0-9+.-]+", "Write names of Debian packages, for example libgl1.")

_NO_TARGETS = ("/dev/", "/proc/", "/sys/", "/tmp/", "/run/", f"/{VENV}/", "/opt/shipwheel/")  # noqa: S108
"""Directories that engines mount something at, and those that shipwheel fills."""


def _copies(copies: dict[str, str]) -> dict[str, str]:
    return {_copy_target(target): _RELATIVE(source.rstrip("/")) if source else "" for target, source in copies.items()}


def _copy_target(text: str) -> str:
    path = as_container_path(text)
    if path is None:
        raise InvalidValue(f"{text!r} is not an absolute path below /", "Write the whole path: /etc/shop/shop.toml.")
    if f"{path}/".startswith(_NO_TARGETS) or "/.wh." in path:
        raise InvalidValue(f"nothing can be copied to {text}", "Copy to a place such as /etc/shop/shop.toml.")
    return path


def _normal_path(value: object) -> object:
    return posixpath.normpath(value) if isinstance(value, str) and value else value


def _asset_target(text: str) -> str:
    return _copy_target(text) if text.startswith("/") else _RELATIVE(text)


_TO_TYPE: dict[str, Callable[[object], object]] = {
    "command": _words,
    "entrypoint": _words,
    "before-start": _steps,
    "bytecode": _bytecode,
    "ports": _port_texts,
    "user": _user_text,
    "env": _texts,
    "copy": _texts,
    "processes": _commands,
    "labels": _texts,
    "annotations": _texts,
    "services.ports": _port_texts,
    "services.env": _texts,
    "services.volumes": _texts,
    "services.command": _words,
    "steps.run": _words,
    "steps.env": _texts,
    "assets.run": _words,
    "assets.in": _normal_path,
    "assets.output": _normal_path,
    "assets.to": _normal_path,
    "assets.env": _texts,
}
_HINTS = {
    "python": 'Write the version in quotes: python = "3.11".',
    "as-of": "Write a day as YYYY-MM-DD.",
    "bytecode": 'Write "all", "used" or "none".',
    "init": "Write true or false.",
    "records": "Write true or false.",
    "command": 'Write a list of words: ["python", "main.py"].',
    "entrypoint": 'Write a list of words: ["python", "main.py"].',
    "processes": 'Write a table of commands: {worker = "celery -A shop worker"}.',
    "before-start": 'Write a list of commands: [["python", "setup_data.py"]].',
    "ports": 'Write a list of ports: [8000, "53/udp"].',
    "copy": 'Write a table: {"/etc/shop/shop.toml" = "conf/shop.toml"}.',
    "allow-secrets": 'Write a list of tables: [{path = "certs/test.pem", reason = "for the demo only"}].',
    "services.ports": 'Write a list of ports: [8000, "8080:8000"].',
    "services.volumes": 'Write a table of volumes: {data = "/var/lib/data"}.',
    "services.health": 'Write the path of a URL, "/health", or a command as a list of words: ["pg_isready", "-U", "app"].',
    "services.job": "Write true or false.",
    "assets.run": 'Write a list of words: ["npm", "run", "build"].',
    "assets.node": 'Write the version in quotes: node = "22".',
    "steps.run": 'Write a list of words: ["python", "manage.py", "collectstatic", "--noinput"].',
    "steps.network": "Write true or false.",
    "services.hardened": "Write true or false.",
}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _Matching(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "Use letters, digits, '.', '_' and '-'."),
    "tag": _Matching(r"\S+", "Write NAME:TAG."),
    "platforms": lambda values: tuple(dict.fromkeys(part.strip() for value in values for part in value.split(",") if part.strip())),
    "python": _Matching(r"3\.[0-9]{1,2}(\.[0-9]{1,3})?", 'Write the major and minor version, for example "3.11".'),
    "command": _argv,
    "entrypoint": _argv,
    "before-start": _argvs,
    "ports": _ports,
    "volumes": _volumes,
    "state": _Each(_state_path),
    "dependencies": _Each(_requirement),
    "replace": _replacements,
    "env": _env,
    "copy": _copies,
    "processes": _processes,
    "user": _user,
    "workdir": _workdir,
    "labels": _keys,
    "annotations": _keys,
    "packages": _Each(_PACKAGE),
    "lock": _Matching(r"pylock\.[^./\\\s]+\.toml", 'Write "pylock.NAME.toml", as PEP 751 names a lock.'),
    "requirements": _Each(_RELATIVE),
    "allow-secrets": _allowed_secrets,
    "debian-mirror": _mirror,
    "compression": _Matching(r"gzip|zstd", 'Write "gzip" or "zstd".'),
    "accelerator": _Matching(
        r"cpu|cuda|auto|xpu|cu[0-9]{2,3}|rocm[0-9]+(\.[0-9]+){1,2}", 'Write "cpu", "cuda", "auto", or a version such as "cu126".'
    ),
    "accelerator-index": _index,
    "suite": _Matching(r"[a-z]+", "Write a Debian code name, for example bookworm."),
    "python-builds": _python_builds,
    "stop-signal": _signal,
    "services.image": _Matching(r"[^\s-]\S*", "Write NAME:TAG."),
    "services.path": _Matching(r"[^\0\s][^\0]*", "Write the directory of a project, relative to this one."),
    "services.ports": _Each(_published_port),
    "services.volumes": _named_volumes,
    "services.env": _env,
    "services.secrets": _Each(_Matching(r"[A-Za-z_][A-Za-z0-9_]*", "Write names of variables, for example POSTGRES_PASSWORD.")),
    "services.profiles": _Each(_Matching(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", "Use two or more letters, digits, '_', '.' and '-'.")),
    "services.schedule": _Matching(
        r"@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[\w*,/?-]+( [\w*,/?-]+){4}",
        'Write five fields as cron has them: "0 3 * * *".',
    ),
    "services.health": _health,
    "services.command": _argv,
    "steps.run": _argv,
    "steps.env": _env,
    "assets.run": _argv,
    "assets.env": _env,
    "assets.output": _RELATIVE,
    "assets.in": _RELATIVE,
    "assets.to": _asset_target,
    "assets.packages": _Each(_PACKAGE),
    "assets.node": _Matching(r"[~^]?[0-9]+(\.[0-9]+){0,2}", 'Write a version in quotes: node = "22", or "^22.12.0" for no older one.'),
    "assets.image": _Matching(
        r"[^\s@-][^\s@]*@sha256:[0-9a-f]{64}", "Write NAME@sha256:… or NAME:TAG@sha256:…, so that each build has the same image."
    ),
    "services.memory": _Matching(r"[0-9]+(\.[0-9]+)? ?([bkmgtBKMGT]([iI]?[bB])?)?", 'Write a number with a unit, such as "512m".'),
    "services.cpus": _positive,
    "services.start-timeout": _positive,
}
