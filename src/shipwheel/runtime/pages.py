"""Ask a server for pages: a part of the observer, which travels with it. Standard library, and the syntax of Python 3.7."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterable, Mapping
from typing import IO, Any
from urllib.parse import SplitResult, urljoin, urlsplit

__all__ = ["Caller", "ask", "find_pages", "follow", "is_elsewhere", "is_own_place"]

NO_PAGE = "/no-such-page-for-shipwheel-check"
DEBUGGER = "/?__debugger__=yes&cmd=resource&f=debugger.js"
"""Werkzeug's debugger answers this with a script."""

ASSET_S = 3.0
"""Seconds for what a page links to."""

REFUSED_S = 3.0
"""Seconds after the first socket listens in which 4xx answers may still become others."""

BODY = 400
PAGE = 256 << 10
"""Bytes of a page that are read for its links, and for what a debugger shows at its end."""

MAX_LINKS = 5
LINK = re.compile(r"""(?:href|src)=["']?([^"'>\s?#]+\.(?:css|js|mjs))\b""", re.IGNORECASE)
"""A style sheet or a script that a page wants."""

NOT_HTTP = ("BadStatusLine", "RemoteDisconnected", "ConnectionResetError")
"""Errors of a request to a server that may speak TLS."""

SESSION_PATHS = ("_stcore/stream", "stream")
"""Paths at which Streamlit takes sessions: since version 1.12 and before that."""

RERUN = b"\x5a\x00"
"""Streamlit's message that a browser wants the page: an empty `rerun_script` in its BackMsg."""

SCRIPT_FINISHED = 6
"""The field of Streamlit's ForwardMsg that comes last."""

ASK_AT = {"0.0.0.0": ("127.0.0.1",), "::": ("::1", "127.0.0.1")}  # noqa: S104 - where to ask a server that listens on all addresses


