"""Read an observation into findings: what keeps the image from serving, and what else its owner should know. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from shipwheel.known_packages import shown_requirement
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.signs.companions import companion_hint, companion_name, is_on_the_web
from shipwheel.signs.endings import ended_at_import, ended_in_failure, listens_elsewhere, shows_its_error, wants_input, workers_started
from shipwheel.signs.outgrown import absent_name, is_outgrown, unreadable_module
from shipwheel.signs.output import Sign, SignKind, is_debug_page, signs_in
from shipwheel.signs.tracebacks import TRACEBACK, error_line, failed_request, last_line
from shipwheel.trial.finding import OUTSIDE, Finding, FindingKind, Setting, Verdict
from shipwheel.trial.missing import MISSING
from shipwheel.trial.observation import Answer, Observation, Socket
from shipwheel.trial.source_facts import HostRule, SourceFacts
from shipwheel.trial.source_findings import (
    asks_for_input,
    at_end_of_input,
    for_production,
    looked_for,
    prefixed,
    unmade,
    unset_variables,
    with_origin,
)
from shipwheel.trial.unimportable import unimportable
from shipwheel.versions import normalized

__all__ = [
    "find",
    "findings_in_log",
    "verdict_of",
]


_NO_FACTS = SourceFacts()
_NEEDED = frozenset({FindingKind.COMPANION, FindingKind.VARIABLE})
"""Findings about what a container gets where it runs."""

_SYMPTOMS = frozenset({FindingKind.ENDED, FindingKind.NO_LISTENER, FindingKind.ERROR_ANSWER, FindingKind.NO_ANSWER})
"""Findings whose cause is in the output, if anywhere. The other kinds are causes themselves."""


def verdict_of(seen: Observation, findings: Sequence[Finding]) -> Verdict:
    """Return the result of a trial, from an observation and its findings."""
    blocking = {finding.kind for finding in findings if finding.blocks}
    if blocking:
        return Verdict.NEEDS if blocking & _NEEDED and blocking <= _NEEDED | _SYMPTOMS else Verdict.FAILS
    if seen.ended is not None:
        return Verdict.ENDS
    return Verdict.SERVES if seen.reachable else Verdict.RUNS


def find(seen: Observation, config: ExecutionConfig, source: SourceFacts = _NO_FACTS) -> tuple[Finding, ...]:
    """Return the findings of one observation, those that block first."""
    signs = tuple(prefixed(sign, source) for sign in signs_in(seen.log))
    if seen.program_error:
        found = [_not_started(seen)]
    else:
        found = [
            *_from_end(seen, config, signs, source),
            *_from_sockets(seen, config, source),
            *_from_answers(seen, signs, source),
            *_from_pages(seen),
            *_from_stop(seen),
        ]
    unexplained = any(finding.blocks for finding in found) and all(finding.kind in _SYMPTOMS for finding in found if finding.blocks)
    unset = tuple(unset_variables(source, seen.log, config.environment)) if unexplained else ()
    found += [*unmade(source, seen.log, blocks=unexplained), *at_end_of_input(seen, source)]
    # A sentence about a package may be a warning of long before: a variable in the very line that failed says more.
    causes = [sign for sign in signs if sign.kind is not SignKind.PACKAGE or not (unset or normalized(sign.subject) in source.installed)]
    found += (
        with_origin(finding, source, seen.log, config.environment)
        for sign in causes
        if (finding := _of_sign(sign, blocks=unexplained)) is not None
    )
    if unexplained and all(finding.kind in _SYMPTOMS for finding in found if finding.blocks):
        found += unset
        if is_outgrown(seen.log) and not any(finding.blocks and finding.kind in OUTSIDE for finding in found):
            found = [_aged(finding, seen.log) for finding in found]
        found = [
            looked_for(each, seen.log, source, config.environment) if each.kind in _SYMPTOMS and each.blocks else each for each in found
        ]
    unique: dict[tuple[FindingKind, str], Finding] = {}
    for finding in (for_production(each, seen.log) for each in found):
        unique.setdefault((finding.kind, finding.subject), finding)
    # A line that names a server says more than one with its port alone.
    ports = {subject.rpartition(":")[2] for kind, subject in unique if kind is FindingKind.COMPANION and ":" in subject}
    told = [finding for (kind, subject), finding in unique.items() if kind is not FindingKind.COMPANION or subject not in ports]
    return tuple(sorted(told, key=lambda finding: not finding.blocks))


def _aged(finding: Finding, log: str) -> Finding:
    """Return a failure without another cause with the next step for a program that is older than its packages."""
    hint = (
        "It may be older than its packages or its Python: `shipwheel init` tries those of its last change."
        " If they are too new as well, --as-of YYYY-MM-DD takes the packages of a day, and --python another Python."
    )
    if module := unreadable_module(log):
        hint = (
            f"The {module} in the image is written for an older Python: raise the pin that brings it, or that of what pins it, or take that"
            f" Python, if it can be had. {hint}"
        )
    elif (absent := absent_name(log)) is not None:
        hint = (
            f"The {absent.module} in the image has no {absent.name}: the program is written for another version of that package, or for"
            f" another package with a module of this name. If you know which, name it in `dependencies`. {hint}"
        )
    return msgspec.structs.replace(finding, hint=hint) if finding.kind in _SYMPTOMS and finding.blocks and not finding.hint else finding


def findings_in_log(log: str) -> tuple[Finding, ...]:
    """Return what a program's output says that it lacks: a server, a variable, a module."""
    return tuple(filter(None, (_of_sign(sign, blocks=True) for sign in signs_in(log) if sign.kind in MISSING)))


