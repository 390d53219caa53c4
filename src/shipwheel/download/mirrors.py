"""Public mirrors of the package index and of Debian's archive: which there are, how good each is from here, and which was chosen.

Nothing that a mirror gives is trusted: distributions have their hash in the lock, Debian's archive is signed. The choice is kept beside
the store, for some days, and what pip, uv and apt are told of comes before it.
"""

import hashlib
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from shipwheel.errors import StoreError, UsageError

if TYPE_CHECKING:
    import httpx

__all__ = ["MIRRORS", "Choice", "Known", "Measured", "best", "choose", "forget", "keep", "kept", "measure", "named"]

SECONDS = 4.5
"""Within which everything is measured, side by side."""

DAYS = 7
"""For which a choice is kept, unless the user says otherwise."""

PROJECT = "hypothesis"
"""Released several times a week, with files of some hundred kB: shows how fresh a mirror is, and how fast."""

_ENOUGH = 1 << 20
"""Bytes after which the throughput is known."""

_INDEX, _DEBIAN = "index", "debian"
_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True)
class Known:
    """A mirror: its name, and the addresses of what it has; empty for what it has not."""

    name: str
    index: str = ""
    debian: str = ""

    def address(self, kind: str) -> str:
        """Of its package index ("index") or Debian archive ("debian")."""
        return self.index if kind == _INDEX else self.debian


MIRRORS = (
    Known("tsinghua", "https://pypi.tuna.tsinghua.edu.cn/simple", "https://mirrors.tuna.tsinghua.edu.cn/debian"),
    Known("ustc", "https://mirrors.ustc.edu.cn/pypi/simple", "https://mirrors.ustc.edu.cn/debian"),
    Known("nju", "https://mirror.nju.edu.cn/pypi/web/simple", "https://mirror.nju.edu.cn/debian"),
    Known("sjtu", "https://mirror.sjtu.edu.cn/pypi/web/simple", "https://mirror.sjtu.edu.cn/debian"),
    Known("bfsu", "https://mirrors.bfsu.edu.cn/pypi/web/simple", "https://mirrors.bfsu.edu.cn/debian"),
    Known("zju", "https://mirrors.zju.edu.cn/pypi/web/simple", "https://mirrors.zju.edu.cn/debian"),
    Known("aliyun", "https://mirrors.aliyun.com/pypi/simple", "https://mirrors.aliyun.com/debian"),
    Known("tencent", "https://mirrors.cloud.tencent.com/pypi/simple", "https://mirrors.cloud.tencent.com/debian"),
    Known("huawei", "https://repo.huaweicloud.com/repository/pypi/simple", "https://repo.huaweicloud.com/debian"),
    Known("volcengine", "https://mirrors.volces.com/pypi/simple", "https://mirrors.volces.com/debian"),
    Known("waterloo", "", "https://mirror.csclub.uwaterloo.ca/debian"),
    Known("berkeley", "", "https://mirrors.ocf.berkeley.edu/debian"),
    Known("aachen", "", "https://ftp.halifax.rwth-aachen.de/debian"),
)
"""Of universities and vendors; all hold `simple` and `packages`, or `debian` and `debian-security`, side by side."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How one mirror did. `first` in seconds, `rate` in bytes a second, `fresh` an instant or a version.

    `problem` says why it will not do.
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
        """Seconds for a build's usual load: thirty requests one after the other, and 50 MB."""
        return 30 * self.first + 50e6 / self.rate if self.rate else float("inf")


@dataclass(frozen=True, slots=True)
class Choice:
    """Addresses of each kind, the best first, until a day (UTC, that day included)."""

    index: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    until: str = ""


