"""Public mirrors of the package index, Debian's archive and standalone Pythons: the table, measuring, and the stored choice.

Nothing that a mirror sends is trusted: the lock has the hashes of Python packages and Pythons, and Debian's archive is signed. The choice
is stored beside the store for some days. The settings of pip, uv and apt take precedence over it.
"""

import hashlib
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec

from shipwheel.download.http import trusted_authorities
from shipwheel.errors import StoreError, UsageError

if TYPE_CHECKING:
    import httpx

__all__ = [
    "MIRRORS",
    "Choice",
    "Measurement",
    "Mirror",
    "best_addresses",
    "choose",
    "delete_choice",
    "find_mirror",
    "is_index_mirror",
    "load_choice",
    "measure",
    "save_choice",
]

PROBE_PROJECT = "hypothesis"
"""A project with several releases a week and files of some hundred kB: it shows how fresh and how fast a mirror is."""

_TIMEOUT_S = 4.5
_RESERVE_S = 0.3
"""Seconds that a measurement ends before the timeout, so that its result arrives in time."""

_VALID_DAYS = 7
_MAX_DAYS_BEHIND = 2
_MAX_PROBE_BYTES = 1 << 20
"""Bytes of a package list after which the throughput is known."""

_INDEX, _DEBIAN, _PYTHONS = _KINDS = ("index", "debian", "pythons")
_PYTHONS_PATH = "/github-release/astral-sh/python-build-standalone"
"""The path of standalone Pythons on mirrors of files that projects release."""
_GZIP = b"\x1f\x8b"
_JSON = "application/vnd.pypi.simple.v1+json"


class Mirror(msgspec.Struct, frozen=True):
    """A mirror's name and its URLs: of the package index, Debian's archive, standalone Pythons. One that it does not have is empty."""

    name: str
    index: str = ""
    debian: str = ""
    pythons: str = ""

    def address(self, kind: str) -> str:
        """Return the URL of its package index ("index"), Debian archive ("debian") or standalone Pythons ("pythons")."""
        return {_INDEX: self.index, _DEBIAN: self.debian, _PYTHONS: self.pythons}[kind]

    def with_pythons(self) -> "Mirror":
        """Return the mirror with standalone Pythons, which are beside its Debian archive."""
        return msgspec.structs.replace(self, pythons=urljoin(self.debian, _PYTHONS_PATH))


MIRRORS = (
    Mirror("tsinghua", "https://pypi.tuna.tsinghua.edu.cn/simple", "https://mirrors.tuna.tsinghua.edu.cn/debian").with_pythons(),
    Mirror("ustc", "https://mirrors.ustc.edu.cn/pypi/simple", "https://mirrors.ustc.edu.cn/debian").with_pythons(),
    Mirror("nju", "https://mirror.nju.edu.cn/pypi/web/simple", "https://mirror.nju.edu.cn/debian").with_pythons(),
    Mirror("sjtu", "https://mirror.sjtu.edu.cn/pypi/web/simple", "https://mirror.sjtu.edu.cn/debian"),
    Mirror("bfsu", "https://mirrors.bfsu.edu.cn/pypi/web/simple", "https://mirrors.bfsu.edu.cn/debian"),
    Mirror("zju", "https://mirrors.zju.edu.cn/pypi/web/simple", "https://mirrors.zju.edu.cn/debian"),
    Mirror("aliyun", "https://mirrors.aliyun.com/pypi/simple", "https://mirrors.aliyun.com/debian"),
    Mirror("tencent", "https://mirrors.cloud.tencent.com/pypi/simple", "https://mirrors.cloud.tencent.com/debian"),
    Mirror("huawei", "https://repo.huaweicloud.com/repository/pypi/simple", "https://repo.huaweicloud.com/debian"),
    Mirror("volcengine", "https://mirrors.volces.com/pypi/simple", "https://mirrors.volces.com/debian"),
    Mirror("waterloo", "", "https://mirror.csclub.uwaterloo.ca/debian"),
    Mirror("berkeley", "", "https://mirrors.ocf.berkeley.edu/debian"),
    Mirror("aachen", "", "https://ftp.halifax.rwth-aachen.de/debian"),
)
"""Mirrors of universities and vendors. Each has `simple` and `packages`, or `debian` and `debian-security`, side by side."""