def _not_started(seen: Observation) -> Finding:
    program, _, reason = seen.program_error.partition(": ")
    hint = "Check the setting `command`: the program must be in the image, and found on its PATH."
    return Finding(FindingKind.NOT_STARTED, f"the command cannot be started: {program}: {reason}", hint, program, blocks=True)


def _from_end(seen: Observation, config: ExecutionConfig, signs: Sequence[Sign], source: SourceFacts) -> Iterator[Finding]:
    if seen.ended is None:
        return
    usage = next((sign for sign in signs if sign.kind is SignKind.USAGE), None)
    server = bool(config.exposed_ports)
    if server and (obstacle := unimportable(seen.log)) is not None:
        yield obstacle
        return
    how = f"ended with status {seen.ended}" if seen.ended >= 0 else f"was killed by signal {-seen.ended}"
    if usage is not None and seen.ended in (0, 1, 2) and TRACEBACK not in seen.log:
        message = "the command ends since it wants a sub-command or arguments"
        message += f"; {source.serving}" if source.serving and not server else ""
        server = server or bool(source.serving)
        hint = "Set `command` to the whole command line of the server." if server else "Give it arguments: shipwheel run … -- ARGUMENTS."
        yield Finding(FindingKind.USAGE, message, hint, evidence=usage.line, blocks=server)
    elif not server and wants_input(seen.log):
        yield asks_for_input(last_line(seen.log))
    elif seen.ended == 0 and seen.left:
        message = f"the command ended, and left {seen.left} in the background: the container ends with it"
        hint = "Let the program run in the foreground: without a daemon option, without fork."
        yield Finding(FindingKind.ENDED, message, hint, evidence=error_line(seen.log), blocks=True)
    elif not seen.ended and not server and ended_in_failure(seen.log):
        why = "an import failed" if ended_at_import(seen.log) else "its last line is an error"
        message = f"the command ended with status 0, although {why}"
        hint = "Let it end with another status if it cannot do its work, and give it what its output asks for."
        yield Finding(FindingKind.ENDED, message, hint, evidence=error_line(seen.log), blocks=True)
    elif not (seen.ended or server or seen.written) and any(s.kind is SignKind.VARIABLE and s.line == last_line(seen.log) for s in signs):
        yield Finding(FindingKind.ENDED, "it ended with status 0 where it says what it wants", evidence=last_line(seen.log), blocks=True)
    elif seen.ended or server or (source.guess and not last_line(seen.log) and not seen.written):
        after = f"after {seen.seconds:.1f} s" + ("" if last_line(seen.log) else " and printed nothing")
        hint = _GUESS_HINT.format(source.guess) if source.guess and not seen.ended and not server else ""
        hint = _IDLE_HINT if server and seen.ended == 0 and not last_line(seen.log) else hint
        hint = _NO_ADDRESS_HINT if listens_elsewhere(seen.log) else hint
        yield Finding(FindingKind.ENDED, f"the command {how} {after}", hint, evidence=error_line(seen.log), blocks=True)


