"""InRelease: the signed list of an archive's files (Debian repository format; RFC 9580, 7: cleartext signatures).

The signature is checked by Sequoia-PGP, in a pure wheel for every host. Only the text that it hands back, which is the signed text, is
read. A key must have been valid when the signature was made: an archive that is no longer renewed, as an old suite's, stays
readable after its key has expired. Signatures and bindings by SHA-1 or MD5 are refused. The keys are those of Debian's
archive keyring, shipped as `keyring.pgp`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.resources import files

from shipwheel.errors import SignatureError
from shipwheel.events import Warned

__all__ = ["MAXIMUM_AGE", "Release", "archive_keyring", "check_age", "parse_release", "verified"]

MAXIMUM_AGE = timedelta(days=60)
"""How long past its Valid-Until a release is still used, with a warning."""

_HINT = "The mirror is broken or not to be trusted: use another one (SHIPWHEEL_DEBIAN_MIRROR)."


@dataclass(frozen=True, slots=True)
class Release:
    """What a release says of itself and of its files."""

    codename: str
    date: datetime | None
    valid_until: datetime | None
    by_hash: bool
    all_apart: bool
    """Whether packages of architecture `all` are only in Packages files of their own."""
    files: Mapping[str, tuple[str, int]]
    """Path below dists/<codename>/ -> (sha256 in hex, size in bytes)."""


def archive_keyring() -> bytes:
    """Debian's archive keys, as shipped with this package."""
    return (files("shipwheel.debian") / "keyring.pgp").read_bytes()


def verified(signed: bytes, name: str, keyring: bytes | None = None) -> bytes:
    """The signed text of an InRelease file; raises SignatureError unless a key of the keyring made a valid signature over it."""
    import pysequoia

    if not signed.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        raise SignatureError(f"{name}: the file is not signed", hint=_HINT)
    certificates = pysequoia.Cert.split_bytes(archive_keyring() if keyring is None else keyring)
    try:
        result = pysequoia.verify(signed, lambda _wanted: certificates)
    # The library raises plain exceptions of its own for everything that can be wrong.
    except Exception as error:
        reason = (str(error).splitlines() or ["malformed"])[0]
        raise SignatureError(f"{name}: the signature is not good: {reason}", hint=_HINT) from error
    if not result.valid_sigs or result.bytes is None:
        raise SignatureError(f"{name}: none of Debian's archive keys signed it", hint=_HINT)
    return bytes(result.bytes)


def parse_release(text: bytes, name: str, codename: str) -> Release:
    """Reads the signed text; raises SignatureError when it is another release than `codename`, or not one at all."""
    fields = dict(_fields(text.decode("utf-8", "replace")))
    found = fields.get("codename", "")
    if found != codename:
        raise SignatureError(f"{name}: this is the release {found or 'without a codename'!r}, not {codename!r}", hint=_HINT)
    try:
        listed = {
            path: (digest, int(size)) for digest, size, path in (line.split() for line in fields.get("sha256", "").splitlines() if line)
        }
        return Release(
            codename=found,
            date=_date(fields.get("date")),
            valid_until=_date(fields.get("valid-until")),
            by_hash=fields.get("acquire-by-hash", "").strip() == "yes",
            all_apart="all" in fields.get("architectures", "").split()
            and "Packages" not in fields.get("no-support-for-architecture-all", "").split(),
            files=listed,
        )
    except ValueError as error:
        raise SignatureError(f"{name}: the release is malformed ({error})", hint=_HINT) from error


def check_age(release: Release, name: str, now: datetime, *, allow_stale: bool = False) -> Warned | None:
    """What to say of a release whose Valid-Until has passed; raises SignatureError when it is past by more than `MAXIMUM_AGE`."""
    if release.valid_until is None or now <= release.valid_until:
        return None
    late = now - release.valid_until
    message = f"{name} was valid until {release.valid_until:%Y-%m-%d}, {late.days} days ago: the mirror is not up to date"
    if late > MAXIMUM_AGE and not allow_stale:
        raise SignatureError(message, hint="Use another mirror (SHIPWHEEL_DEBIAN_MIRROR): newer security updates are missing on this one.")
    return Warned(message, hint="Newer security updates may be missing; another mirror can be named in SHIPWHEEL_DEBIAN_MIRROR.")


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = parsedate_to_datetime(text.strip())
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Fields of one deb822 stanza, names in lower case; continuation lines joined by newlines without their first space."""
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
