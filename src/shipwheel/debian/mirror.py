"""Where Debian's archive is fetched from. Any mirror will do: the archive is signed, and every file has its hash."""

import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from shipwheel.download.mirrors import MIRRORS
from shipwheel.errors import FetchError, UsageError

__all__ = ["MIRROR_VARIABLE", "PUBLIC_MIRRORS", "Mirror", "apt_mirror", "choose_mirror", "quickest", "read_setting"]

MIRROR_VARIABLE = "SHIPWHEEL_DEBIAN_MIRROR"

PUBLIC_MIRRORS = tuple(mirror.debian for mirror in MIRRORS if mirror.debian)
"""Mirrors of universities and vendors that hold both archives side by side; the quickest is taken when nothing else is said."""

_PATIENCE = 3.0
_HINT = f"Set {MIRROR_VARIABLE} to the address of a Debian mirror that this machine reaches, for example https://HOST/debian."


@dataclass(frozen=True, slots=True)
class Mirror:
    """Base addresses of the `debian` and the `debian-security` archive, without a slash at the end; `others` have the same."""

    debian: str
    security: str
    others: "tuple[Mirror, ...]" = ()

    def base(self, archive: str) -> str:
        """The address of an archive by name: `debian` or `debian-security`."""
        return self.security if archive == "debian-security" else self.debian


def choose_mirror(
    setting: str | None = None, *, environ: Mapping[str, str] | None = None, apt: Path = Path("/etc/apt"), kept: Sequence[str] = ()
) -> Mirror:
    """The user's setting, else SHIPWHEEL_DEBIAN_MIRROR, else what apt uses here, else the kept choice, else the quickest public one.

    Raises UsageError for an address that is none, FetchError when no public mirror answers.
    """
    named = setting or (os.environ if environ is None else environ).get(MIRROR_VARIABLE)
    if named:
        return read_setting(named)
    chosen = [read_setting(address) for address in kept]
    return apt_mirror(apt) or (replace(chosen[0], others=tuple(chosen[1:])) if chosen else quickest(PUBLIC_MIRRORS))


def read_setting(text: str) -> Mirror:
    """Reads one address (of the `debian` archive; the security archive is beside it), or two, apart by a space or a comma."""
    urls = [url.rstrip("/") for url in re.split(r"[\s,]+", text.strip()) if url]
    if not 1 <= len(urls) <= 2 or not all(_usable(url) for url in urls):
        raise UsageError(
            "the Debian mirror must be one or two http(s) or file addresses",
            hint="For example https://HOST/debian, or https://HOST/debian https://OTHER/debian-security.",
        )
    return Mirror(urls[0], urls[1] if len(urls) == 2 else _sibling(urls[0], "debian-security"))


def apt_mirror(root: Path) -> Mirror | None:
    """The first Debian and security archive that apt is told of under `root` (/etc/apt), or None."""
    debian = security = None
    for uri in _uris(root):
        path = urlsplit(uri).path
        if urlsplit(uri).scheme not in ("http", "https"):
            continue
        if path.endswith("/debian"):
            debian = debian or uri
        elif path.endswith("/debian-security"):
            security = security or uri
    if debian is None and security is None:
        return None
    return Mirror(debian or _sibling(security or "", "debian"), security or _sibling(debian or "", "debian-security"))


def quickest(urls: Sequence[str], suite: str = "bookworm") -> Mirror:
    """The mirror that first gives the head of a signed release; raises FetchError when none does within some seconds."""
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for url in urls:
        threading.Thread(target=lambda url=url: answers.put(_probe(url, suite)), daemon=True).start()
    for _ in urls:
        first = answers.get()
        if first is not None:
            return read_setting(first)
    raise FetchError(f"none of {len(urls)} public Debian mirrors answered within {_PATIENCE:.0f} s", hint=_HINT)


def _probe(url: str, suite: str) -> str | None:
    import httpx

    try:
        with httpx.stream("GET", f"{url}/dists/{suite}/InRelease", timeout=_PATIENCE, follow_redirects=True) as response:
            head = next(response.iter_bytes(64), b"") if response.status_code == 200 else b""
    except httpx.HTTPError:
        return None
    return url if head.startswith(b"-----BEGIN PGP SIGNED MESSAGE") else None


def _usable(url: str) -> bool:
    parts = urlsplit(url)
    return (parts.scheme in ("http", "https") and bool(parts.hostname)) or (parts.scheme == "file" and parts.path.startswith("/"))


def _sibling(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"


def _uris(root: Path) -> Iterator[str]:
    """The URIs of sources.list(5), in apt's order: sources.list, then the files of sources.list.d by name."""
    folder = root / "sources.list.d"
    files = [root / "sources.list", *(sorted(folder.iterdir()) if folder.is_dir() else ())]
    for path in files:
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        if path.suffix == ".list":
            yield from _one_line_style(text)
        elif path.suffix == ".sources":
            yield from _deb822_style(text)


def _one_line_style(text: str) -> Iterator[str]:
    # "deb [ option1=value1 ] uri suite [component1] ..." (sources.list(5))
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s", line.partition("#")[0])
        if found:
            yield found[1].rstrip("/")


def _deb822_style(text: str) -> Iterator[str]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):((?:.|\n[ \t])*)", stanza, re.MULTILINE)}
        if "deb" in fields.get("types", ()) and fields.get("enabled", ["yes"]) != ["no"]:
            yield from (uri.rstrip("/") for uri in fields.get("uris", ()))