_COMPANIONS_HINT = (
    "It may wait for what it is deployed together with, {}, which the trial has not: start that, and look with shipwheel check --network, "
    "or shipwheel up."
)
_NO_ADDRESS_HINT = "It wants to listen on an address of another machine: let `command`, `env` or its configuration name 0.0.0.0."

_IDLE_HINT = "It may only define what serves, and not start it: set `command` to what starts the server."
_GUESS_HINT = "{} Set `command` to what starts the app, or to this command if that is all that it has to do."


def _from_sockets(seen: Observation, config: ExecutionConfig, source: SourceFacts) -> Iterator[Finding]:
    """Yield what is wrong with the addresses and ports: one of the three, or nothing."""
    if seen.ended is not None:
        return
    exposed = {str(port) for port in config.exposed_ports}
    open_ports = {f"{found.port}/{found.protocol}": found for found in seen.reachable}
    if exposed & open_ports.keys():
        return
    inside = sorted(seen.inside(exposed), key=lambda found: f"{found.port}/{found.protocol}" not in exposed)
    if inside and (not open_ports or f"{inside[0].port}/{inside[0].protocol}" in exposed):
        yield _loopback(inside[0], source)
    elif open_ports:
        numbers = tuple(number for number, found in open_ports.items() if exposed or not found.is_ephemeral)
        hint = "Name the port in the setting `ports`, so that run and deployments publish it."
        message = f"it listens on port {_listed(numbers)}, and the image exposes {_listed(exposed) or 'none'}"
        if numbers:
            yield Finding(FindingKind.OTHER_PORT, message, hint, setting=Setting("ports", _port_values(numbers)), blocks=bool(exposed))
        else:
            yield from _random_port(seen)
    elif not exposed:
        yield from _random_port(seen)
    elif path := next(iter(seen.unix), ""):
        yield _unix_socket(path, source)
    else:
        message = f"nothing listens after {seen.seconds:.0f} s, and the image exposes {_listed(exposed)}"
        hint = "If it only starts slowly: shipwheel check --timeout SECONDS."
        hint += f" {_COMPANIONS_HINT.format(', '.join(source.companions))}" if source.companions else ""
        yield Finding(FindingKind.NO_LISTENER, message, hint, evidence=error_line(seen.log), blocks=True)


_OPEN_HINT = "Make it listen on 0.0.0.0: by an option of its command, such as --host 0.0.0.0, or in its configuration."


def _loopback(found: Socket, source: SourceFacts) -> Finding:
    message = f"it listens on {found.address} port {found.port}, inside the container only: nothing outside can reach it"
    evidence = _address_place(source, f"{found.address}:{found.port}") or _address_place(source, found.address)
    evidence = evidence or _address_place(source, "localhost")
    return Finding(FindingKind.LOOPBACK, message, _OPEN_HINT, str(found.port), evidence, blocks=True)


def _random_port(seen: Observation) -> Iterator[Finding]:
    """Yield that its page is on a port that the system chose, which nobody can publish. Other sockets of that kind are its own affair."""
    pages = {answer.port for answer in seen.answers if answer.is_good and answer.type.startswith("text/html")}
    if (found := next((each for each in seen.sockets if each.is_ephemeral and each.port in pages), None)) is not None:
        message = f"its page is at {found.address} port {found.port}, which the system chose: each start has another"
        hint = "Give it a port of its own, and the address 0.0.0.0, by options of its command or in its source; then set `ports`."
        yield Finding(FindingKind.RANDOM_PORT, message, hint, str(found.port), blocks=True)


def _unix_socket(path: str, source: SourceFacts) -> Finding:
    message = f"it listens on the Unix socket {path} only: nothing outside the container can reach it"
    return Finding(FindingKind.LOOPBACK, message, _OPEN_HINT, path, _address_place(source, path), blocks=True)


def _address_place(source: SourceFacts, address: str) -> str:
    return next((f"{place}: {text}" for place, text in source.addresses if text.removeprefix("unix:") == address), "")


def _listed(ports: Iterable[str]) -> str:
    return ", ".join(_port_values(sorted(ports, key=lambda port: int(port.partition("/")[0]))))


def _port_values(ports: Iterable[str]) -> tuple[str, ...]:
    return tuple(port.removesuffix("/tcp") for port in ports)


