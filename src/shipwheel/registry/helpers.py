"""Credential helpers: the programs `docker-credential-NAME` that keep secrets in a keychain (docker-credential-helpers' protocol)."""

import re
import shutil
import subprocess
from collections.abc import Mapping

import msgspec

from shipwheel.errors import UsageError

__all__ = ["Secret", "ask", "erase", "keep"]

_PATIENCE = 60.0
"""Seconds for a helper, which may want a keychain to be unlocked."""

_NOT_FOUND = "credentials not found in native keychain"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Secret(msgspec.Struct, frozen=True, rename="pascal"):
    """What a helper keeps for a server; the user name `<token>` says that the secret is an identity token."""

    username: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Secret(username={self.username!r})"


def ask(name: str, server: str, environ: Mapping[str, str], origin: str) -> Secret | None:
    """What the helper has for the server, None when it has nothing. `origin` is the file that names the helper.

    Raises UsageError when the helper is missing, fails, or takes longer than a minute.
    """
    answer = _run(name, "get", server, environ, origin)
    if answer is None:
        return None
    try:
        found = msgspec.json.decode(answer, type=Secret)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError(
            f"docker-credential-{name} (named in {origin}) gave for {server} what is not a credential",
            hint=f"Look at what `docker-credential-{name} get` prints for it.",
        ) from None
    return found if found.secret else None


def keep(name: str, server: str, secret: Secret, environ: Mapping[str, str], origin: str) -> None:
    """Hands a secret to the helper; raises UsageError as `ask` does."""
    text = msgspec.json.encode({"ServerURL": server, "Username": secret.username, "Secret": secret.secret}).decode()
    _run(name, "store", text, environ, origin)


def erase(name: str, server: str, environ: Mapping[str, str], origin: str) -> None:
    """Makes the helper forget a server; raises UsageError as `ask` does."""
    _run(name, "erase", server, environ, origin)


def _run(name: str, action: str, given: str, environ: Mapping[str, str], origin: str) -> str | None:
    """What the helper prints; None when it says that it has nothing."""
    called = f"docker-credential-{name}" if _NAME.fullmatch(name) else ""
    if not called:
        raise UsageError(f"{origin} names a credential helper that cannot be one", hint="Correct credsStore and credHelpers there.")
    program = shutil.which(called, path=environ.get("PATH"))
    if program is None:
        raise UsageError(
            f"the credential helper {called}, named in {origin}, is not installed",
            hint=f"Install it, or take it out of credsStore or credHelpers in {origin} and run `shipwheel login` again.",
        )
    try:
        done = subprocess.run(
            [program, action], input=given, env={**environ}, capture_output=True, encoding="utf-8", check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"the credential helper {called}, named in {origin}, took longer than {_PATIENCE:g} seconds",
            hint="It may wait for a keychain to be unlocked: unlock it, and try again.",
        ) from None
    except (OSError, UnicodeError):
        raise UsageError(f"the credential helper {program} cannot be used", hint=f"Try `{called} list`.") from None
    if done.returncode == 0:
        return done.stdout
    if _NOT_FOUND in done.stdout or _NOT_FOUND in done.stderr:
        return None
    raise UsageError(
        f"the credential helper {called}, named in {origin}, failed with {done.returncode}{_reason(done.stdout or done.stderr, given)}",
        hint=f"Try `{called} list`.",
    )


def _reason(printed: str, given: str) -> str:
    """The helper's own reason, unless it could be a secret, or what it was given."""
    lines = printed.strip().splitlines()
    text = lines[0][:200] if lines else ""
    secret = msgspec.json.decode(given, type=Secret).secret if given.startswith("{") else ""
    tells = "{" in text or '"' in text or not text.isprintable() or bool(secret and secret in text)
    return f": {text}" if text and not tells else ""