_PYTHONS_DOMAIN = ".python.org"


def is_index_mirror(url: str) -> bool:
    """Return whether a URL is that of a public mirror of the package index, or its own before it left Python's domain.

    Some servers of mirrors have other indexes as well, such as PyTorch's, whose files the package index does not have. Some have the
    package index beside Debian's archive, and under a name of its own.
    """
    host, path = urlsplit(url).hostname or "", urlsplit(url).path.rstrip("/")
    known = {urlsplit(mirror.index).hostname for mirror in MIRRORS if mirror.index}
    beside = {urlsplit(mirror.debian).hostname for mirror in MIRRORS if mirror.index and path.startswith("/pypi/")}
    return (host in known | beside or host.removeprefix("pypi") == _PYTHONS_DOMAIN) and path.endswith("/simple")


class Measurement(msgspec.Struct, frozen=True):
    """The result of measuring one mirror.

    `first` is the time to the first byte in seconds, `rate` the throughput in bytes per second, `fresh` the time (ISO 8601) or the version
    of its newest content. `problem` says why the mirror cannot be used; it is empty if it can.
    """

    name: str
    kind: str
    address: str
    first: float = 0.0
    rate: float = 0.0
    fresh: str = ""
    problem: str = ""

    @property
    def cost(self) -> float:
        """Seconds for the load of a typical build: thirty requests one after the other, and 50 MB."""
        return 30 * self.first + 50e6 / self.rate if self.rate else float("inf")


class Choice(msgspec.Struct, frozen=True):
    """The chosen URLs of each kind, best first. `until` is the last day (UTC) on which the choice is valid."""

    index: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    until: str = ""
    pythons: tuple[str, ...] = ()

    def addresses(self, kind: str) -> tuple[str, ...]:
        """Return the URLs of a kind."""
        return {_INDEX: self.index, _DEBIAN: self.debian, _PYTHONS: self.pythons}[kind]


NO_CHOICE = Choice()


def find_mirror(text: str, mirrors: Sequence[Mirror] = MIRRORS) -> Mirror:
    """Return the mirror with this name, or a mirror for this URL. Raise UsageError if it is neither."""
    if "://" not in text:
        found = next((mirror for mirror in mirrors if mirror.name == text.lower()), None)
        if found is None:
            names = ", ".join(mirror.name for mirror in mirrors)
            raise UsageError(f"there is no mirror named {text!r}", hint=f"Write auto, none, a URL, or one of {names}.")
        return found
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise UsageError(
            "the mirror must be an http or https URL without user and password",
            hint="Configure a private index in the settings of uv or pip.",
        )
    address = text.rstrip("/")
    if address.endswith("/simple"):
        return Mirror(parts.netloc, index=address)
    if address.endswith("/debian"):
        return Mirror(parts.netloc, debian=address)
    if "/python-build-standalone" in parts.path:
        return Mirror(parts.netloc, pythons=address)
    raise UsageError(
        f"{address} is neither a package index nor a Debian archive nor a mirror of standalone Pythons",
        hint="The URL of a package index ends with /simple, that of a Debian archive with /debian; the third has /python-build-standalone.",
    )


def measure(
    mirrors: Sequence[Mirror] = MIRRORS, *, seconds: float = _TIMEOUT_S, suite: str = "sid", python: str = ""
) -> tuple[Measurement, ...]:
    """Measure all mirrors in parallel, in at most `seconds`, and return the results in the order of the table.

    A mirror that has not answered by then has a problem. Of Debian archives, `suite` is measured, of standalone Pythons the archive at the
    path `python`, as in "20240101/cpython-3.12.1…tar.gz"; without it, none is.
    """
    kinds = _KINDS if python else (_INDEX, _DEBIAN)
    jobs = [(mirror, kind, mirror.address(kind).rstrip("/")) for kind in kinds for mirror in mirrors if mirror.address(kind)]
    results: queue.SimpleQueue[Measurement] = queue.SimpleQueue()
    deadline = time.monotonic() + seconds
    for mirror, kind, address in jobs:
        probe = _Probe(mirror.name, kind, address, deadline - _RESERVE_S, python if kind == _PYTHONS else suite)
        threading.Thread(target=lambda probe=probe: results.put(probe.run()), daemon=True, name=f"measure {mirror.name}").start()
    done: dict[tuple[str, str], Measurement] = {}
    while len(done) < len(jobs):
        try:
            result = results.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        done[result.kind, result.address] = result
    return _mark_stale(
        [
            done.get((kind, address)) or Measurement(mirror.name, kind, address, problem=f"no answer within {seconds:.1f} s")
            for mirror, kind, address in jobs
        ]
    )