_MISDIRECTED = 421
"""Misdirected Request (RFC 9110, 15.5.20)."""
_MISDIRECTED_HINT = (
    "Let its list of host names have those that callers use. "
    "A server of the Model Context Protocol that is given the host 0.0.0.0 serves all of them."
)


def _from_answers(seen: Observation, signs: Sequence[Sign], source: SourceFacts) -> Iterator[Finding]:
    if not seen.answers or seen.ended is not None:
        return
    refused = next((sign.line for sign in signs if sign.kind is SignKind.HOST), "")
    statuses = {answer.status for answer in seen.answers if not answer.declared}
    failed = next((answer for answer in seen.answers if answer.status >= 500 and not answer.declared), None)
    must_answer = (
        bool(source.http_server) or failed_request(seen.log) or any(sign.kind in (SignKind.MODULE, SignKind.VARIABLE) for sign in signs)
    )
    silent = next((each for each in seen.answers if not each.status and (must_answer or each.error not in _OTHER_PROTOCOLS)), None)
    redirected = next((answer for answer in seen.answers if answer.forwarded), None)
    if redirected is not None:
        yield _redirect(redirected)
    if failed is not None:
        message = f"it answers {failed.path} with {failed.status}"
        hint = "" if TRACEBACK in seen.log else _without_traceback(seen, source)
        yield Finding(FindingKind.ERROR_ANSWER, message, hint, failed.path, error_line(seen.log), blocks=True)
    elif statuses == {400} or (refused and 400 in statuses and seen.answer is None):
        yield _refused(refused or " ".join(f"400 {seen.answers[0].body}".split())[:_MAX_SHOWN], source)
    elif (other := next((answer for answer in seen.answers if answer.status == _MISDIRECTED), None)) is not None:
        message = f"it refuses {other.path} with 421 for callers of {other.host or 'localhost'}, and serves other host names only"
        yield Finding(FindingKind.HOST_REFUSED, message, _MISDIRECTED_HINT, other.path)
    elif seen.answer is not None and (rule := _rule_of(seen.answer.host, source)) is not None:
        message = (
            f"it serves {', '.join(rule.hosts[:_MAX_HOSTS])} only, and refuses other host names with 400, also health probes by address"
        )
        yield Finding(FindingKind.HOST_REFUSED, message, _more_hosts(rule), seen.answer.host, rule.place)
    elif (crash := next((sign for sign in signs if sign.kind is SignKind.CRASH), None)) is not None and seen.answer is None:
        yield _crashed(crash, seen.log)
    elif silent is not None and seen.answer is None:
        message = f"port {silent.port} accepts connections and does not answer ({silent.error})"
        if (starts := workers_started(seen.log)) > max(seen.processes, 1):
            message = f"its workers end when they are asked, and it starts others for them: {starts} in all"
        hint = _COMPANIONS_HINT.format(", ".join(source.companions)) if source.companions else ""
        yield Finding(FindingKind.NO_ANSWER, message, hint, str(silent.port), error_line(seen.log), blocks=True)
    elif statuses == {404} and (own := [answer for answer in seen.answers if answer.declared]):
        if all(answer.status >= 500 for answer in own):
            message = f"it answers its own page {own[0].path} with {own[0].status}"
            said = " ".join(own[0].body.split())[:_MAX_SHOWN]
            evidence = error_line(seen.log) if TRACEBACK in seen.log or not said else said
            yield Finding(FindingKind.ERROR_ANSWER, message, _OWN_PAGE_HINT, own[0].path, evidence)
    elif statuses == {404}:
        message = "it answers 404 to every page that was asked for: it has others, or it is not the whole application"
        hint = "Ask for a page that it has: shipwheel check --path /PAGE. If that is missing, set `command` to what starts the application."
        yield Finding(FindingKind.NO_PAGE, message, hint)


def _without_traceback(seen: Observation, source: SourceFacts) -> str:
    """Return what to do about a page that fails where the output does not say why."""
    logs = [path for path in seen.written if path.endswith(".log")]
    found = [f"Its log does not say why, and it writes {', '.join(logs[:_MAX_LINKS])}: look there." if logs else _SILENT_HINT]
    if source.companions:
        found.append(_COMPANIONS_HINT.format(", ".join(source.companions)))
    return " ".join(found)


