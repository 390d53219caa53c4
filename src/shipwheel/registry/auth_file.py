"""The files in which docker and podman keep who may do what at which registry: config.json and auth.json (containers-auth.json(5)).

Both have one format. `auths` maps registries, podman's also namespaces in them (`host/team/app`), to base64 of user:password or to a
token; `credHelpers` and `credsStore` name programs that keep them instead.
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
from shipwheel.registry.hosts import same_registry
from shipwheel.user_dirs import config_home, home

__all__ = ["AuthFile", "Entry", "auth_files", "change", "decode", "docker_config", "key_for", "place_of", "read", "servers"]

_LARGEST = 4 << 20

LEGACY = f"https://index.{ENGINE_REGISTRY}/v1/"
"""docker's key for the engines' default registry."""


class Entry(msgspec.Struct, frozen=True):
    """What a file has for a registry or a namespace in it."""

    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None

    def __repr__(self) -> str:
        return "Entry(…)"

    def __bool__(self) -> bool:
        """Whether it has a secret: docker leaves an empty one as a mark for what a helper keeps."""
        return bool(self.auth or self.password or self.identitytoken or self.registrytoken)

    def login(self, origin: str) -> tuple[str, str]:
        """User name and password; both empty when it has neither. Raises UsageError that says so of `origin`, without the content."""
        if not self.auth:
            return self.username or "", self.password or ""
        try:
            # As Go's decoder does: line ends inside do not matter, anything else that does not belong there does.
            text = base64.b64decode(self.auth.replace("\n", "").replace("\r", ""), validate=True).decode()
        except (binascii.Error, ValueError):
            raise _broken(origin, "what it has as `auth` is not base64 of user:password") from None
        user, colon, password = text.partition(":")
        if not colon:
            raise _broken(origin, "what it has as `auth` is not base64 of user:password: there is no colon in it")
        return user, password.strip("\0")


class _Content(msgspec.Struct, frozen=True):
    auths: dict[str, Entry | None] | None = None
    credHelpers: dict[str, str] | None = None  # noqa: N815 - the file's name for it
    credsStore: str | None = None  # noqa: N815 - the file's name for it


class AuthFile(msgspec.Struct, frozen=True):
    """One file as it was read; an empty one when it is not there. `origin` is its name in messages."""

    origin: str
    auths: dict[str, Entry]
    helpers: dict[str, str]
    store: str = ""

    def __repr__(self) -> str:
        return f"AuthFile({self.origin!r})"

    def helper(self, name: str) -> str:
        """The program that keeps this registry's secrets, or nothing."""
        return next((helper for key, helper in self.helpers.items() if same_registry(key) == name), self.store)

    def entry(self, name: str, repository: str) -> Entry | None:
        """The one that is nearest to the repository: podman's longest namespace, else the registry's own."""
        found: list[tuple[int, bool, Entry]] = []
        for key, entry in self.auths.items():
            host, inside = place_of(key)
            if entry and host == name and f"{repository}/".startswith(f"{inside}/" if inside else ""):
                found.append((len(inside), key in servers(name), entry))
        return max(found, key=lambda it: it[:2])[2] if found else None

    def keys(self, name: str) -> Iterator[tuple[str, str]]:
        """(key, namespace) of all that it has of a registry, empty marks too."""
        for key in self.auths:
            host, inside = place_of(key)
            if host == name:
                yield key, inside


def auth_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files in which credentials are looked for, in this order. REGISTRY_AUTH_FILE stands for all of them, as it does for podman."""
    if named := environ.get("REGISTRY_AUTH_FILE"):
        return (Path(named),)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        places = [Path(runtime) / "containers" / "auth.json"]
    else:
        places = [Path(f"/run/containers/{os.getuid()}/auth.json")] if sys.platform == "linux" else []
    return (*places, config_home(environ) / "containers" / "auth.json", docker_config(environ))


def docker_config(environ: Mapping[str, str]) -> Path:
    """docker's own file."""
    return Path(environ.get("DOCKER_CONFIG") or home(environ) / ".docker") / "config.json"


def place_of(key: str) -> tuple[str, str]:
    """The registry and the namespace in it that a key stands for: no namespace for addresses, which docker once took as keys."""
    head, _, inside = key.strip().lower().partition("/")
    if "://" in key or inside.strip("/") in ("", "v1", "v2"):
        return same_registry(key), ""
    return same_registry(head), inside.rstrip("/")


def servers(name: str) -> tuple[str, ...]:
    """What docker and podman call a registry where they talk to helpers, and as keys."""
    return (LEGACY, name) if name == ENGINE_REGISTRY else (name,)


def key_for(name: str, path: Path) -> str:
    """The key under which the program that owns the file finds the registry again."""
    return name if path.name == "auth.json" else servers(name)[0]


def read(path: Path) -> AuthFile:
    """The file; raises UsageError that names it and says what is wrong, without anything of its content."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return AuthFile(str(path), {}, {})
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="Correct its owner or mode: it should be your own.") from None
    if len(data) > _LARGEST:
        raise _broken(str(path), f"it is larger than {_LARGEST >> 20} MiB")
    return decode(data, str(path))


def decode(data: bytes, origin: str) -> AuthFile:
    """The content of such a file; raises UsageError as `read` does."""
    try:
        found = msgspec.json.decode(data, type=_Content) if data.strip() else _Content()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, msgspec.DecodeError) else "it is not JSON"
        raise _broken(origin, reason) from None
    entries = {key: entry or Entry() for key, entry in (found.auths or {}).items()}
    return AuthFile(origin, entries, found.credHelpers or {}, found.credsStore or "")


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edits the `auths` of a file in place of it, atomically, readable by its owner alone; all else in it stays.

    Raises UsageError when the file is broken or cannot be written.
    """
    read(path)
    # The file that a link leads to, not the link: it may well be kept elsewhere.
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
        hint = "Set DOCKER_CONFIG or REGISTRY_AUTH_FILE to a place that you can write to."
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint=hint) from error


def _replace(path: Path, text: str) -> None:
    # mkstemp makes files with mode 0600.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(handle)
        if path.exists() and hasattr(os, "chown"):
            # With sudo the file may be another user's, and stays so.
            with suppress(OSError):
                os.chown(name, path.stat().st_uid, path.stat().st_gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _broken(origin: str, why: str) -> UsageError:
    return UsageError(f"{origin}: {why}", hint="Correct it, or move it away and run `shipwheel login` again.")
