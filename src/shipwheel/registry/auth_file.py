"""The files in which docker and podman store credentials: config.json and auth.json (containers-auth.json(5)).

Both have one format. `auths` maps registries, and in podman's also namespaces in them (`host/team/app`), to base64 of user:password or to
a token. `credHelpers` and `credsStore` name the credential helpers that store secrets instead.
"""

import base64
import binascii
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import UsageError
from shipwheel.oci.reference import ENGINE_REGISTRY
from shipwheel.registry.hosts import canonical_registry
from shipwheel.user.directories import config_home, home

__all__ = [
    "AuthFile",
    "AuthFileEntry",
    "auth_file_paths",
    "docker_config",
    "edit_auths",
    "key_for",
    "parse_auth_file",
    "parse_key",
    "read_auth_file",
    "server_names",
]

_MAX_SIZE = 4 << 20

_LEGACY_KEY = f"https://index.{ENGINE_REGISTRY}/v1/"
"""docker's key for the engines' default registry."""


class AuthFileEntry(msgspec.Struct, frozen=True):
    """A file's entry for a registry or a namespace in it. True if it holds a secret: docker leaves an empty entry beside a helper's."""

    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None

    def __repr__(self) -> str:
        return "AuthFileEntry(…)"

    def __bool__(self) -> bool:
        return bool(self.auth or self.password or self.identitytoken or self.registrytoken)

    def login(self, label: str) -> tuple[str, str]:
        """Return user name and password, both empty if the entry has neither.

        Raises UsageError for an invalid `auth`. The message names the file, `label`, and shows nothing of its content.
        """
        if not self.auth:
            return self.username or "", self.password or ""
        try:
            # Like Go's decoder: ignore line ends, reject any other character outside the alphabet.
            text = base64.b64decode(self.auth.replace("\n", "").replace("\r", ""), validate=True).decode()
        except (binascii.Error, ValueError):
            raise _broken(label, "an `auth` value is not base64 of user:password") from None
        user, colon, password = text.partition(":")
        if not colon:
            raise _broken(label, "an `auth` value is not base64 of user:password: it has no colon")
        return user, password.strip("\0")


class _Content(msgspec.Struct, frozen=True):
    auths: dict[str, AuthFileEntry | None] | None = None
    credHelpers: dict[str, str] | None = None  # noqa: N815 - the file's name for it
    credsStore: str | None = None  # noqa: N815 - the file's name for it


class AuthFile(msgspec.Struct, frozen=True):
    """A parsed file; empty if it does not exist. `label` names it in messages, `store` is its credsStore."""

    label: str
    auths: dict[str, AuthFileEntry]
    helpers: dict[str, str]
    store: str = ""

    def __repr__(self) -> str:
        return f"AuthFile({self.label!r})"

    def helper(self, registry: str) -> str:
        """Return the name of the helper that stores this registry's secrets, empty without one."""
        return next((helper for key, helper in self.helpers.items() if canonical_registry(key) == registry), self.store)

    def entry(self, registry: str, repository: str) -> AuthFileEntry | None:
        """Return the most specific entry for a repository: podman's longest namespace, else the registry's."""
        matches: list[tuple[int, bool, AuthFileEntry]] = []
        for key, entry in self.auths.items():
            host, namespace = parse_key(key)
            if entry and host == registry and f"{repository}/".startswith(f"{namespace}/" if namespace else ""):
                matches.append((len(namespace), key in server_names(registry), entry))
        return max(matches, key=lambda match: match[:2])[2] if matches else None

    def keys(self, registry: str) -> Iterator[tuple[str, str]]:
        """Yield (key, namespace) of all of a registry's entries, the empty ones included."""
        for key in self.auths:
            host, namespace = parse_key(key)
            if host == registry:
                yield key, namespace


def auth_file_paths(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files to search for credentials, in order. REGISTRY_AUTH_FILE replaces them all, as in podman."""
    if path := environ.get("REGISTRY_AUTH_FILE"):
        return (Path(path),)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        paths = [Path(runtime) / "containers" / "auth.json"]
    else:
        paths = [Path(f"/run/containers/{os.getuid()}/auth.json")] if sys.platform == "linux" else []
    return (*paths, config_home(environ) / "containers" / "auth.json", docker_config(environ))


def docker_config(environ: Mapping[str, str]) -> Path:
    """Return the path of docker's config.json."""
    return Path(environ.get("DOCKER_CONFIG") or home(environ) / ".docker") / "config.json"


def parse_key(key: str) -> tuple[str, str]:
    """Return the registry and the namespace that a key of `auths` stands for.

    The namespace is empty for URLs, which old versions of docker used as keys.
    """
    head, _, namespace = key.strip().lower().partition("/")
    if "://" in key or namespace.strip("/") in ("", "v1", "v2"):
        return canonical_registry(key), ""
    return canonical_registry(head), namespace.rstrip("/")


def server_names(registry: str) -> tuple[str, ...]:
    """Return the names under which docker and podman store a registry's secrets, in helpers and as keys."""
    return (_LEGACY_KEY, registry) if registry == ENGINE_REGISTRY else (registry,)


def key_for(registry: str, path: Path) -> str:
    """Return the key under which the program that owns the file looks for the registry."""
    return registry if path.name == "auth.json" else server_names(registry)[0]


def read_auth_file(path: Path) -> AuthFile:
    """Read a file. Raises UsageError that names a broken file and shows nothing of its content."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return AuthFile(str(path), {}, {})
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="Correct its owner or mode: it should be yours.") from None
    if len(data) > _MAX_SIZE:
        raise _broken(str(path), f"larger than {_MAX_SIZE >> 20} MiB")
    return parse_auth_file(data, str(path))


def parse_auth_file(data: bytes, label: str) -> AuthFile:
    """Parse a file's content. Raises UsageError as `read_auth_file` does."""
    try:
        content = msgspec.json.decode(data, type=_Content) if data.strip() else _Content()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, msgspec.DecodeError) else "not JSON"
        raise _broken(label, reason) from None
    entries = {key: entry or AuthFileEntry() for key, entry in (content.auths or {}).items()}
    return AuthFile(label, entries, content.credHelpers or {}, content.credsStore or "")


def edit_auths(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit the `auths` of a file in place, atomically. The file is readable by its owner only; everything else in it stays.

    Raises UsageError if the file is broken or cannot be written.
    """
    read_auth_file(path)
    # Follow a symbolic link instead of replacing it: users link the file from elsewhere.
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        document = json.loads(text) if text.strip() else {}
        auths = document.get("auths") or {}
        edit(auths)
        document["auths"] = auths
        _replace(path, json.dumps(document, indent="\t", ensure_ascii=False) + "\n")
    except OSError as error:
        hint = "Set DOCKER_CONFIG or REGISTRY_AUTH_FILE to a location that you can write to."
        raise UsageError(f"cannot write {path}: {error.strerror}", hint=hint) from error


def _replace(path: Path, text: str) -> None:
    # mkstemp creates files with mode 0600.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(handle)
        if path.exists() and hasattr(os, "chown"):
            # Under sudo the file may be another user's: keep its owner.
            with suppress(OSError):
                os.chown(name, path.stat().st_uid, path.stat().st_gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _broken(label: str, reason: str) -> UsageError:
    return UsageError(f"{label}: {reason}", hint="Correct it, or move it away and run `shipwheel login` again.")