def _crashed(sign: Sign, log: str) -> Finding:
    if sign.subject.isdecimal():
        message = f"its workers end with status {sign.subject}, and it starts others for them"
        return Finding(FindingKind.NO_ANSWER, message, "", evidence=error_line(log), blocks=True)
    hint = "SIGKILL mostly means that the memory was used up: give it more, or start fewer workers with WEB_CONCURRENCY."
    message = f"its workers are killed by {sign.subject} when they are asked"
    return Finding(FindingKind.NO_ANSWER, message, hint, evidence=sign.line, blocks=True)


def _redirect(answer: Answer) -> Finding:
    if 300 <= answer.status < 400 and _is_at(answer.location, answer.path):
        message = f"{answer.path} redirects to itself, also behind a proxy that says X-Forwarded-Proto: https"
        return Finding(FindingKind.REDIRECT, message, "A browser would never get there.", answer.path, answer.location)
    message = f"{answer.path} redirects to https or to itself, unless a proxy says X-Forwarded-Proto: https"
    hint = "Run it behind a proxy that speaks TLS and sets this header; health probes need it, too."
    return Finding(FindingKind.REDIRECT, message, hint, answer.path)


def _is_at(location: str, path: str) -> bool:
    """Return whether a redirect leads to a path, on whatever server."""
    try:
        return (urlsplit(location).path or "/") == path
    except ValueError:
        return False


def _refused(evidence: str, source: SourceFacts) -> Finding:
    message = "it refuses every caller, probably by host name"
    rule = next((rule for rule in source.hosts if rule.variables), next(iter(source.hosts), None))
    if rule is None:
        hint = "Let the allowed hosts (Django's ALLOWED_HOSTS) come from the environment, and set them to the names that callers use."
        return Finding(FindingKind.HOST_REFUSED, message, hint, evidence=evidence, blocks=True)
    if rule.variables:
        name = rule.variables[0]
        message = f"it wants the environment variable {name}: the host names that callers use, for {rule.name}"
        hint = f"Give it where the container runs: {rule.option}; health probes by address need theirs too."
        return Finding(FindingKind.VARIABLE, message, hint, name, f"{rule.place}; the answer was: {evidence}", blocks=True)
    return Finding(FindingKind.HOST_REFUSED, message, _more_hosts(rule), evidence=f"{rule.place}; the answer was: {evidence}", blocks=True)


def _rule_of(host: str, source: SourceFacts) -> HostRule | None:
    return next((rule for rule in source.hosts if host in {name.lstrip("*.") for name in rule.hosts}), None)


def _more_hosts(rule: HostRule) -> str:
    if rule.variables:
        return f"For others, give it {rule.variables[0]} where the container runs: {rule.option}."
    if not rule.name.isupper():
        return f"Let {rule.name} in {rule.place} come from the environment."
    return f'For more, write below it: import os; {rule.name} += os.environ.get("{rule.name}", "localhost").split(",")'


def _from_pages(seen: Observation) -> Iterator[Finding]:
    debug = next((page for page in seen.pages if is_debug_page(page.body + page.end)), None)
    debugger = next((page for page in seen.pages if "__debugger__" in page.path and page.is_good and "javascript" in page.type), None)
    if (shown := debug or debugger) is not None:
        message = "the debug mode is on: it shows its source and secrets to every caller"
        if debugger is not None:
            message = "a debugger is on: it shows its source to every caller, and lets them run code"
        evidence = f"{shown.path} answers {shown.status} with the page of a debugger"
        yield Finding(FindingKind.DEBUG, message, _DEBUG_HINT, evidence=evidence)
    if seen.ended is None and seen.answer is not None and shows_its_error(seen.log):
        message = "its page shows an error to whoever opens it"
        cause = error_line(seen.log)
        hint = _SECRETS_HINT if "secrets.toml" in cause else ""
        yield Finding(FindingKind.ERROR_ANSWER, message, hint, seen.answer.path, cause, blocks=True)
    lost = [page.path for page in seen.pages if page.status == 404 and page.path.endswith((".css", ".js", ".mjs")) and "?" not in page.path]
    if lost:
        message = f"its page links to {', '.join(lost[:_MAX_LINKS])}, which answers 404: nothing serves the static files"
        yield Finding(FindingKind.STATIC, message, _STATIC_HINT, lost[0])


