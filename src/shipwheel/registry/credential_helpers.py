"""Credential helpers: the programs `docker-credential-NAME` that store secrets in a keychain (docker-credential-helpers' protocol)."""

import shutil
import subprocess
from collections.abc import Mapping

import msgspec

from shipwheel.errors import UsageError
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["HelperSecret", "erase_from_helper", "get_from_helper", "store_in_helper"]

_TIMEOUT_S = 60.0
"""A helper may wait for the user to unlock a keychain."""

_NOT_FOUND = "credentials not found in native keychain"
"""The protocol's answer for an unknown server: helpers have no exit status of its own for it."""

_NAME = lazy_pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class HelperSecret(msgspec.Struct, frozen=True, rename="pascal"):
    """The credential that a helper stores for a server. For the user name `<token>` the secret is an identity token."""

    username: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"HelperSecret(username={self.username!r})"


def get_from_helper(name: str, server: str, environ: Mapping[str, str], file: str) -> HelperSecret | None:
    """Return the helper's secret for the server, None if it has none.

    Args:
        name: the helper's name, without `docker-credential-`.
        server: the server as docker names it.
        environ: the helper's environment.
        file: the file that names the helper, for messages.

    Raises UsageError if the helper is missing, fails, or takes longer than a minute.
    """
    output = _run(name, "get", server, environ, file)
    if output is None:
        return None
    try:
        secret = msgspec.json.decode(output, type=HelperSecret)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError(
            f"docker-credential-{name} (named in {file}) returned no valid credential for {server}",
            hint=f"See what `docker-credential-{name} get` prints.",
        ) from None
    return secret if secret.secret else None


def store_in_helper(name: str, server: str, secret: HelperSecret, environ: Mapping[str, str], file: str) -> None:
    """Store a secret. Takes the same arguments and raises the same errors as `get_from_helper`."""
    text = msgspec.json.encode({"ServerURL": server, "Username": secret.username, "Secret": secret.secret}).decode()
    _run(name, "store", text, environ, file)


def erase_from_helper(name: str, server: str, environ: Mapping[str, str], file: str) -> None:
    """Erase a server's secret. Takes the same arguments and raises the same errors as `get_from_helper`."""
    _run(name, "erase", server, environ, file)


def _run(name: str, action: str, text: str, environ: Mapping[str, str], file: str) -> str | None:
    """Return what the helper prints, None if it has nothing for the server. `text` is its standard input."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{file} names an invalid credential helper", hint="Correct credsStore and credHelpers in the file.")
    program = f"docker-credential-{name}"
    path = shutil.which(program, path=environ.get("PATH"))
    if path is None:
        raise UsageError(
            f"the credential helper {program}, named in {file}, is not installed",
            hint=f"Install it, or remove it from credsStore or credHelpers in {file} and run `shipwheel login` again.",
        )
    try:
        done = subprocess.run(
            [path, action], input=text, env={**environ}, capture_output=True, encoding="utf-8", check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"the credential helper {program}, named in {file}, took longer than {_TIMEOUT_S:g} seconds",
            hint="Unlock the keychain if the helper waits for it, then try again.",
        ) from None
    except (OSError, UnicodeError):
        raise UsageError(f"cannot run the credential helper {path}", hint=f"Try `{program} list`.") from None
    if done.returncode == 0:
        return done.stdout
    if _NOT_FOUND in done.stdout or _NOT_FOUND in done.stderr:
        return None
    raise UsageError(
        f"the credential helper {program}, named in {file}, failed with status {done.returncode}"
        + _reason(done.stdout or done.stderr, text),
        hint=f"Try `{program} list`.",
    )


def _reason(printed: str, text: str) -> str:
    """Return the first line that the helper printed, unless it may hold a secret."""
    lines = printed.strip().splitlines()
    line = lines[0][:200] if lines else ""
    secret = msgspec.json.decode(text, type=HelperSecret).secret if text.startswith("{") else ""
    unsafe = "{" in line or '"' in line or not line.isprintable() or bool(secret and secret in line)
    return f": {line}" if line and not unsafe else ""
