"""Read an observation into findings: what keeps the image from serving, and what else its owner should know. Pure."""

from collections.abc import Iterator, Sequence
from enum import Enum

import msgspec

from shipwheel.oci.model import ContainerConfig
from shipwheel.trial.observation import Answer, Observation
from shipwheel.trial.signs import Sign, SignKind, companion_name, signs_in

__all__ = ["Finding", "FindingKind", "Setting", "Verdict", "find", "fresh_directories", "last_line", "verdict_of", "with_lost_writes"]

_STATE_HINT = "Name it in the setting `state`, which moves it to a volume."


class Verdict(Enum):
    """The result of a trial."""

    SERVES = "serves"
    """Something answers on an address that others can reach."""
    RUNS = "runs"
    """A program without a port runs until it is stopped."""
    ENDS = "ends"
    """A program without a port did its work, or said how to use it, and ended."""
    NEEDS = "needs"
    """It would go on if something outside the image were there: a database, a variable."""
    FAILS = "fails"
    """It does not serve."""

    @property
    def is_good(self) -> bool:
        """True if the image does what it is for, as far as that can be seen alone."""
        return self in (Verdict.SERVES, Verdict.RUNS, Verdict.ENDS)


class FindingKind(Enum):
    """The kinds of findings; the values are those of `check --json`."""

    NOT_STARTED = "not-started"
    ENDED = "ended"
    NO_LISTENER = "no-listener"
    LOOPBACK = "loopback"
    OTHER_PORT = "other-port"
    ERROR_ANSWER = "error-answer"
    HOST_REFUSED = "host-refused"
    NO_ANSWER = "no-answer"
    MODULE = "module"
    LIBRARY = "library"
    PROGRAM = "program"
    FILE = "file"
    NOT_WRITABLE = "not-writable"
    LOST_WRITES = "lost-writes"
    VARIABLE = "variable"
    COMPANION = "companion"
    TABLE = "table"
    USAGE = "usage"
    DEVELOPMENT = "development-server"
    DEBUG = "debug"
    SLOW_STOP = "slow-stop"
    ZOMBIES = "zombies"