_SECRETS_HINT = (
    "No image holds secrets: mount the file where the container runs, as .streamlit/secrets.toml of its working directory."
    " For docker: -v ./secrets.toml:/app/.streamlit/secrets.toml:ro."
)
_WEB_HINT = "It is on the internet, and a trial has no network: `shipwheel check --network` and `shipwheel init --network` give it one."
_SILENT_HINT = "Its log does not say why: let it print errors. Django does with DEBUG, or with a logging.StreamHandler in LOGGING."
_SUBMODULE_HINT = (
    " If {} is there, its version has no such module: `shipwheel init` tries the packages of the project's last change;"
    " by hand, --as-of YYYY-MM-DD takes those of a day."
)
_DEBUG_HINT = "Turn it off for production, for example in the setting `env`."
_STATIC_HINT = (
    "Let a proxy serve them, or the app. For Django: add whitenoise to its dependencies, and to MIDDLEWARE, after SecurityMiddleware,"
    ' "whitenoise.middleware.WhiteNoiseMiddleware"; and set STATIC_ROOT = BASE_DIR / "staticfiles". A front end has to be built first.'
)
_OWN_PAGE_HINT = "It may want parameters, data that is made first, or a service that the trial has not: ask for it where that is there."
_MAX_HOSTS = 5
_MAX_SHOWN = 120
_MAX_LINKS = 3
_OTHER_PROTOCOLS = ("BadStatusLine", "RemoteDisconnected", "LineTooLong", "ConnectionResetError", "HTTPException", "UnknownProtocol")
"""Errors of a caller that speaks HTTP to a server that speaks something else."""


def _from_stop(seen: Observation) -> Iterator[Finding]:
    if seen.stop is not None and seen.stop.killed:
        hint = "Let the program end on SIGTERM, or name the signal that it ends on with the setting `stop-signal`."
        yield Finding(FindingKind.SLOW_STOP, f"it did not stop within {seen.stop.seconds:.0f} s, and was killed", hint)
    if seen.zombies > 1:
        hint = "Leave the setting `init` at true: the init collects processes that ended."
        yield Finding(FindingKind.ZOMBIES, f"{seen.zombies} processes ended and were not collected", hint)


def _hint_of_missing(sign: Sign, hint: str) -> str:
    """Return the next step for what is missing, from that of its kind."""
    if sign.kind is SignKind.COMPANION:
        return _WEB_HINT if is_on_the_web(sign.subject) else hint + companion_hint(sign.subject)
    if sign.kind is SignKind.MODULE and "." in sign.subject:
        hint += _SUBMODULE_HINT.format(sign.subject.rpartition(".")[0])
    return hint.format(sign.subject, shown_requirement(sign.subject) or f"the package that brings {sign.subject}")


def _of_sign(sign: Sign, *, blocks: bool) -> Finding | None:
    """Return the finding of a sign in the log, None if other findings say it. `blocks` is true if nothing else explains a failure."""
    kind = sign.kind
    if kind is SignKind.DEVELOPMENT:
        hint = "Start the application with a production server: set `command`, or add gunicorn or uvicorn to its dependencies."
        return Finding(FindingKind.DEVELOPMENT, "a development server runs: it is slow, and not secure", hint, evidence=sign.line)
    if kind is SignKind.DEBUG:
        message = "the debug mode is on: it shows its source and secrets to every caller"
        return Finding(FindingKind.DEBUG, message, _DEBUG_HINT, evidence=sign.line)
    if kind is SignKind.THREAD:
        message = f"a thread ended with an error, and the program goes on without it: {sign.subject}".rstrip(": ")
        return Finding(FindingKind.THREAD, message, "Let the program end if a part of it fails.", sign.subject, sign.line)
    if kind in MISSING:
        finding_kind, message, hint = MISSING[kind]
        subject = companion_name(sign.subject) if kind is SignKind.COMPANION else sign.subject
        packages = {SignKind.PROGRAM: sign.subject, SignKind.LOCALE: "locales-all"}
        setting = Setting("packages", (packages[kind],)) if kind in packages else None
        return Finding(
            finding_kind,
            message.format(subject or ("below 1024" if kind is SignKind.PRIVILEGED_PORT else "a path")),
            _hint_of_missing(sign, hint),
            sign.subject,
            sign.line,
            setting,
            blocks=blocks,
        )
    return None