def named(text: str, mirrors: Sequence[Known] = MIRRORS) -> Known:
    """A mirror of the table by its name, or one by its address. Raises UsageError."""
    if "://" not in text:
        found = next((mirror for mirror in mirrors if mirror.name == text.lower()), None)
        if found is None:
            raise UsageError(
                f"no mirror is named {text!r}", hint=f"auto, none, an address, or one of {', '.join(it.name for it in mirrors)}."
            )
        return found
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise UsageError(
            "the mirror must be an http or https address without user and password", hint="For a private index, tell uv or pip of it."
        )
    address = text.rstrip("/")
    if address.endswith("/simple"):
        return Known(parts.netloc, index=address)
    if address.endswith("/debian"):
        return Known(parts.netloc, debian=address)
    raise UsageError(
        f"{address} does not say what it mirrors",
        hint="The address of a package index ends with /simple, of Debian's archive with /debian.",
    )


def measure(mirrors: Sequence[Known] = MIRRORS, *, seconds: float = SECONDS, suite: str = "sid") -> tuple[Measured, ...]:
    """All of them side by side, in at most so many seconds; in the table's order. What has not answered by then has a problem."""
    jobs = [(mirror, kind) for kind in (_INDEX, _DEBIAN) for mirror in mirrors if mirror.address(kind)]
    answers: queue.SimpleQueue[Measured] = queue.SimpleQueue()
    deadline = time.monotonic() + seconds
    for mirror, kind in jobs:
        probe = _Probe(mirror.name, kind, mirror.address(kind).rstrip("/"), deadline - 0.3, suite)
        threading.Thread(target=lambda probe=probe: answers.put(probe.run()), daemon=True, name=f"measure {mirror.name}").start()
    found: dict[tuple[str, str], Measured] = {}
    while len(found) < len(jobs):
        try:
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        found[answer.kind, answer.address] = answer
    return _stale(
        [
            found.get((kind, mirror.address(kind).rstrip("/")))
            or Measured(mirror.name, kind, mirror.address(kind).rstrip("/"), problem=f"no answer within {seconds:.1f} s")
            for mirror, kind in jobs
        ]
    )


def _stale(measured: Sequence[Measured]) -> tuple[Measured, ...]:
    """Of mirrors that answered, those that are far behind the freshest have that as their problem."""
    from dataclasses import replace

    newest = {kind: max((it.fresh for it in measured if it.kind == kind and not it.problem), default="") for kind in (_INDEX, _DEBIAN)}
    done = []
    for it in measured:
        days = _days_between(it.fresh, newest[it.kind])
        problem = it.problem or (f"{days:.0f} days behind" if days > 2 else "")
        done.append(replace(it, problem=problem))
    return tuple(done)


def _days_between(one: str, other: str) -> float:
    try:
        return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).total_seconds() / 86400
    except (ValueError, TypeError):
        return 0.0


def best(measured: Sequence[Measured], kind: str, count: int = 3) -> tuple[str, ...]:
    """The addresses of the best mirrors of a kind: reachable, honest, fresh, the quickest first."""
    good = sorted((it for it in measured if it.kind == kind and not it.problem), key=lambda it: it.cost)
    return tuple(it.address for it in good[:count])