class Setting(msgspec.Struct, frozen=True):
    """A value to add to the settings: to a list, to the table `env`, or in place of a value."""

    key: str
    value: str | tuple[str, ...] | dict[str, str]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding. `hint` is the next step, `setting` the setting that does it, `evidence` the line that it was read from.

    `blocks` is true if the image does not serve because of it. `subject` is the module, path, address or name that it is about.
    """

    kind: FindingKind
    message: str
    hint: str = ""
    subject: str = ""
    evidence: str = ""
    setting: Setting | None = None
    blocks: bool = False


_OUTSIDE = (FindingKind.COMPANION, FindingKind.VARIABLE)
"""Findings about what is not part of an image."""


def verdict_of(seen: Observation, config: ContainerConfig, findings: Sequence[Finding]) -> Verdict:
    """Return what the trial says, from an observation and its findings."""
    blocking = [finding for finding in findings if finding.blocks]
    if any(finding.kind in _OUTSIDE for finding in blocking):
        return Verdict.NEEDS
    if blocking:
        return Verdict.FAILS
    if seen.sockets:
        return Verdict.SERVES
    return Verdict.RUNS if seen.ended is None and not config.exposed_ports else Verdict.ENDS


def find(seen: Observation, config: ContainerConfig) -> tuple[Finding, ...]:
    """Return the findings of one observation, those that block first."""
    signs = signs_in(seen.log)
    if seen.program_error:
        found = [_not_started(seen)]
    else:
        found = [*_from_end(seen, config, signs), *_from_sockets(seen, config), *_from_answers(seen, signs), *_from_stop(seen)]
    serves = not any(finding.blocks for finding in found)
    found += (finding for sign in signs if (finding := _of_sign(sign, serves=serves)) is not None)
    unique = {(finding.kind, finding.subject): finding for finding in reversed(found)}
    return tuple(sorted(unique.values(), key=lambda finding: not finding.blocks))


def _not_started(seen: Observation) -> Finding:
    program, _, reason = seen.program_error.partition(": ")
    hint = "Check the setting `command`: the program must be in the image, and found on its PATH."
    return Finding(FindingKind.NOT_STARTED, f"the command cannot be started: {program}: {reason}", hint, program, blocks=True)


def _from_end(seen: Observation, config: ContainerConfig, signs: Sequence[Sign]) -> Iterator[Finding]:
    if seen.ended is None:
        return
    usage = next((sign for sign in signs if sign.kind is SignKind.USAGE), None)
    server = bool(config.exposed_ports)
    how = f"ended with status {seen.ended}" if seen.ended >= 0 else f"was killed by signal {-seen.ended}"
    if usage is not None and seen.ended in (0, 1, 2):
        message = "the command prints how to use it, and ends: it wants a sub-command or arguments"
        hint = "Set `command` to the whole command line of the server." if server else "Give it arguments: shipwheel run … -- ARGUMENTS."
        yield Finding(FindingKind.USAGE, message, hint, evidence=usage.line, blocks=server)
    elif seen.ended or server:
        hint = "See the last lines of its output below." if seen.log.strip() else "It printed nothing."
        yield Finding(FindingKind.ENDED, f"the command {how} after {seen.seconds:.1f} s", hint, evidence=last_line(seen.log), blocks=True)


def _from_sockets(seen: Observation, config: ContainerConfig) -> Iterator[Finding]:
    exposed = {int(port.partition("/")[0]) for port in config.exposed_ports if port.partition("/")[0].isdecimal()}
    if seen.ended is None and not seen.sockets and exposed:
        ports = ", ".join(map(str, sorted(exposed)))
        message = f"nothing listens, and the image exposes {ports}"
        yield Finding(FindingKind.NO_LISTENER, message, "It may take longer: --timeout SECONDS.", evidence=last_line(seen.log), blocks=True)
    reachable = [found for found in seen.sockets if not found.is_loopback]
    if seen.tcp and not reachable:
        found = seen.tcp[0]
        yield Finding(
            FindingKind.LOOPBACK,
            f"it listens on {found.address} port {found.port}, inside the container only: nothing outside can reach it",
            "Make it listen on 0.0.0.0: by an option of its command, such as --host 0.0.0.0, or in its configuration.",
            str(found.port),
            blocks=True,
        )
    numbers = sorted({found.port for found in reachable if found.protocol == "tcp"})
    if numbers and not exposed.intersection(numbers):
        setting = Setting("ports", tuple(map(str, numbers)))
        message = f"it listens on port {', '.join(map(str, numbers))}, which the image does not expose"
        yield Finding(FindingKind.OTHER_PORT, message, "Name the port, so that run and deployments publish it.", setting=setting)


def _from_answers(seen: Observation, signs: Sequence[Sign]) -> Iterator[Finding]:
    if seen.answer is not None or not seen.answers or seen.ended is not None:
        return
    refused = next((sign for sign in signs if sign.kind is SignKind.HOST), None)
    worst = max(seen.answers, key=lambda answer: answer.status)
    if refused is not None and any(answer.status == 400 for answer in seen.answers):
        hint = "Let ALLOWED_HOSTS come from the environment, and set it to the names that callers use."
        yield Finding(
            FindingKind.HOST_REFUSED, "it refuses every caller by host name (ALLOWED_HOSTS)", hint, evidence=refused.line, blocks=True
        )
    elif worst.status >= 500:
        yield _error_answer(worst, seen.log)
    elif not worst.status and not any(answer.error for answer in seen.answers if answer.error in _OTHER_PROTOCOLS):
        message = f"port {worst.port} accepts connections and does not answer ({worst.error})"
        yield Finding(FindingKind.NO_ANSWER, message, "See its output below.", str(worst.port), last_line(seen.log), blocks=True)


_OTHER_PROTOCOLS = ("BadStatusLine", "RemoteDisconnected", "LineTooLong", "ConnectionResetError", "HTTPException", "UnknownProtocol")
"""Errors of a caller that speaks HTTP to a server that speaks something else."""


def _error_answer(answer: Answer, log: str) -> Finding:
    message = f"it answers {answer.path} with {answer.status}"
    return Finding(FindingKind.ERROR_ANSWER, message, "See its output below.", answer.path, last_line(log), blocks=True)


def _from_stop(seen: Observation) -> Iterator[Finding]:
    if seen.stop is not None and seen.stop.killed:
        hint = "Let the program end on SIGTERM, or name the signal that it ends on with the setting `stop-signal`."
        yield Finding(FindingKind.SLOW_STOP, f"it did not stop within {seen.stop.seconds:.0f} s, and was killed", hint)
    if seen.zombies > 1:
        hint = "Leave the setting `init` at true: the init collects processes that ended."
        yield Finding(FindingKind.ZOMBIES, f"{seen.zombies} processes ended and were not collected", hint)


def _of_sign(sign: Sign, *, serves: bool) -> Finding | None:
    """Return the finding of a sign in the log; None for a sign that means nothing in a program that serves."""
    kind = sign.kind
    if kind is SignKind.DEVELOPMENT:
        hint = "Start the application with a production server: set `command`, or add gunicorn or uvicorn to its dependencies."
        return Finding(FindingKind.DEVELOPMENT, "a development server runs: it is slow, and not secure", hint, evidence=sign.line)
    if kind is SignKind.DEBUG:
        hint = "Turn it off for production, for example in the setting `env`."
        return Finding(FindingKind.DEBUG, "the debug mode is on: it shows its source and secrets to every caller", hint, evidence=sign.line)
    if kind in _MISSING:
        finding_kind, message, hint = _MISSING[kind]
        subject = companion_name(sign.subject) if kind is SignKind.COMPANION else sign.subject
        setting = Setting("packages", (sign.subject,)) if kind is SignKind.PROGRAM else None
        return Finding(
            finding_kind,
            message.format(subject or "a path"),
            hint.format(sign.subject),
            sign.subject,
            sign.line,
            setting,
            blocks=not serves,
        )
    return None


_MISSING: dict[SignKind, tuple[FindingKind, str, str]] = {
    SignKind.MODULE: (
        FindingKind.MODULE,
        "the Python module {} is missing",
        "Add the package that brings {0} to the project's dependencies, or to the setting `dependencies`.",
    ),
    SignKind.LIBRARY: (
        FindingKind.LIBRARY,
        "the library {} is missing",
        "Name the Debian package that has {0} in the setting `packages`.",
    ),
    SignKind.PROGRAM: (
        FindingKind.PROGRAM,
        "the program {} is missing",
        "Name the Debian package that has {0} in the setting `packages`.",
    ),
    SignKind.FILE: (
        FindingKind.FILE,
        "the file {} is missing",
        "If it is in the project and was left out, add it to the setting `include`; if it holds configuration, mount it.",
    ),
    SignKind.WRITE: (
        FindingKind.NOT_WRITABLE,
        "it cannot write to {}",
        "Name the directory in the setting `volumes`, or point the program at one below /data.",
    ),
    SignKind.VARIABLE: (
        FindingKind.VARIABLE,
        "it wants the environment variable {}",
        "Give it a value where the container runs: -e {0}=…; a value that is no secret can be in the setting `env`.",
    ),
    SignKind.COMPANION: (
        FindingKind.COMPANION,
        "it needs {}, which does not answer",
        "Start that server, and point the program at it by its own configuration.",
    ),
    SignKind.TABLE: (
        FindingKind.TABLE,
        "the database has no table {}",
        "Let a step make the tables first: the setting `before-start`.",
    ),
}


def with_lost_writes(findings: Sequence[Finding], second: Observation, config: ContainerConfig) -> tuple[Finding, ...]:
    """Add what a second run wrote outside of the volumes: it had a writable root, and came further than the first."""
    volumes = tuple(f"{volume}/" for volume in config.volumes)
    paths = [path for path in second.written if not path.startswith(volumes or ("\0",))]
    directories = fresh_directories(paths)
    loose = [path for path in paths if not path.endswith("/") and not path.startswith(directories or ("\0",))]
    workdir = f"{config.working_dir.rstrip('/')}/"
    return (
        *findings,
        *(
            Finding(FindingKind.LOST_WRITES, f"it writes {path}", _STATE_HINT, path, setting=_state(path, workdir), blocks=True)
            for path in (*directories, *loose)
        ),
    )


def _state(path: str, workdir: str) -> Setting | None:
    inside = path.startswith(workdir) and workdir != "/"
    if not inside and not path.endswith("/"):
        return None
    return Setting("state", (path.removeprefix(workdir) if inside else path,))


def fresh_directories(written: Sequence[str]) -> tuple[str, ...]:
    """Return the topmost of the directories in `written`, which the observer lists if nothing was in them before."""
    found: list[str] = []
    for path in sorted(path for path in written if path.endswith("/")):
        if not path.startswith(tuple(found) or ("\0",)):
            found.append(path)
    return tuple(found)


def last_line(log: str) -> str:
    """Return the last line of a log with something in it."""
    return next((line.strip()[:400] for line in reversed(log.splitlines()) if line.strip()), "")