def _mark_stale(measured: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """Set the problem of mirrors that are far behind the freshest one."""
    newest = {kind: max((it.fresh for it in measured if it.kind == kind and not it.problem), default="") for kind in _KINDS}
    marked = []
    for it in measured:
        days = _days_between(it.fresh, newest[it.kind])
        marked.append(msgspec.structs.replace(it, problem=it.problem or (f"{days:.0f} days behind" if days > _MAX_DAYS_BEHIND else "")))
    return tuple(marked)


def _days_between(earlier: str, later: str) -> float:
    try:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds() / 86400
    except (ValueError, TypeError):
        return 0.0


def best_addresses(measured: Sequence[Measurement], kind: str, count: int = 3) -> tuple[str, ...]:
    """Return the URLs of the mirrors of a kind that have no problem, the fastest first."""
    usable = sorted((it for it in measured if it.kind == kind and not it.problem), key=lambda it: it.cost)
    return tuple(it.address for it in usable[:count])


class _Probe(msgspec.Struct):
    """The measurement of one mirror, which ends at `deadline`. `what` is Debian's suite, or the path of a standalone Python."""

    name: str
    kind: str
    address: str
    deadline: float
    what: str
    first: float = 0.0
    rate: float = 0.0
    fresh: str = ""
    transfers: list[tuple[int, float]] = msgspec.field(default_factory=list)
    """(bytes, seconds) of each response."""

    def run(self) -> Measurement:
        import httpx

        problem = ""
        try:
            headers, timeout = {"User-Agent": "shipwheel"}, self._remaining()
            with httpx.Client(verify=trusted_authorities(), follow_redirects=True, timeout=timeout, headers=headers) as client:
                {_INDEX: self._measure_index, _DEBIAN: self._measure_debian, _PYTHONS: self._measure_pythons}[self.kind](client)
        except _UnusableError as error:
            problem = str(error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            problem = (str(error) or type(error).__name__).splitlines()[0][:80]
        except Exception as error:  # whatever a server sends, only its own measurement may fail
            problem = type(error).__name__
        return Measurement(self.name, self.kind, self.address, self.first, self.rate, self.fresh, problem)

    def _remaining(self) -> float:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise _UnusableError("too slow to be measured")
        return remaining

    def _get(self, client: "httpx.Client", url: str, limit: int, **headers: str) -> bytes:
        """Return at most about `limit` bytes; record the time to the first one and the throughput."""
        started = time.monotonic()
        data = bytearray()
        with client.stream("GET", url, headers=headers, timeout=self._remaining()) as response:
            if response.status_code != 200:
                raise _UnusableError(f"answered {response.status_code}")
            first = 0.0
            for chunk in response.iter_bytes():
                first = first or time.monotonic()
                data += chunk
                if len(data) >= limit:
                    break
                self._remaining()
        self.first = self.first or (first or time.monotonic()) - started
        self.transfers.append((len(data), max(time.monotonic() - (first or started), 1e-4)))
        size, seconds = max(self.transfers)
        self.rate = size / seconds
        return bytes(data)

    def _measure_index(self, client: "httpx.Client") -> None:
        page_url = f"{self.address}/{PROBE_PROJECT}/"
        page = self._get(client, page_url, 8 << 20, Accept=f"{_JSON}, text/html;q=0.2")
        files = list(_files(page, page_url))
        if not files:
            raise _UnusableError("not a package index")
        url, digest, _ = files[-1]
        self.fresh = max(uploaded for *_, uploaded in files) or _version(url)
        data = self._get(client, url, 8 << 20)
        if digest and hashlib.sha256(data).hexdigest() != digest:
            raise _UnusableError("sends files with wrong hashes")

    def _measure_debian(self, client: "httpx.Client") -> None:
        from email.utils import parsedate_to_datetime

        text = self._get(client, f"{self.address}/dists/{self.what}/InRelease", 1 << 20).decode(errors="replace")
        date = re.search(r"^Date: (.+)$", text, re.MULTILINE)
        if not text.startswith("-----BEGIN PGP SIGNED MESSAGE") or date is None:
            raise _UnusableError("not a Debian archive")
        self.fresh = parsedate_to_datetime(date[1].replace("UTC", "+0000")).isoformat()
        try:
            self._get(client, f"{self.address}/dists/{self.what}/main/binary-amd64/Packages.xz", _MAX_PROBE_BYTES)
        except _UnusableError:
            return  # the throughput of InRelease has to do

    def _measure_pythons(self, client: "httpx.Client") -> None:
        if not self._get(client, f"{self.address}/{self.what}", _MAX_PROBE_BYTES).startswith(_GZIP):
            raise _UnusableError("not a mirror of standalone Pythons")
        self.fresh = self.what.partition("/")[0]


class _UnusableError(Exception):
    """The reason why a mirror cannot be used."""


def _files(page: bytes, base: str) -> Iterator[tuple[str, str, str]]:
    """Yield (URL, sha256, upload time) of the files on a page of the simple API, in either of its forms (PEP 503, PEP 691)."""
    if page.lstrip().startswith(b"{"):
        for file in json.loads(page).get("files", []):
            yield urljoin(base, file["url"]), file.get("hashes", {}).get("sha256", ""), file.get("upload-time", "")
        return
    from html import unescape

    for href in re.findall(r'<a\s[^>]*?href="([^"]+)"', page.decode(errors="replace")):
        address, _, fragment = unescape(href).partition("#")
        yield urljoin(base, address), fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else "", ""


def _version(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2].split("-")[1].removesuffix(".tar.gz")


def _choice_path(root: Path) -> Path:
    return root / "mirrors.json"


def save_choice(root: Path, choice: Choice) -> None:
    """Write the choice into the store's directory. Raise StoreError if that is not possible."""
    path = _choice_path(root)
    document = {"format": 1, "until": choice.until, **{kind: list(choice.addresses(kind)) for kind in _KINDS}}
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}", hint="Make the directory writable.") from error


def delete_choice(root: Path) -> None:
    """Delete the stored choice, if there is one."""
    _choice_path(root).unlink(missing_ok=True)


def load_choice(root: Path, *, today: str | None = None) -> Choice:
    """Return the stored choice, or an empty one if there is none, if it has expired, or if the file is damaged."""
    try:
        document: Any = json.loads(_choice_path(root).read_text(encoding="utf-8"))
        choice = Choice(_addresses(document, _INDEX), _addresses(document, _DEBIAN), str(document["until"]), _addresses(document, _PYTHONS))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return NO_CHOICE
    return choice if choice.until >= (today or datetime.now(UTC).date().isoformat()) else NO_CHOICE


def _addresses(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(text for text in document.get(key, ()) if isinstance(text, str) and re.fullmatch(r"https?://[^\s@]+", text))


def choose(
    use: str,
    measured: Callable[[], Sequence[Measurement]],
    *,
    days: int = _VALID_DAYS,
    mirrors: Sequence[Mirror] = MIRRORS,
    before: Choice = NO_CHOICE,
) -> Choice:
    """Return the choice that `--use` asks for: "auto" (the best three of each kind), a mirror's name, or a URL.

    A mirror without a kind leaves that kind as in `before`. Raise UsageError for another text, or if auto finds no usable mirror.
    """
    until = (datetime.now(UTC).date() + timedelta(days=days)).isoformat()
    if use == "auto":
        results = measured()
        choice = Choice(best_addresses(results, _INDEX), best_addresses(results, _DEBIAN), until, best_addresses(results, _PYTHONS))
        if not any(map(choice.addresses, _KINDS)):
            raise UsageError(
                "no mirror of the table can be used from here",
                hint="Run `shipwheel mirrors` to see why. Without a mirror, the settings of uv and apt apply.",
            )
        return choice
    mirror = find_mirror(use, mirrors)
    index, debian, pythons = ((mirror.address(kind),) if mirror.address(kind) else before.addresses(kind) for kind in _KINDS)
    return Choice(index, debian, until, pythons)