@dataclass(slots=True)
class _Probe:
    """One measurement."""

    name: str
    kind: str
    address: str
    deadline: float
    suite: str
    first: float = 0.0
    rate: float = 0.0
    fresh: str = ""
    timed: list[tuple[int, float]] = field(default_factory=list)

    def run(self) -> Measured:
        import httpx

        problem = ""
        try:
            with httpx.Client(follow_redirects=True, timeout=self._left(), headers={"User-Agent": "shipwheel"}) as client:
                (self._index if self.kind == _INDEX else self._debian)(client)
        except _Unfit as error:
            problem = str(error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            problem = (str(error) or type(error).__name__).splitlines()[0][:80]
        except Exception as error:  # whatever a server sends, it only fails its own measurement
            problem = type(error).__name__
        return Measured(self.name, self.kind, self.address, self.first, self.rate, self.fresh, problem)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise _Unfit("too slow to be measured")
        return left

    def _get(self, client: "httpx.Client", url: str, limit: int, **headers: str) -> bytes:
        """At most so many bytes; notes the time to the first one, and how fast the rest came."""
        started = time.monotonic()
        data = bytearray()
        with client.stream("GET", url, headers=headers, timeout=self._left()) as response:
            if response.status_code != 200:
                raise _Unfit(f"answered {response.status_code}")
            begun = 0.0
            for piece in response.iter_bytes():
                begun = begun or time.monotonic()
                data += piece
                if len(data) >= limit:
                    break
                self._left()
        self.first = self.first or (begun or time.monotonic()) - started
        self.timed.append((len(data), max(time.monotonic() - (begun or started), 1e-4)))
        size, seconds = max(self.timed)
        self.rate = size / seconds
        return bytes(data)

    def _index(self, client: "httpx.Client") -> None:
        page = self._get(client, f"{self.address}/{PROJECT}/", 8 << 20, Accept=f"{_JSON}, text/html;q=0.2")
        files = list(_files(page, f"{self.address}/{PROJECT}/"))
        if not files:
            raise _Unfit("is no package index")
        url, digest, _ = files[-1]
        self.fresh = max(uploaded for *_, uploaded in files) or _version(url)
        data = self._get(client, url, 8 << 20)
        if digest and hashlib.sha256(data).hexdigest() != digest:
            raise _Unfit("gives other bytes than it says")

    def _debian(self, client: "httpx.Client") -> None:
        from email.utils import parsedate_to_datetime

        text = self._get(client, f"{self.address}/dists/{self.suite}/InRelease", 1 << 20).decode(errors="replace")
        date = re.search(r"^Date: (.+)$", text, re.MULTILINE)
        if not text.startswith("-----BEGIN PGP SIGNED MESSAGE") or date is None:
            raise _Unfit("is no Debian archive")
        self.fresh = parsedate_to_datetime(date[1].replace("UTC", "+0000")).isoformat()
        try:
            self._get(client, f"{self.address}/dists/{self.suite}/main/binary-amd64/Packages.xz", _ENOUGH)
        except _Unfit:
            return  # what InRelease said of it will do


class _Unfit(Exception):
    """Why a mirror will not do."""


def _files(page: bytes, base: str) -> Iterator[tuple[str, str, str]]:
    """(address, sha256, upload time) of the files of a page of the simple API, whichever form it has (PEP 503, 691)."""
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


def _place(root: Path) -> Path:
    return root / "mirrors.json"


def keep(root: Path, choice: Choice) -> None:
    """Writes the choice into the store's directory. Raises StoreError."""
    path = _place(root)
    document = {"format": 1, "until": choice.until, "index": list(choice.index), "debian": list(choice.debian)}
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"the choice {path} cannot be written: {error.strerror or error}", hint="Make the directory writable.") from error


def forget(root: Path) -> None:
    """The choice is gone."""
    _place(root).unlink(missing_ok=True)


def kept(root: Path, *, today: str | None = None) -> Choice:
    """The choice that was made, if it has not run out; an empty one when there is none, or what is there is damaged."""
    try:
        found: Any = json.loads(_place(root).read_text(encoding="utf-8"))
        choice = Choice(_addresses(found, _INDEX), _addresses(found, _DEBIAN), str(found["until"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Choice()
    return choice if choice.until >= (today or datetime.now(UTC).date().isoformat()) else Choice()


def _addresses(found: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(text for text in found[key] if isinstance(text, str) and re.fullmatch(r"https?://[^\s@]+", text))


def choose(
    use: str, measured: Callable[[], Sequence[Measured]], *, days: int = DAYS, mirrors: Sequence[Known] = MIRRORS, before: Choice = Choice()
) -> Choice:
    """What `--use` means: auto (the best three of each kind), a mirror's name, or an address, which leaves the other kind as it was.

    Raises UsageError, also when auto finds none.
    """
    until = (datetime.now(UTC).date() + timedelta(days=days)).isoformat()
    if use == "auto":
        found = measured()
        choice = Choice(best(found, _INDEX), best(found, _DEBIAN), until)
        if not (choice.index or choice.debian):
            raise UsageError(
                "no mirror of the table will do from here",
                hint="Without one, uv and apt's own settings count; see the table with `shipwheel mirrors`.",
            )
        return choice
    mirror = named(use, mirrors)
    return Choice((mirror.index,) if mirror.index else before.index, (mirror.debian,) if mirror.debian else before.debian, until)
