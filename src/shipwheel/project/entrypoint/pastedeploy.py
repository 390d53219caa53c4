"""PasteDeploy's ini files, which describe an application and its server, mostly of Pyramid projects."""

import re
from typing import TYPE_CHECKING

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.servers import DEFAULT_PORT, EVERY_ADDRESS

if TYPE_CHECKING:
    import configparser

__all__ = ["find_pastedeploy"]

_APPLICATION_SECTION = lazy_pattern(r"(app|composite|pipeline):main$")
_SERVER_SECTION = "server:main"
_DEFAULT_ADDRESS = ("127.0.0.1", "6543")
"""Host and port of a server section that names none."""


def find_pastedeploy(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the launch of an ini file: with `pserve` if its server listens on every address, or else with gunicorn, which reads it too."""
    if not evidence.has("pyramid", "pastedeploy", "plaster-pastedeploy"):
        return None
    for name, text in scan.pastedeploy:
        parser = _parsed(text)
        if parser is None or not any(_APPLICATION_SECTION.match(section) for section in parser.sections()):
            continue
        listening = _public_port(parser)
        if evidence.has("pyramid") and listening is not None and evidence.port in (None, listening):
            reason = f"pserve serves the application that {name} describes."
            return Launch(("pserve", name), ports=(f"{listening}/tcp",), needs_source=True, reason=reason)
        port = evidence.port or DEFAULT_PORT
        return Launch(
            ("gunicorn", "--bind", f"{EVERY_ADDRESS}:{port}", *_threads(parser), "--paste", name),
            ports=(f"{port}/tcp",),
            needs_source=True,
            extra_requirements=() if evidence.has("gunicorn") else ("gunicorn",),
            reason=f"gunicorn serves the application that {name} describes.",
            workers_variable="WEB_CONCURRENCY",
        )
    return None


def _threads(parser: "configparser.RawConfigParser") -> tuple[str, ...]:
    """Return the option for threads, unless the file's server section decides. gunicorn reads it, and its options override it."""
    decided = any({"threads", "worker_class"} & {*parser.options(name)} for name in parser.sections() if name.startswith("server:"))
    return () if decided else ("--threads", "8")


def _parsed(text: str) -> "configparser.RawConfigParser | None":
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return parser


def _public_port(parser: "configparser.RawConfigParser") -> str | None:
    """Return the port of the server, if it can be reached from outside the container."""
    if not parser.has_section(_SERVER_SECTION):
        return None
    server = parser[_SERVER_SECTION]
    host, port = server.get("host", _DEFAULT_ADDRESS[0]), server.get("port", _DEFAULT_ADDRESS[1])
    for address in server.get("listen", "").split() or [f"{host}:{port}"]:
        host, _, port = address.rpartition(":")
        if host in ("*", EVERY_ADDRESS, "[::]", "") and re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 1 << 16:
            return port
    return None