class Caller:
    """A caller of a server that may still be starting, and all answers that it got.

    The options are `hosts` to ask for, `paths` to ask in order, `declared` pages of the source, and `patience` in seconds.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.hosts: list[str] = list(options["hosts"])
        self.answers: dict[tuple[int, str], dict[str, Any]] = {}
        self.pages: list[dict[str, Any]] = []

    def is_answered(self, address: str, port: int) -> bool:
        """Return whether a path of a port answers with a status below 400, and none before it with an error; every answer is kept.

        Where it redirects to another page of the same server, that page must not be an error either.
        """
        failed = False
        for path in self.options["paths"]:
            answer = self.answers[(port, path)] = self.ask(address, port, path)
            status = answer.get("status")
            if status is None:
                return False
            failed = failed or status >= 500
            if status < 400:
                target = target_of(answer)
                if target:
                    answer = self.answers[(port, target)] = self.ask(address, port, target)
                    failed = failed or answer.get("status", 0) >= 500
                return not failed
        return False

    def ask(self, address: str, port: int, path: str) -> dict[str, Any]:
        """Ask as a caller of the first host name that the server does not refuse; it comes first from then on."""
        refused = None
        for host in self.hosts:
            answer = ask(address, port, path, host, self.options["patience"])
            if answer.get("status") != 400:
                self.hosts = list(dict.fromkeys([host, *self.hosts]))
                return answer
            refused = refused or answer
        assert refused is not None  # noqa: S101 - there is always a host
        return refused

    def follow(self) -> bool:
        """Ask for the pages that the source names if there are none at the usual paths, and for what the first good page leads to.

        Return whether one that the source names is the first that is good.
        """
        patience = float(self.options["patience"])
        answers = list(self.answers.values())
        if answers and all(answer.get("status") == 404 for answer in answers):
            found = find_pages(answers[0], self.options.get("declared", ()), patience)
            self.answers.update(((answer["port"], answer["path"]), answer) for answer in found)
        # A page has links, and a redirect to one has none.
        answered = sorted((answer for answer in self.answers.values() if 0 < answer.get("status", 0) < 400), key=is_redirect)
        good = next(iter(answered), None)
        if good is None:
            return False
        self.pages = follow(good, patience)
        return bool(good.get("declared"))

    def patience(self) -> float:
        """Return the seconds after the first socket listens from which on nothing better is to be expected.

        A server that answers everything, and knows none of the pages, or not this caller, will not by waiting.
        """
        patience = float(self.options["patience"])
        statuses = [answer.get("status", 0) for answer in self.answers.values()]
        return min(REFUSED_S, patience) if statuses and all(400 <= status < 500 for status in statuses) else patience


def connect(address: str, port: int, timeout: float, tls: bool = False) -> http.client.HTTPConnection:
    """Connect to a listening socket. Raise OSError if none of the addresses at which to ask it accepts."""
    first, *others = ASK_AT.get(address, (address,))
    connection = http.client.HTTPConnection(first, port, timeout=timeout)
    if tls:
        import ssl  # only if needed: an image may have a Python without it

        connection = http.client.HTTPSConnection(first, port, timeout=timeout, context=ssl._create_unverified_context())  # noqa: S323
    try:
        connection.connect()
    except OSError:
        # A server may listen on all addresses where IPv6 is off.
        if not others:
            raise
        return connect(others[0], port, timeout, tls)
    return connection


def ask(address: str, port: int, path: str, host: str, timeout: float, tls: bool = False, forwarded: bool = False) -> dict[str, Any]:
    """Send one GET request, and return what came back: a status, or the error's name.

    With `tls`, no certificate is verified; with `forwarded`, the request is that of a proxy which speaks TLS with its callers.
    """
    started = time.monotonic()
    answer: dict[str, Any] = {"port": port, "path": path, "address": address, "host": host}
    connection = None
    try:
        connection = connect(address, port, timeout, tls)
        headers = {"Host": host, "Accept": "text/html,*/*", "User-Agent": "shipwheel-check"}
        connection.request("GET", path, headers={**headers, "X-Forwarded-Proto": "https"} if forwarded else headers)
        response = connection.getresponse()
        answer["status"] = response.status
        answer["location"] = response.getheader("Location", "")[:BODY]
        answer["type"] = response.getheader("Content-Type", "")[:BODY]
        answer["server"] = response.getheader("Server", "")[:BODY]
        page = read_page(response, PAGE if "html" in answer["type"] else BODY, started + timeout).decode("utf-8", "replace")
        answer["body"], answer["end"] = page[:BODY], page[BODY:][-BODY:]
        answer["links"] = own_links(page, host) if "html" in answer["type"] else []
    except Exception as error:  # whatever a server sends is an observation
        answer["error"] = type(error).__name__
    finally:
        if connection is not None:
            connection.close()
    answer["seconds"] = round(time.monotonic() - started, 3)
    if not tls and answer.get("error") in NOT_HTTP:
        secured = ask(address, port, path, host, timeout, tls=True)
        return secured if "status" in secured else answer
    if not forwarded and is_own_place(answer.get("location", ""), path):
        behind = ask(address, port, path, host, timeout, tls, forwarded=True)
        is_known = "status" in behind and not is_elsewhere(behind["location"], host)
        return {**behind, "forwarded": True} if is_known else answer
    return answer


def own_links(page: str, host: str) -> list[str]:
    """Return the files of the page's own server that it links to, also by the name that the server was asked by: Starlette's url_for."""
    links = [split(link) for link in LINK.findall(page)]
    own = [link.path for link in links if link.scheme in ("", "http", "https") and link.netloc in ("", host)]
    return list(dict.fromkeys(path for path in own if path and ":" not in path))[:MAX_LINKS]


def read_page(response: http.client.HTTPResponse, size: int, deadline: float) -> bytes:
    """Return at most `size` bytes of an answer: what has come until the deadline, since a stream of events has no end."""
    page = b""
    while len(page) < size and time.monotonic() < deadline:
        part = response.read1(size - len(page))
        if not part:
            break
        page += part
    return page


def is_own_place(location: str, path: str) -> bool:
    """Return whether a redirect leads to the page that was asked for, by http or https, maybe under the server's usual name."""
    parts = split(location)
    return bool(location) and parts.scheme in ("", "http", "https") and (parts.path or "/") == path and not parts.query


def is_elsewhere(location: str, host: str) -> bool:
    """Return whether a redirect leads to another server than the one that was asked under this name."""
    return split(location).hostname not in (None, split(f"//{host}").hostname)


