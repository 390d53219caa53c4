"""InRelease, the signed list of an archive's files (Debian repository format; RFC 9580, 7: cleartext signatures).

Sequoia-PGP checks the signature, and only the signed text that it returns is read. A key must have been valid when it signed: the archive
of an old suite, which is not signed anew, stays readable after its key has expired. Signatures and bindings that use SHA-1 or MD5 are
rejected. The keys are those of Debian's archive keyring, shipped as `keyring.pgp`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from importlib.resources import files

import msgspec

from shipwheel.digest import Sha256, as_sha256
from shipwheel.errors import SignatureError
from shipwheel.events import Warned

__all__ = ["MAX_LAG", "MAX_STALE", "Release", "archive_keyring", "check_age", "check_rollback", "parse_release", "verify_release"]

MAX_STALE = timedelta(days=60)
"""How long a release is still used, with a warning, after its Valid-Until."""

MAX_LAG = timedelta(days=7)
"""How much older a release may be than the newest one known: mirrors are updated at different hours. Debian's own Valid-Until is a week."""

_HINT = "The mirror is broken or cannot be trusted: use another one (SHIPWHEEL_DEBIAN_MIRROR)."


class Release(msgspec.Struct, frozen=True):
    """The fields of a release that shipwheel uses."""

    codename: str
    date: datetime | None
    valid_until: datetime | None
    by_hash: bool
    """True if the mirror also has files under their hash (Acquire-By-Hash)."""
    separate_all: bool
    """True if packages of architecture `all` are only in a Packages file of their own."""
    files: Mapping[str, tuple[Sha256, int]]
    """Path below dists/<codename>/ -> (sha256 in hex, size in bytes)."""


def archive_keyring() -> bytes:
    """Return Debian's archive keys as shipped with shipwheel."""
    return (files("shipwheel.debian") / "keyring.pgp").read_bytes()


def verify_release(signed: bytes, name: str, keyring: bytes | None = None) -> bytes:
    """Return the signed text of an InRelease file. Raise SignatureError unless a key of the keyring made a valid signature."""
    import pysequoia

    if not signed.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        raise SignatureError(f"{name}: the file is not signed", hint=_HINT)
    certificates = pysequoia.Cert.split_bytes(archive_keyring() if keyring is None else keyring)
    try:
        result = pysequoia.verify(signed, lambda _wanted: certificates)
    # pysequoia raises plain Exception for everything that can be wrong.
    except Exception as error:
        reason = (str(error).splitlines() or ["malformed"])[0]
        raise SignatureError(f"{name}: invalid signature: {reason}", hint=_HINT) from error
    if not result.valid_sigs or result.bytes is None:
        raise SignatureError(f"{name}: not signed by any of Debian's archive keys", hint=_HINT)
    return bytes(result.bytes)


def parse_release(text: bytes, name: str, codename: str) -> Release:
    """Parse the signed text. Raise SignatureError if it is not the release `codename`, or malformed."""
    fields = dict(_fields(text.decode("utf-8", "replace")))
    found = fields.get("codename", "")
    if found != codename:
        raise SignatureError(f"{name}: this is the release {found or 'without a codename'!r}, not {codename!r}", hint=_HINT)
    try:
        listed = {
            path: (_hash(text), int(size)) for text, size, path in (line.split() for line in fields.get("sha256", "").splitlines() if line)
        }
        return Release(
            codename=found,
            date=_date(fields.get("date")),
            valid_until=_date(fields.get("valid-until")),
            by_hash=fields.get("acquire-by-hash", "").strip() == "yes",
            separate_all="all" in fields.get("architectures", "").split()
            and "Packages" not in fields.get("no-support-for-architecture-all", "").split(),
            files=listed,
        )
    except ValueError as error:
        raise SignatureError(f"{name}: the release is malformed ({error})", hint=_HINT) from error


def check_age(release: Release, name: str, now: datetime, *, allow_stale: bool = False) -> Warned | None:
    """Return a warning for a release whose Valid-Until has passed. Raise SignatureError if it passed more than `MAX_STALE` ago."""
    if release.valid_until is None or now <= release.valid_until:
        return None
    late = now - release.valid_until
    message = f"{name} was valid until {release.valid_until:%Y-%m-%d}, {late.days} days ago: the mirror is out of date"
    if late > MAX_STALE and not allow_stale:
        raise SignatureError(message, hint="Use another mirror (SHIPWHEEL_DEBIAN_MIRROR): this one lacks recent security updates.")
    return Warned(message, hint="Security updates may be missing; SHIPWHEEL_DEBIAN_MIRROR selects another mirror.")


def check_rollback(release: Release, name: str, newest: datetime | None, as_of: date | None = None) -> None:
    """Raise SignatureError for a release that is more than `MAX_LAG` older than the newest one known, and than the day that is wanted.

    A correctly signed old release without Valid-Until would otherwise hide all later security updates.
    """
    if release.date is None or newest is None:
        return
    oldest = min(newest, datetime.combine(as_of, time.min, UTC)) if as_of is not None else newest
    if release.date < oldest - MAX_LAG:
        raise SignatureError(
            f"{name} is of {release.date:%Y-%m-%d}, but one of {newest:%Y-%m-%d} is known: the mirror is out of date, or hides updates",
            hint="Use another mirror (SHIPWHEEL_DEBIAN_MIRROR). For a snapshot of the archive, give its day (--as-of).",
        )


def _hash(text: str) -> Sha256:
    found = as_sha256(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is not a sha256 hash")
    return found


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = parsedate_to_datetime(text.strip())
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name in lower case, value) of one deb822 stanza; continuation lines are joined by newlines, without their first space."""
    key, lines = "", [""]
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            lines.append(line[1:])
            continue
        if key:
            yield key, "\n".join(lines)
        key, _, value = line.partition(":")
        key, lines = key.lower(), [value.strip()]
    if key:
        yield key, "\n".join(lines)
