"""The choice of a mirror of Debian's archive. Any mirror can be used: releases are signed, and they list the hash of every file."""

import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from shipwheel.download.mirrors import MIRRORS
from shipwheel.errors import FetchError, UsageError

__all__ = ["MIRROR_VARIABLE", "PUBLIC_MIRRORS", "DebianMirror", "apt_mirror", "choose_mirror", "fastest_mirror", "parse_mirror"]

MIRROR_VARIABLE = "SHIPWHEEL_DEBIAN_MIRROR"

PUBLIC_MIRRORS = tuple(mirror.debian for mirror in MIRRORS if mirror.debian)
"""Mirrors of universities and vendors that carry both archives; without a setting, shipwheel uses the fastest of them."""

_TIMEOUT_S = 3.0
_PROBED_SUITE = "bookworm"
_HINT = f"Set {MIRROR_VARIABLE} to the URL of a Debian mirror that this machine can reach, for example https://HOST/debian."


class DebianMirror(msgspec.Struct, frozen=True):
    """Base URLs of the `debian` and the `debian-security` archive, without a trailing slash; `fallbacks` carry the same files."""

    debian: str
    security: str
    fallbacks: "tuple[DebianMirror, ...]" = ()

    @property
    def with_fallbacks(self) -> "tuple[DebianMirror, ...]":
        """This mirror and its fallbacks, in the order in which they are tried."""
        return (self, *self.fallbacks)

    def base(self, archive: str) -> str:
        """Return the base URL of an archive: `debian` or `debian-security`."""
        return self.security if archive == "debian-security" else self.debian


def choose_mirror(
    setting: str | None = None, *, environ: Mapping[str, str] | None = None, apt: Path = Path("/etc/apt"), saved: Sequence[str] = ()
) -> DebianMirror:
    """Return the mirror to use.

    The first of these that exists: the user's `setting`, SHIPWHEEL_DEBIAN_MIRROR, the mirror in apt's configuration, the `saved` choice of
    `shipwheel mirrors`, the fastest public mirror. Raise UsageError for a malformed URL, FetchError if no public mirror answers.
    """
    text = setting or (os.environ if environ is None else environ).get(MIRROR_VARIABLE)
    if text:
        return parse_mirror(text)
    mirrors = [parse_mirror(url) for url in saved]
    return apt_mirror(apt) or (replace(mirrors[0], fallbacks=tuple(mirrors[1:])) if mirrors else fastest_mirror(PUBLIC_MIRRORS))


def parse_mirror(text: str) -> DebianMirror:
    """Parse a setting: the URL of the `debian` archive, and, after a space or comma, that of the security archive if it is elsewhere.

    Raise UsageError for anything else.
    """
    urls = [url.rstrip("/") for url in re.split(r"[\s,]+", text.strip()) if url]
    if not 1 <= len(urls) <= 2 or not all(_is_usable(url) for url in urls):
        raise UsageError(
            "the Debian mirror must be one or two http(s) or file URLs",
            hint="For example https://HOST/debian, or https://HOST/debian https://OTHER/debian-security.",
        )
    return DebianMirror(urls[0], urls[1] if len(urls) == 2 else _sibling(urls[0], "debian-security"))


def apt_mirror(root: Path) -> DebianMirror | None:
    """Return the first Debian and security archive that apt's sources under `root` (/etc/apt) name, or None."""
    debian = security = None
    for uri in _apt_uris(root):
        path = urlsplit(uri).path
        if urlsplit(uri).scheme not in ("http", "https"):
            continue
        if path.endswith("/debian"):
            debian = debian or uri
        elif path.endswith("/debian-security"):
            security = security or uri
    if debian is None and security is None:
        return None
    return DebianMirror(debian or _sibling(security or "", "debian"), security or _sibling(debian or "", "debian-security"))


def fastest_mirror(urls: Sequence[str]) -> DebianMirror:
    """Return the mirror that is first to send the start of a signed release. Raise FetchError if none does within the time limit."""
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for url in urls:
        threading.Thread(target=lambda url=url: answers.put(_probe(url)), daemon=True).start()
    for _ in urls:
        if (fastest := answers.get()) is not None:
            return parse_mirror(fastest)
    raise FetchError(f"none of {len(urls)} public Debian mirrors answered within {_TIMEOUT_S:.0f} s", hint=_HINT)


def _probe(url: str) -> str | None:
    import httpx

    try:
        with httpx.stream("GET", f"{url}/dists/{_PROBED_SUITE}/InRelease", timeout=_TIMEOUT_S, follow_redirects=True) as response:
            head = next(response.iter_bytes(64), b"") if response.status_code == 200 else b""
    except httpx.HTTPError:
        return None
    return url if head.startswith(b"-----BEGIN PGP SIGNED MESSAGE") else None


def _is_usable(url: str) -> bool:
    parts = urlsplit(url)
    return (parts.scheme in ("http", "https") and bool(parts.hostname)) or (parts.scheme == "file" and parts.path.startswith("/"))


def _sibling(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"


def _apt_uris(root: Path) -> Iterator[str]:
    """Yield the URIs of sources.list(5) in apt's order: sources.list, then the files of sources.list.d by name."""
    directory = root / "sources.list.d"
    files = [root / "sources.list", *(sorted(directory.iterdir()) if directory.is_dir() else ())]
    for path in files:
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        if path.suffix == ".list":
            yield from _one_line_uris(text)
        elif path.suffix == ".sources":
            yield from _deb822_uris(text)


def _one_line_uris(text: str) -> Iterator[str]:
    # "deb [ option1=value1 ] uri suite [component1] ..." (sources.list(5))
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s", line.partition("#")[0])
        if match:
            yield match[1].rstrip("/")


def _deb822_uris(text: str) -> Iterator[str]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):((?:.|\n[ \t])*)", stanza, re.MULTILINE)}
        if "deb" in fields.get("types", ()) and fields.get("enabled", ["yes"]) != ["no"]:
            yield from (uri.rstrip("/") for uri in fields.get("uris", ()))