def is_redirect(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer sends callers to another place."""
    return bool(300 <= answer.get("status", 0) < 400)


def target_of(answer: Mapping[str, Any]) -> str:
    """Return the path, with its query, of another page of the same server that an answer redirects to; empty without one."""
    parts = split(answer.get("location", ""))
    is_here = parts.scheme in ("", "http") and parts.netloc in ("", answer["host"]) and ":" not in parts.path
    if not is_redirect(answer) or not is_here or is_own_place(answer["location"], answer["path"]):
        return ""
    target = urljoin(answer["path"], parts.path) + ("?" + parts.query if parts.query else "")
    return target if target.startswith("/") and target != answer["path"] else ""


def split(location: str) -> SplitResult:
    """Return the parts of a URL; of what is none, such as http://[, a path alone."""
    try:
        return urlsplit(location)
    except ValueError:
        return SplitResult("", "", location, "", "")


def find_pages(answer: dict[str, Any], paths: Iterable[str], timeout: float) -> list[dict[str, Any]]:
    """Ask the server of an answer for one page after the other until it serves one, and return the answers of all that it has."""
    found: list[dict[str, Any]] = []
    started = time.monotonic()
    for path in paths:
        left = timeout - (time.monotonic() - started)
        seen = ask(answer["address"], answer["port"], path, answer["host"], min(ASSET_S, left)) if left > 0 else {}
        found += [{**seen, "declared": True}] if seen.get("status", 404) != 404 else []
        if not seen or 0 < seen.get("status", 0) < 400:
            break
    return found


def follow(answer: dict[str, Any], timeout: float) -> list[dict[str, Any]]:
    """Open a page as a browser does: return what it links to, a page that nothing has, and a debugger's own file."""
    links = [urljoin(answer["path"], link) for link in answer.get("links", [])]
    wanted = dict.fromkeys([*links, NO_PAGE, DEBUGGER])
    found = [ask(answer["address"], answer["port"], path, answer["host"], min(ASSET_S, timeout)) for path in wanted]
    open_session(answer, timeout)
    return found


def open_session(answer: dict[str, Any], timeout: float) -> None:
    """Open a page that was answered as a browser does (RFC 6455), if it is Streamlit's, whose script only runs for a session.

    Return when the script has run.
    """
    deadline = time.monotonic() + timeout
    page, host = answer["path"], answer["host"]
    # Its name is in the first line of the page, or in the title, which is near the end of a small page.
    text = f"{answer.get('body', '')}\n{answer.get('end', '')}".lower()
    for path in SESSION_PATHS if "streamlit" in text else ():
        connection = None
        try:
            connection = connect(answer["address"], answer["port"], timeout)
            stream = connection.sock.makefile("rb")
            request = [f"GET {page.rpartition('/')[0]}/{path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"]
            request += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: c2hpcHdoZWVsLWNoZWNrIQ==", "", ""]
            connection.sock.sendall("\r\n".join(request).encode())
            is_open = b" 101 " in stream.readline()
            while stream.readline().strip():
                pass
            if is_open:
                # A binary frame with a mask that changes nothing.
                connection.sock.sendall(bytes([0x82, 0x80 | len(RERUN), 0, 0, 0, 0]) + RERUN)
                while time.monotonic() < deadline and not has_field(read_frame(stream), SCRIPT_FINISHED):
                    connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
                return
        except Exception:  # whatever a server sends: its log tells more
            return
        finally:
            if connection is not None:
                connection.close()


def read_frame(stream: IO[bytes]) -> bytes:
    """Return the content of the next frame of a WebSocket. Raise EOFError at the end."""
    head = stream.read(2)
    if len(head) < 2 or head[0] & 0xF == 8:
        raise EOFError
    size = head[1] & 0x7F
    if size > 125:
        size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
    return stream.read(size)


def has_field(message: bytes, field: int) -> bool:
    """Return whether a message of Protocol Buffers has a field. Raise IndexError if it is cut off."""
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        if key >> 3 == field:
            return True
        size, position = read_varint(message, position) if key & 7 in (0, 2) else ({1: 8, 5: 4}[key & 7], position)
        position += size if key & 7 else 0
    return False


def read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    number = shift = 0
    while True:
        byte = message[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
