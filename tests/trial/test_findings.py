"""Findings and verdicts of observations: pure, so no program runs here."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shipwheel.container.path import ContainerPath
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.signs.outgrown import is_outgrown
from shipwheel.trial.finding import Finding, FindingKind, Setting, Verdict
from shipwheel.trial.findings import find, verdict_of
from shipwheel.trial.observation import Answer, Observation, Socket, Stop
from shipwheel.trial.source_facts import HostRule, Refusal, SourceFacts
from shipwheel.trial.write_findings import with_lost_writes, with_refused_writes

SERVER = ExecutionConfig(exposed_ports=(ExposedPort(8000, "tcp"),), working_dir="/app", volumes=(ContainerPath("/data"),))
PROGRAM = ExecutionConfig(working_dir="/app")

OPEN, INSIDE = Socket("tcp", "0.0.0.0", 8000), Socket("tcp", "127.0.0.1", 8000)
GOOD = Answer(8000, "/", status=200)
STOPPED = Stop(0.1, killed=False)


def running(*sockets: Socket, answers: Sequence[Answer] = (), log: str = "", **more: object) -> Observation:
    """Return an observation of a program that runs until it is stopped."""
    return Observation(sockets=sockets, answers=tuple(answers), log=log, seconds=3.0, stop=STOPPED, **more)  # type: ignore[arg-type]


def ended(status: int, log: str = "", *sockets: Socket) -> Observation:
    """Return an observation of a program that ends by itself."""
    return Observation(ended=status, log=log, seconds=1.5, sockets=sockets)


def answers(*statuses: int, error: str = "", body: str = "") -> list[Answer]:
    """Return the answers to a path for each status; 0 for none."""
    return [Answer(8000, f"/{number or ''}", status=status, error=error, body=body) for number, status in enumerate(statuses)]


def own(status: int) -> Answer:
    """Return the answer to a path that the source names."""
    return Answer(8000, "/sales", status=status, declared=True)


USAGE = "Usage: shop [OPTIONS] COMMAND [ARGS]...\n"
REFUSED = "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.\n"
NO_MODULE = "ModuleNotFoundError: No module named 'yaml'\n"
NO_KEY = "decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar or define a default value.\n"
NO_WRITE = "OSError: [Errno 30] Read-only file system: '/app/x'\n"

PAGE = Answer(43001, "/", status=200, type="text/html; charset=utf-8")

V, K = Verdict, FindingKind
CASES: list[tuple[str, Observation, ExecutionConfig, Verdict, set[FindingKind], set[FindingKind]]] = [
    # what it is, what was seen, the image; then the verdict, the kinds that block, the other kinds
    ("a server answers", running(OPEN, answers=[GOOD]), SERVER, V.SERVES, set(), set()),
    ("a server listens on IPv6", running(Socket("tcp", "::", 8000), answers=[GOOD]), SERVER, V.SERVES, set(), set()),
    ("a server of UDP", running(Socket("udp", "::", 53)), ExecutionConfig(exposed_ports=(ExposedPort(53, "udp"),)), V.SERVES, set(), set()),
    ("a server has other pages", running(OPEN, answers=answers(404, 404)), SERVER, V.SERVES, set(), {K.NO_PAGE}),
    ("a server has its own page", running(OPEN, answers=[*answers(404), own(200)]), SERVER, V.SERVES, set(), set()),
    ("its own pages want a password", running(OPEN, answers=[*answers(404), own(500), own(401)]), SERVER, V.SERVES, set(), set()),
    ("its own page is for another host", running(OPEN, answers=[*answers(404), own(421)]), SERVER, V.SERVES, set(), {K.HOST_REFUSED}),
    ("its own page fails", running(OPEN, answers=[*answers(404), own(500)]), SERVER, V.SERVES, set(), {K.ERROR_ANSWER}),
    ("a server wants a password", running(OPEN, answers=answers(401, 403)), SERVER, V.SERVES, set(), set()),
    ("a server speaks no HTTP", running(OPEN, answers=answers(0, error="BadStatusLine")), SERVER, V.SERVES, set(), set()),
    ("a server speaks TLS", running(OPEN, answers=answers(0, error="RemoteDisconnected")), SERVER, V.SERVES, set(), set()),
    ("nothing listens", running(), SERVER, V.FAILS, {K.NO_LISTENER}, set()),
    ("a client of UDP", running(Socket("udp", "0.0.0.0", 5353)), SERVER, V.FAILS, {K.OTHER_PORT}, set()),
    ("it listens inside", running(INSIDE, answers=[GOOD]), SERVER, V.FAILS, {K.LOOPBACK}, set()),
    ("it listens inside on IPv6", running(Socket("tcp", "::1", 8000)), SERVER, V.FAILS, {K.LOOPBACK}, set()),
    ("it listens inside, and a log says something", running(INSIDE, log=REFUSED), SERVER, V.FAILS, {K.LOOPBACK}, {K.COMPANION}),
    (
        "it listens inside, and its metrics outside",
        running(INSIDE, Socket("tcp", "0.0.0.0", 9090), answers=[GOOD]),
        SERVER,
        V.FAILS,
        {K.LOOPBACK},
        set(),
    ),
    ("it listens inside on an unknown port", running(Socket("tcp", "127.0.0.1", 5000)), PROGRAM, V.FAILS, {K.LOOPBACK}, set()),
    ("a worker talks to itself", running(Socket("tcp", "127.0.0.1", 40123)), PROGRAM, V.RUNS, set(), set()),
    ("its page is on a random port", running(Socket("tcp", "127.0.0.1", 43001), answers=[PAGE]), PROGRAM, V.FAILS, {K.RANDOM_PORT}, set()),
    ("its page is on an open one", running(Socket("tcp", "0.0.0.0", 43001), answers=[PAGE]), PROGRAM, V.FAILS, {K.RANDOM_PORT}, set()),
    ("it listens on another port", running(Socket("tcp", "0.0.0.0", 5000)), SERVER, V.FAILS, {K.OTHER_PORT}, set()),
    ("it listens on an unknown port", running(Socket("tcp", "0.0.0.0", 5000)), PROGRAM, V.SERVES, set(), {K.OTHER_PORT}),
    ("it listens on two ports", running(OPEN, Socket("tcp", "0.0.0.0", 9090), answers=[GOOD]), SERVER, V.SERVES, set(), set()),
    ("it answers with an error", running(OPEN, answers=answers(500)), SERVER, V.FAILS, {K.ERROR_ANSWER}, set()),
    ("only its documentation works", running(OPEN, answers=answers(500, 200)), SERVER, V.FAILS, {K.ERROR_ANSWER}, set()),
    ("a page needs a server", running(OPEN, answers=answers(500), log=REFUSED), SERVER, V.NEEDS, {K.ERROR_ANSWER, K.COMPANION}, set()),
    ("it never answers", running(OPEN, answers=answers(0, error="TimeoutError")), SERVER, V.FAILS, {K.NO_ANSWER}, set()),
    (
        "it refuses the host, and says so",
        running(OPEN, answers=answers(400, 404), log="Invalid HTTP_HOST header: 'localhost'.\n"),
        SERVER,
        V.FAILS,
        {K.HOST_REFUSED},
        set(),
    ),
    ("it refuses the host silently", running(OPEN, answers=answers(400, 400)), SERVER, V.FAILS, {K.HOST_REFUSED}, set()),
    ("it wants parameters", running(OPEN, answers=answers(400, 404)), SERVER, V.SERVES, set(), set()),
    ("it ends", ended(1), SERVER, V.FAILS, {K.ENDED}, set()),
    ("a server ends without an error", ended(0), SERVER, V.FAILS, {K.ENDED}, set()),
    ("a server goes to the background", Observation(ended=0, left=1), SERVER, V.FAILS, {K.ENDED}, set()),
    (
        "its workers crash",
        running(OPEN, answers=answers(0, error="RemoteDisconnected"), log="[ERROR] Worker (pid:5) was sent SIGSEGV!\n"),
        SERVER,
        V.FAILS,
        {K.NO_ANSWER},
        set(),
    ),
    ("a server listens and ends", ended(0, "", OPEN), SERVER, V.FAILS, {K.ENDED}, set()),
    ("it is killed", ended(-9), PROGRAM, V.FAILS, {K.ENDED}, set()),
    ("a batch job does its work", ended(0, "12 rows\n"), PROGRAM, V.ENDS, set(), set()),
    ("a batch job listens for a moment", ended(0, "", OPEN), PROGRAM, V.ENDS, set(), set()),
    ("a batch job fails", ended(1, "boom\n"), PROGRAM, V.FAILS, {K.ENDED}, set()),
    ("a command line says how to use it", ended(2, USAGE), PROGRAM, V.ENDS, set(), {K.USAGE}),
    ("a server says how to use it", ended(2, USAGE), SERVER, V.FAILS, {K.USAGE}, set()),
    ("a server wants an argument", ended(1, "Error: missing required path to database file.\n"), SERVER, V.FAILS, {K.USAGE}, set()),
    (
        "a program fails below its usage",
        ended(1, f"{USAGE}Traceback (most recent call last):\n{NO_MODULE}"),
        SERVER,
        V.FAILS,
        {K.ENDED, K.MODULE},
        set(),
    ),
    ("a worker runs", running(), PROGRAM, V.RUNS, set(), set()),
    ("a worker lacks a module that it can do without", running(log=NO_MODULE), PROGRAM, V.RUNS, set(), {K.MODULE}),
    ("a module is missing", ended(1, NO_MODULE), SERVER, V.FAILS, {K.ENDED, K.MODULE}, set()),
    ("a variable is missing", ended(1, NO_KEY), SERVER, V.NEEDS, {K.ENDED, K.VARIABLE}, set()),
    ("a variable and a module are missing", ended(1, NO_KEY + NO_MODULE), SERVER, V.FAILS, {K.ENDED, K.VARIABLE, K.MODULE}, set()),
    ("a server is missing", running(log=REFUSED), SERVER, V.NEEDS, {K.NO_LISTENER, K.COMPANION}, set()),
    ("it cannot write", ended(1, NO_WRITE), SERVER, V.FAILS, {K.ENDED, K.NOT_WRITABLE}, set()),
    ("it cannot write, and goes on", running(OPEN, answers=[GOOD], log=NO_WRITE), SERVER, V.SERVES, set(), {K.NOT_WRITABLE}),
    (
        "a development server runs",
        running(OPEN, answers=[GOOD], log="WARNING: This is a development server.\n * Debugger is active!\n"),
        SERVER,
        V.SERVES,
        set(),
        {K.DEVELOPMENT, K.DEBUG},
    ),
    ("it cannot be started", Observation(program_error="gunicorn: No such file or directory"), SERVER, V.FAILS, {K.NOT_STARTED}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "config", "verdict", "blocking", "others"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_says_what_was_seen(
    seen: Observation, config: ExecutionConfig, verdict: Verdict, blocking: set[FindingKind], others: set[FindingKind]
) -> None:
    findings = find(seen, config)
    assert {finding.kind for finding in findings if finding.blocks} == blocking
    assert {finding.kind for finding in findings if not finding.blocks} == others
    assert verdict_of(seen, findings) is verdict
    assert verdict.is_good == (not blocking)
    assert [finding.blocks for finding in findings] == sorted((finding.blocks for finding in findings), reverse=True)


def one(kind: FindingKind, seen: Observation, config: ExecutionConfig = SERVER) -> Finding:
    """Return the finding of a kind."""
    (found,) = (finding for finding in find(seen, config) if finding.kind is kind)
    return found


RULE = HostRule("shop/settings.py, line 5", "ALLOWED_HOSTS", ("shop.example", ".shop.test"))


def hosts_finding(rule: HostRule, *found: Answer) -> tuple[Verdict, Finding]:
    """Return the verdict and the only finding of a server with a list of host names."""
    seen = running(OPEN, answers=found)
    (finding,) = findings = find(seen, SERVER, SourceFacts((rule,)))
    return verdict_of(seen, findings), finding


def test_a_server_that_answers_to_its_own_hosts_serves() -> None:
    verdict, finding = hosts_finding(RULE, Answer(8000, "/", host="shop.test", status=200))
    assert (verdict, finding.kind, finding.blocks) == (V.SERVES, K.HOST_REFUSED, False)
    assert finding.evidence == "shop/settings.py, line 5"
    assert 'ALLOWED_HOSTS += os.environ.get("ALLOWED_HOSTS", "localhost").split(",")' in finding.hint
    assert "probes" in finding.message
    assert SourceFacts((RULE,)).host_names == ("shop.example", "shop.test")


def test_an_empty_list_of_hosts_is_named_or_the_variable_that_fills_it() -> None:
    verdict, finding = hosts_finding(msgspec.structs.replace(RULE, hosts=()), *answers(400, 400, body="Bad Request"))
    assert (verdict, finding.kind) == (V.FAILS, K.HOST_REFUSED)
    assert finding.evidence == "shop/settings.py, line 5; the answer was: 400 Bad Request"
    verdict, finding = hosts_finding(msgspec.structs.replace(RULE, hosts=(), variables=("SHOP_HOSTS",)), *answers(400, 400))
    assert (verdict, finding.kind, finding.subject) == (V.NEEDS, K.VARIABLE, "SHOP_HOSTS")


@pytest.mark.parametrize(("is_json", "option"), [(False, "-e HOSTS=shop.example."), (True, """-e HOSTS='["shop.example"]'.""")])
def test_hosts_of_a_variable_grow_by_that(is_json: bool, option: str) -> None:
    rule = msgspec.structs.replace(RULE, variables=("HOSTS",), is_json=is_json)
    assert hosts_finding(rule, Answer(8000, "/", host="shop.test", status=200))[1].hint.endswith(option)


@pytest.mark.parametrize(
    ("status", "location", "words"),
    [
        (200, "", "unless a proxy says"),
        (302, "/login/", "unless a proxy says"),
        (302, "http://[", "unless a proxy says"),
        (301, "https://localhost/?next=/", "also behind a proxy"),
    ],
)
def test_a_redirect_to_the_same_page_is_a_note(status: int, location: str, words: str) -> None:
    (note,) = find(running(OPEN, answers=[Answer(8000, "/", status=status, location=location, forwarded=True)]), SERVER)
    assert (note.kind, note.blocks, words in note.message) == (K.REDIRECT, False, True)


def test_a_server_of_http_that_drops_every_connection_does_not_serve() -> None:
    seen = running(OPEN, answers=answers(0, error="RemoteDisconnected"))
    (finding,) = find(seen, SERVER, SourceFacts(http_server="gunicorn"))
    assert (finding.kind, finding.blocks, "does not answer (RemoteDisconnected)" in finding.message) == (K.NO_ANSWER, True, True)


def test_a_field_of_settings_is_named_by_its_variable() -> None:
    log = "pydantic_core.ValidationError: 1 validation error for Settings\nsigning_key\n  Field required [type=missing]\n"
    (finding,) = (
        found for found in find(ended(1, log), SERVER, SourceFacts(prefixes=(("Settings", "rooms_"),))) if found.kind is K.VARIABLE
    )
    assert finding.subject == "ROOMS_SIGNING_KEY"


@pytest.mark.parametrize(
    ("names", "subject"),
    [
        (("NEON_DB_URL", "SECRET"), "NEON_DB_URL"),
        (("A_DB_URL", "B_DB_URL"), "SQLALCHEMY_DATABASE_URI"),
        (("SITE_URL",), "SQLALCHEMY_DATABASE_URI"),
    ],
)
def test_a_database_of_flask_is_named_by_the_variable_that_the_code_reads(names: tuple[str, ...], subject: str) -> None:
    log = "RuntimeError: Either 'SQLALCHEMY_DATABASE_URI' or 'SQLALCHEMY_BINDS' must be set.\n"
    facts = SourceFacts(variables=tuple(("it", name, "data.py, line 9") for name in names))
    (finding,) = (found for found in find(ended(3, log), SERVER, facts) if found.kind is K.VARIABLE)
    assert finding.subject == subject


def test_a_unix_socket_is_no_place_for_callers() -> None:
    facts = SourceFacts(addresses=(("gunicorn.conf.py, line 1", "unix:/tmp/letters.sock"),))
    seen = running(unix=("/tmp/letters.sock",))
    (finding,) = find(seen, SERVER, facts)
    assert (finding.kind, finding.blocks, finding.evidence) == (K.LOOPBACK, True, "gunicorn.conf.py, line 1: unix:/tmp/letters.sock")
    assert find(running(OPEN, unix=("/tmp/x.sock",), answers=[GOOD]), SERVER) == ()


def test_what_was_not_made_before_the_build_explains_a_failure() -> None:
    facts = SourceFacts(unmade=(("static/dist", "cd web && npm run build", "Dockerfile, line 9"),))
    log = "RuntimeError: Directory '/app/static/dist' does not exist\n"
    made = next(found for found in find(ended(1, log), SERVER, facts) if found.kind is K.NOT_MADE)
    assert (made.blocks, made.subject, made.hint) == (True, "static/dist", "Make it, and build again: cd web && npm run build")
    (note,) = find(running(OPEN, answers=[GOOD]), SERVER, facts)
    assert (note.kind, note.blocks) == (K.NOT_MADE, False)


PAGES = {
    "Django": (Answer(8000, "/none", status=404, end="<code>DEBUG = True</code> in your settings"), K.DEBUG),
    "Werkzeug": (Answer(8000, "/?__debugger__=yes&f=debugger.js", status=200, type="text/javascript; charset=utf-8"), K.DEBUG),
    "a page for everything": (Answer(8000, "/?__debugger__=yes&f=debugger.js", status=200, type="text/html"), None),
    "a lost style": (Answer(8000, "/static/shop.css", status=404), K.STATIC),
    "a style": (Answer(8000, "/static/shop.css", status=200), None),
    "no debugger": (Answer(8000, "/?__debugger__=yes&f=debugger.js", status=404), None),
    "an ordinary 404": (Answer(8000, "/none", status=404, body="Not Found"), None),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_debuggers_and_lost_files(name: str) -> None:
    page, kind = PAGES[name]
    seen = running(OPEN, answers=[GOOD], pages=(page,))
    findings = find(seen, SERVER)
    assert [finding.kind for finding in findings] == [kind] * (kind is not None)
    assert verdict_of(seen, findings) is V.SERVES


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "127.0.0.1", "localhost"])
def test_the_line_of_a_configuration_file_is_named(address: str) -> None:
    facts = SourceFacts(addresses=(("other.ini", "10.0.0.1"), ("server.ini, line 2", address)))
    (finding,) = find(running(INSIDE, answers=[GOOD]), SERVER, facts)
    assert finding.evidence == f"server.ini, line 2: {address}"


def test_a_loopback_address_is_named_with_its_port_and_the_way_out() -> None:
    found = one(K.LOOPBACK, running(INSIDE))
    assert found.message == "it listens on 127.0.0.1 port 8000, inside the container only: nothing outside can reach it"
    assert (found.subject, found.setting) == ("8000", None)
    assert "0.0.0.0" in found.hint


@pytest.mark.parametrize("words", ["exception", "execution"])
def test_a_page_whose_script_fails_does_not_serve(words: str) -> None:
    log = f"Uncaught app {words}\nTraceback (most recent call last):\n  File 'app.py'\nKeyError: 'x'\n"
    found = one(FindingKind.ERROR_ANSWER, running(OPEN, answers=answers(200), log=log))
    assert (found.blocks, found.evidence, found.hint) == (True, "KeyError: 'x'", "")
    found = one(FindingKind.ERROR_ANSWER, running(OPEN, answers=answers(200), log=log.replace("'x'", "no secrets.toml")))
    assert "mount" in found.hint


BOUND = "ERROR:    [Errno 99] error while attempting to bind on address ('10.1.1.1', 80): cannot assign requested address"
TRACED = "Traceback (most recent call last):\n  File '/app/main.py', line 3, in <module>\n    {}\n{}"


@pytest.mark.parametrize(
    ("error", "listens"),
    [
        (BOUND, True),
        (TRACED.format("own.bind(PLACE)", "OSError: [Errno 99] Cannot assign requested address"), True),
        (TRACED.format("own.connect(PLACE)", "OSError: [Errno 99] Cannot assign requested address"), False),
        (TRACED.format("ping()", "ConnectionError: Error 99 connecting to localhost:6379. Cannot assign requested address."), False),
    ],
)
def test_an_address_of_another_machine_is_no_place_to_listen(error: str, listens: bool) -> None:
    found = one(FindingKind.ENDED, ended(1, f"{error}\n"))
    assert ("0.0.0.0" in found.hint) == listens


def test_another_port_brings_its_setting() -> None:
    sockets = (Socket("tcp", "0.0.0.0", 5000), Socket("tcp", "::", 5000), Socket("udp", "0.0.0.0", 53), Socket("tcp", "127.0.0.1", 9))
    found = one(K.OTHER_PORT, running(*sockets))
    assert found.message == "it listens on port 53/udp, 5000, and the image exposes 8000"
    assert found.setting == Setting("ports", ("5000", "53/udp"))
    assert "the image exposes none" in one(K.OTHER_PORT, running(*sockets), PROGRAM).message


def test_a_port_that_nobody_chose_is_not_named() -> None:
    assert find(running(Socket("tcp", "0.0.0.0", 40123)), PROGRAM) == ()


def test_an_end_is_told_with_its_status_and_the_last_line() -> None:
    found = one(K.ENDED, ended(3, "first\n\x1b[31mlast\x1b[0m\n\n"))
    assert (found.message, found.evidence) == ("the command ended with status 3 after 1.5 s", "last")
    assert one(K.ENDED, ended(-11)).message == "the command was killed by signal 11 after 1.5 s and printed nothing"


def test_an_end_is_told_with_its_error_whatever_a_server_prints_after_it() -> None:
    log = "Traceback (most recent call last):\n  File \"/app/a.py\", line 1\nKeyError: 'today'\n[ERROR] Reason: Worker failed to boot.\n"
    assert one(K.ENDED, ended(3, log)).evidence == "KeyError: 'today'"


def test_a_server_that_never_answers_may_wait_for_its_companions() -> None:
    seen = running(OPEN, answers=answers(0, error="TimeoutError"))
    (found,) = find(seen, SERVER, SourceFacts(companions=("mongo (mongo)",)))
    assert found.kind is K.NO_ANSWER and "mongo (mongo)" in found.hint and "--network" in found.hint
    assert find(seen, SERVER)[0].hint == ""


def test_a_program_that_swallows_a_failed_import_is_no_good() -> None:
    log = "Traceback (most recent call last):\n  File \"/app/a.py\", line 1\nModuleNotFoundError: No module named 'yaml'\n"
    found = find(ended(0, log), PROGRAM)
    assert {K.ENDED, K.MODULE} <= {finding.kind for finding in found if finding.blocks}
    assert verdict_of(ended(0, log), found) is Verdict.FAILS
    assert not any(finding.blocks for finding in find(ended(0, f"{log}done without it\n"), PROGRAM))


def test_a_program_that_cannot_be_started_is_named() -> None:
    found = one(K.NOT_STARTED, Observation(program_error="/app/run: Permission denied"))
    assert (found.subject, found.message) == ("/app/run", "the command cannot be started: /app/run: Permission denied")


def test_a_missing_program_brings_a_package() -> None:
    found = one(K.PROGRAM, ended(1, "/bin/sh: 1: ffmpeg: not found\n"))
    assert (found.subject, found.setting, found.evidence) == ("ffmpeg", Setting("packages", ("ffmpeg",)), "/bin/sh: 1: ffmpeg: not found")


def test_a_server_that_is_missing_has_a_name_for_people() -> None:
    found = one(K.COMPANION, ended(1, REFUSED))
    assert (found.subject, found.message) == ("localhost:6379", "it needs Redis at localhost:6379, which does not answer")


def test_names_with_braces_are_told_as_they_are() -> None:
    assert "/app/{0}/{x}" in one(K.NOT_WRITABLE, ended(1, "OSError: [Errno 30] Read-only file system: '/app/{0}/{x}'\n")).message


def test_a_slow_stop_and_zombies_are_notes() -> None:
    seen = Observation(sockets=(OPEN,), answers=(GOOD,), stop=Stop(10.02, killed=True), zombies=3)
    found = {finding.kind: finding for finding in find(seen, SERVER)}
    assert found.keys() == {K.SLOW_STOP, K.ZOMBIES}
    assert "within 10 s" in found[K.SLOW_STOP].message
    assert "3 processes" in found[K.ZOMBIES].message
    assert verdict_of(seen, tuple(found.values())) is V.SERVES


WRITTEN = (
    "/app/__pycache__/x.pyc",
    "/app/shop.sqlite3",
    "/app/uploads/",
    "/app/uploads/more/",
    "/data/kept",
    "/etc/passwd",
    "/var/lib/shop/",
)


def test_writes_outside_of_volumes_become_state() -> None:
    found = with_lost_writes((), Observation(written=WRITTEN), SERVER)
    assert all(finding.blocks and finding.kind is K.LOST_WRITES for finding in found)
    assert {finding.subject: finding.setting for finding in found} == {
        "/app/uploads/": Setting("state", ("uploads/",)),
        "/var/lib/shop/": Setting("state", ("/var/lib/shop/",)),
        "/app/shop.sqlite3": Setting("state", ("shop.sqlite3",)),
        "/etc/passwd": None,
    }
    assert {finding.subject for finding in found if "`volumes`" in finding.hint} == {"/etc/passwd"}


@pytest.mark.parametrize(("beside", "setting"), [({"js/web"}, Setting("install", "source")), (set(), None)])
def test_what_is_looked_for_beside_the_installed_packages_asks_for_the_source(beside: set[str], setting: Setting | None) -> None:
    facts, path = SourceFacts(beside=frozenset(beside)), "/opt/venv/lib/python3.13/js/web"
    assert with_lost_writes((), Observation(written=(path,)), SERVER, facts)[0].setting == setting
    seen = Observation(ended=1, log=f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'\n")
    missed = next(finding for finding in find(seen, SERVER, facts) if finding.kind is FindingKind.FILE)
    assert (missed.setting, "it is in the project" in missed.message) == (setting, False)
    inside = "/opt/venv/lib/python3.13/site-packages/shop/x.log"
    assert with_lost_writes((), Observation(written=(inside,)), SERVER, facts)[0].setting is None


def test_a_web_server_that_drops_a_request_with_an_error_does_not_serve() -> None:
    frame = (
        '  File "/opt/venv/lib/python3.9/site-packages/gunicorn/workers/sync.py", line 176, in handle_request\n    respiter = self.wsgi()\n'
    )
    error = "OSError: [Errno 30] Read-only file system: '/app/static/made'"
    log = f"[ERROR] Error handling request /\nTraceback (most recent call last):\n{frame}{error}\n"
    dropped = running(OPEN, answers=answers(0, error="RemoteDisconnected"), log=log)
    found = find(dropped, SERVER)
    assert verdict_of(dropped, found) is V.FAILS
    assert {finding.kind for finding in found if finding.blocks} == {K.NO_ANSWER, K.NOT_WRITABLE}
    for name in ("aiosmtpd", "aiohttp/client", "tornado/simple_httpclient"):
        other = running(OPEN, answers=answers(0, error="RemoteDisconnected"), log=log.replace("gunicorn/workers/sync", name))
        assert verdict_of(other, find(other, SERVER)) is V.SERVES


def test_a_server_that_is_named_is_not_also_one_by_its_port() -> None:
    log = "redis.exceptions.ConnectionError: Error -3 connecting to redis:6379. Temporary failure in name resolution.\n"
    frame = '  File "/opt/venv/lib/python3.11/site-packages/redis/connection.py", line 1, in _connect\n    for res in socket.getaddrinfo(\n'
    first = f"Traceback (most recent call last):\n{frame}socket.gaierror: [Errno -3] Temporary failure in name resolution\n"
    found = find(ended(1, f"{first}{log}"), SERVER)
    assert [finding.subject for finding in found if finding.kind is K.COMPANION] == ["redis:6379"]
    alone = find(ended(1, "kafka.errors.NoBrokersAvailable: NoBrokersAvailable\n"), SERVER)
    assert [finding.subject for finding in alone if finding.kind is K.COMPANION] == ["9092"]


def test_many_writes_are_named_in_part() -> None:
    found = with_lost_writes((), Observation(written=tuple(f"/app/{number}" for number in range(200))), SERVER)
    assert len(found) == 20


@pytest.mark.parametrize("workdir", ["", "/"])
def test_without_a_directory_of_its_own_only_directories_become_state(workdir: str) -> None:
    found = with_lost_writes((), Observation(written=("/x", "/y/")), ExecutionConfig(working_dir=workdir))
    assert [finding.setting for finding in found] == [Setting("state", ("/y/",)), None]


_SOCKETS = st.builds(
    Socket,
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from(["0.0.0.0", "127.0.0.1", "::", "::1", "10.0.0.2"]),
    st.sampled_from([53, 5000, 8000, 40123]),
)
_ANSWERS = st.builds(
    Answer, st.sampled_from([5000, 8000]), st.sampled_from(["/", "/docs"]), status=st.sampled_from([0, 200, 302, 400, 404, 500])
)


def test_a_missing_file_is_made_from_its_example() -> None:
    log = "FileNotFoundError: [Errno 2] No such file or directory: '/app/conf/bot.yml'\n"
    found = find(ended(1, log), SERVER, SourceFacts(examples=(("conf/bot.yml", "conf/bot.example.yml"),)))
    (missing,) = [finding for finding in found if finding.kind is K.FILE]
    assert "Make it from conf/bot.example.yml" in missing.hint


def test_a_file_that_images_leave_out_is_mounted() -> None:
    log = "FileNotFoundError: [Errno 2] No such file or directory: '/app/.env'\n"
    found = find(ended(1, log), SERVER, SourceFacts(examples=((".env", ".env.example"),)))
    (missing,) = (each for each in found if each.kind is K.FILE)
    assert "mount it" in missing.hint and "before the build" not in missing.hint


KEYWORD = """
Traceback (most recent call last):
  File "/app/manage.py", line 6, in <module>
    app = create_app(os.getenv('FLASK_CONFIG') or 'default')
  File "/opt/venv/lib/python3.9/site-packages/kombu/entity.py", line 6, in <module>
    from .connection import maybe_channel
  File "/opt/venv/lib/python3.9/site-packages/kombu/connection.py", line 893
    return self.transport.implements.async
                                     ^
SyntaxError: invalid syntax
"""


def test_a_package_that_this_python_cannot_parse_is_the_cause_and_no_variable_with_a_default() -> None:
    (ended_early,) = [each for each in find(ended(1, KEYWORD), SERVER) if each.blocks]
    assert (ended_early.kind, ended_early.hint.startswith("The kombu in the image is written for an older Python")) == (K.ENDED, True)
    own = KEYWORD.replace("/opt/venv/lib/python3.9/site-packages", "/app")
    assert "older Python:" not in find(ended(1, own), SERVER)[0].hint


def test_a_missing_module_is_made_from_its_example() -> None:
    log = "ModuleNotFoundError: No module named 'shop.config'\n"
    found = find(ended(1, log), SERVER, SourceFacts(examples=(("shop/config.py", "shop/config.py.tpl"),)))
    (missing,) = [finding for finding in found if finding.kind is K.NOT_MADE]
    assert "Make it from shop/config.py.tpl" in missing.hint


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("shop.settings.local", "the project has shop.settings, and no such file in it"),
        ("local_config", ".gitignore names local_config.py, so each machine has its own"),
    ],
)
def test_a_missing_module_that_is_the_projects_own_is_no_package(module: str, why: str) -> None:
    facts = SourceFacts(packages=frozenset({"shop", "shop.settings"}), ignored=("local_config.py",))
    (missing,) = [each for each in find(ended(1, f"ModuleNotFoundError: No module named '{module}'\n"), SERVER, facts) if each.subject]
    assert (missing.kind, why in missing.message, "dependencies" in missing.hint) == (K.NOT_MADE, True, False)
    for foreign in ("redis", "werkzeug.local_config"):
        (other,) = [each for each in find(ended(1, f"ModuleNotFoundError: No module named '{foreign}'\n"), SERVER, facts) if each.subject]
        assert other.kind is K.MODULE


def test_a_missing_file_is_made_by_an_instruction_that_is_not_run() -> None:
    log = "FileNotFoundError: [Errno 2] No such file or directory: '/etc/shop/shop.ini'\n"
    facts = SourceFacts(made=(("shop init --ini /etc/shop/shop.ini", "Dockerfile, line 7"),))
    (missing,) = [finding for finding in find(ended(1, log), SERVER, facts) if finding.kind is K.FILE]
    assert "Dockerfile, line 7 makes it with `shop init --ini /etc/shop/shop.ini`" in missing.hint


def test_a_command_line_of_a_project_that_is_a_server_does_not_serve() -> None:
    facts = SourceFacts(serving="Dockerfile exposes port 8000")
    (found,) = find(ended(2, USAGE), PROGRAM, facts)
    assert (found.kind, found.blocks) == (K.USAGE, True)
    assert "; Dockerfile exposes port 8000" in found.message
    assert "Set `command`" in found.hint


def test_a_script_that_was_guessed_and_ends_without_a_word_does_not_serve() -> None:
    facts = SourceFacts(guess="main.py is the project's script, by its name.")
    (found,) = find(ended(0), PROGRAM, facts)
    assert (found.kind, found.blocks) == (K.ENDED, True)
    assert "printed nothing" in found.message
    assert found.hint.startswith("main.py is the project's script, by its name. Set `command`")
    assert find(ended(0, "done\n"), PROGRAM, facts) == find(ended(0), PROGRAM) == ()
    assert find(Observation(ended=0, written=("/data/report.csv",)), PROGRAM, facts) == ()


def test_a_server_that_ends_without_a_word_may_not_be_started() -> None:
    assert "set `command` to what starts the server" in one(K.ENDED, ended(0), SERVER).hint
    assert one(K.ENDED, ended(0, "done\n"), SERVER).hint == one(K.ENDED, ended(1), SERVER).hint == ""


_LOGS = st.lists(st.sampled_from([USAGE, REFUSED, NO_MODULE, NO_KEY, NO_WRITE, "fine\n"]), max_size=3).map("".join)


@given(
    st.lists(_SOCKETS, max_size=3),
    st.lists(_ANSWERS, max_size=3),
    _LOGS,
    st.none() | st.sampled_from([0, 1, 2, -9]),
    st.sampled_from([SERVER, PROGRAM]),
)
def test_a_verdict_is_good_only_without_a_finding_that_blocks(
    sockets: list[Socket], said: list[Answer], log: str, end: int | None, config: ExecutionConfig
) -> None:
    seen = Observation(ended=end, sockets=tuple(sockets), answers=tuple(said), log=log)
    findings = find(seen, config)
    verdict = verdict_of(seen, findings)
    assert verdict.is_good == (not any(finding.blocks for finding in findings))
    if verdict is V.SERVES:
        assert end is None
        assert any(not found.is_loopback for found in sockets)
        assert not any(answer.status >= 500 for answer in said)
    if config is SERVER and verdict.is_good:
        assert verdict is V.SERVES, "a server that does not serve is never good"


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        ("jinja2.exceptions.TemplateNotFound: today.html", "today.html"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/opt/venv/lib/python3.13/site-packages/menu/schema.sql'",
            "/opt/venv/lib/python3.13/site-packages/menu/schema.sql",
        ),
    ],
)
def test_a_file_that_only_the_source_of_a_package_has_asks_for_the_source(line: str, subject: str) -> None:
    seen = Observation(ended=1, log=f"{line}\n")
    facts = SourceFacts(unpackaged=("menu/templates/today.html", "menu/schema.sql"))
    found = next(finding for finding in find(seen, SERVER, facts) if finding.kind is FindingKind.FILE)
    assert (found.subject, found.setting, found.blocks) == (subject, Setting("install", "source"), True)
    assert "its wheel lacks it" in found.message
    other = next(finding for finding in find(seen, SERVER, SourceFacts(unpackaged=("menu/x.sql",))) if finding.kind is FindingKind.FILE)
    assert other.setting is None


@pytest.mark.parametrize(
    ("variable", "offer", "setting"),
    [
        ("APP_ENV", "Must be `development` or `production`.", Setting("env", {"APP_ENV": "production"})),
        ("APP_ENV", "Must be set in production.", None),
        ("APP_KEY", "Must be `development` or `production`.", None),
    ],
)
def test_a_variable_of_the_environment_is_set_to_the_production_that_is_offered(variable: str, offer: str, setting: Setting | None) -> None:
    found = find(ended(1, f"ValueError: {variable} is not set. {offer}\n"), SERVER)
    assert [each.setting for each in found if each.kind is K.VARIABLE] == [setting]


@pytest.mark.parametrize(("error", "verdict"), [("the bot needs an Openai API key", V.NEEDS), ("the key of the api is wrong", V.FAILS)])
def test_an_error_that_spells_a_variable_out_wants_it(error: str, verdict: Verdict) -> None:
    trace = f'Traceback (most recent call last):\n  File "/app/bot.py", line 9, in <module>\n    raise Exception(\nException: {error}\n'
    seen = ended(1, trace)
    read = SourceFacts(variables=(("key", "OPENAI_API_KEY", "bot.py, line 1"), ("other", "BOT", "bot.py, line 2")))
    found = find(seen, PROGRAM, read)
    wanted = ["OPENAI_API_KEY"] if verdict is V.NEEDS else []
    assert (verdict_of(seen, found), [each.subject for each in found if each.kind is K.VARIABLE]) == (verdict, wanted)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("api.example.org:443", "It is on the internet"),
        ("api.example.org:8443", "If it is on the internet"),
        ("db:5432", "Start that server"),
    ],
)
def test_what_is_on_the_internet_is_not_to_be_started(address: str, says: str) -> None:
    host, _, port = address.partition(":")
    error = f"requests.exceptions.ConnectionError: HTTPSConnectionPool(host='{host}', port={port}): Max retries exceeded with url: /\n"
    (found,) = [each for each in find(ended(1, f"Traceback (most recent call last):\n{error}"), SERVER) if each.kind is K.COMPANION]
    assert (found.subject, says in found.hint) == (address, True), found.hint


@pytest.mark.parametrize(("host", "named"), [("127.0.0.1", True), ("localhost", True), ("db", False)])
def test_a_server_that_is_missing_is_named_with_its_variable(host: str, named: bool) -> None:
    error = f'psycopg.OperationalError: connection failed: connection to server at "{host}", port 5432 failed: Connection refused'
    read = SourceFacts(defaults=(("SHOP_DB", "localhost", "5432", "shop.py, line 3"),))
    (found,) = [each for each in find(ended(1, f"Traceback (most recent call last):\n{error}\n"), SERVER, read) if each.kind is K.COMPANION]
    assert ("SHOP_DB holds its address (shop.py, line 3): -e SHOP_DB=…" in found.hint) == named, found.hint


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (
            (("DATABASES", "PGHOST", "settings.py, line 9"),),
            "PGHOST, which settings.py, line 9 reads without a default, is not set: -e PGHOST=…",
        ),
        ((("host", "SHOP_DB_HOST", "db.py, line 2"),), "SHOP_DB_HOST, which db.py, line 2 reads"),
        ((("key", "DB_KEY", "db.py, line 2"), ("site", "SITE_HOST", "web.py, line 1")), "its client takes one from PGHOST"),
    ],
)
def test_a_database_without_a_host_is_named_with_the_variable_of_its_host(variables: tuple[tuple[str, str, str], ...], says: str) -> None:
    error = (
        'psycopg.OperationalError: connection is bad: connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed:'
        " No such file or directory"
    )
    log = f"Traceback (most recent call last):\n{error}\n"
    read = SourceFacts(variables=variables)
    (found,) = [each for each in find(ended(1, log), SERVER, read) if each.kind is K.COMPANION]
    assert says in found.hint
    given = msgspec.structs.replace(SERVER, environment=dict.fromkeys(("PGHOST", *(name for _, name, _ in variables)), "/var/run"))
    (found,) = [each for each in find(ended(1, log), given, read) if each.kind is K.COMPANION]
    assert "no host" not in found.hint, "it was given one"


def test_a_configuration_of_gunicorn_with_an_error_is_not_a_missing_file() -> None:
    log = "Failed to read config file: conf/gunicorn.conf.py\nTraceback (most recent call last):\nKeyError: 'x'\n"
    assert K.FILE not in {each.kind for each in find(ended(1, log), SERVER)}


def test_a_file_that_a_namespace_package_of_the_project_lacks_is_to_be_made() -> None:
    error = "ImportError: cannot import name 'secrets' from 'shop.settings' (unknown location)"
    log = f'Traceback (most recent call last):\n  File "/app/shop/settings/base.py", line 15, in <module>\n{error}\n'
    found = {each.kind: each for each in find(ended(1, log), SERVER, SourceFacts(packages=frozenset({"shop", "shop.settings"})))}
    assert found[K.NOT_MADE].subject == "shop.settings.secrets"
    assert not is_outgrown(log)


def test_databases_of_django_that_are_none_want_their_variable() -> None:
    error = "django.core.exceptions.ImproperlyConfigured: settings.DATABASES is improperly configured. Please supply the ENGINE value."
    trace = (
        f'Traceback (most recent call last):\n  File "/opt/venv/lib/python3.9/site-packages/django/db/x.py", line 9, in x\n    y\n{error}\n'
    )
    read = SourceFacts(variables=(("DATABASES", "SHOP", "shop.py, line 1"), ("key", "API_KEY", "shop.py, line 2")))
    found = find(ended(1, trace), SERVER, read)
    assert (verdict_of(ended(1, trace), found), [each.subject for each in found if each.kind is K.VARIABLE]) == (V.NEEDS, ["SHOP"])


@pytest.mark.parametrize("shape", ['Traceback (most recent call last):\n  File "x.py", line 9\nConfigError: {}\n', "CRITICAL x | {}\n"])
def test_an_error_that_names_variables_wants_them(shape: str) -> None:
    read = SourceFacts(variables=tuple(("x", name, "x.py, line 1") for name in ("BOX_USER", "BOX_KEY", "BOX_KEY_FILE", "BOX_HOST", "BOX")))
    seen = ended(1, shape.format("Required env variables missing (BOX_USER, BOX_KEY or BOX_KEY_FILE) for a BOX!"))
    found = find(seen, PROGRAM, read)
    assert verdict_of(seen, found) is V.NEEDS
    assert [each.subject for each in found if each.kind is K.VARIABLE] == ["BOX_USER", "BOX_KEY"]


@pytest.mark.parametrize(
    ("written", "companions", "words"),
    [
        ((), (), ("let it print errors",)),
        (
            ("/app/logs/django.log", "/app/x.db"),
            ("db (postgres:17)",),
            ("it writes /app/logs/django.log: look there", "deployed together with, db (postgres:17)"),
        ),
    ],
)
def test_a_page_that_fails_in_silence_has_a_next_step(
    written: tuple[str, ...], companions: tuple[str, ...], words: tuple[str, ...]
) -> None:
    seen = running(OPEN, answers=answers(500), written=written)
    (finding,) = find(seen, SERVER, SourceFacts(companions=companions))
    assert finding.kind is K.ERROR_ANSWER and all(each in finding.hint for each in words)


@pytest.mark.parametrize(
    ("fixed", "says"),
    [
        ((("localhost", "5432", "shop/data.py, line 3"),), True),
        ((("localhost", "", "shop/data.py, line 3"),), True),
        ((("db", "5432", "shop/data.py, line 3"),), False),
        ((("localhost", "3306", "shop/data.py, line 3"),), False),
    ],
)
def test_a_server_whose_address_is_in_the_code_is_named_there(fixed: tuple[tuple[str, str, str], ...], says: bool) -> None:
    log = 'psycopg2.OperationalError: connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused\n'
    found = find(ended(3, log), SERVER, SourceFacts(fixed=fixed))
    hint = next(each.hint for each in found if each.kind is K.COMPANION)
    assert ("in the code (shop/data.py, line 3)" in hint, "by its own configuration" in hint) == (says, not says)


@pytest.mark.parametrize(("ignored", "says"), [(("config.yml",), True), (("other.yml",), False)])
def test_a_file_that_each_machine_has_for_itself_is_mounted(ignored: tuple[str, ...], says: bool) -> None:
    log = "FileNotFoundError: [Errno 2] No such file or directory: '/app/config.yml'\n"
    (finding,) = (each for each in find(ended(1, log), SERVER, SourceFacts(ignored=ignored)) if each.kind is K.FILE)
    assert (".gitignore names it" in finding.hint) is says


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        ("ValueError: invalid literal for int() with base 10: 'None'", ["DB_USER", "DB_PORT"]),
        ("InvalidURL: https://None/v1", ["API_HOST"]),
        ("InvalidToken: the server has no /botNone/getMe", ["BOT_TOKEN"]),
        ("ValueError: invalid literal for int() with base 10: 'x'", []),
    ],
)
def test_a_text_with_none_in_it_wants_the_variables_of_that(error: str, wanted: list[str]) -> None:
    names = ("DB_USER", "DB_PORT", "API_HOST", "BOT_TOKEN")
    read = SourceFacts(variables=tuple(("x", name, f"{name[0]}.py, line {line}") for line, name in enumerate(names)))
    seen = ended(1, f'Traceback (most recent call last):\n  File "/app/x.py", line 9, in <module>\n    run(text)\n{error}\n')
    assert [each.subject for each in find(seen, PROGRAM, read) if each.kind is K.VARIABLE] == wanted


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ('self.get_env_var(key="SECRET_KEY")', ["SECRET_KEY"]),
        ("require_env('SECRET_KEY', str)", ["SECRET_KEY"]),
        ("self.get_env_var(", ["SECRET_KEY"]),
        ("self.lookup('SECRET_KEY')", []),
        ("get_env('OTHER')", []),
    ],
)
def test_a_function_of_the_project_asks_for_a_variable_that_its_error_names(call: str, wanted: list[str]) -> None:
    frames = (
        f'  File "/app/conf.py", line 9, in __init__\n    key = {call}\n  File "/app/conf.py", line 3, in get\n    raise TypeError(text)\n'
    )
    seen = ended(1, f"Traceback (most recent call last):\n{frames}TypeError: Variável SECRET_KEY não encontrada no ambiente\n")
    assert [each.subject for each in find(seen, PROGRAM) if each.kind is K.VARIABLE] == wanted


@pytest.mark.parametrize(
    "said",
    ['ERROR:    Error loading ASGI app. Attribute "app" not found in module "api.main".', "Failed to find attribute 'app' in 'api.main'."],
)
def test_a_command_that_names_no_application_of_its_module_is_the_cause(said: str) -> None:
    facts = SourceFacts(withheld=(("API_KEY", "render.yaml, line 2"),))
    (finding,) = (each for each in find(ended(1, f"{said}\n"), SERVER, facts) if each.kind is K.ENDED)
    assert "The command asks for app of api.main" in finding.hint and "API_KEY" not in finding.hint


def test_an_error_below_a_traceback_in_a_box_is_whole() -> None:
    box = "╭─ Traceback (most recent call last) ─╮\n│ /x/demo/config.py:8 in get │\n╰──────────────╯\n"
    seen = ended(1, f"{box}ConfigError: 'url' is unknown in section \n'database'\nstopped\n")
    assert [each.evidence for each in find(seen, SERVER) if each.kind is K.ENDED] == ["ConfigError: 'url' is unknown in section 'database'"]


@pytest.mark.parametrize(
    "more", ["╭─ Welcome ─╮\n│ v1 │\n╰───────────╯\nstopped\n", "plan\n├─ a\n╰─ b\nstopped\n"], ids=["a box", "a tree"]
)
def test_what_a_program_draws_is_no_error(more: str) -> None:
    seen = ended(1, f"Traceback (most recent call last):\n  File 'x.py', line 1\nValueError: no url\n{more}")
    assert [each.evidence for each in find(seen, SERVER) if each.kind is K.ENDED] == ["ValueError: no url"]


def test_a_path_from_the_working_directory_that_only_the_project_has_asks_for_the_source() -> None:
    seen = running(log="RuntimeError: Directory 'menu/static' does not exist\n")
    finding = next(each for each in find(seen, SERVER, SourceFacts(beside=frozenset({"menu/static"}))) if each.kind is FindingKind.FILE)
    assert (finding.subject, finding.setting) == ("menu/static", Setting("install", "source"))


@pytest.mark.parametrize(("packaged", "wanted"), [(frozenset({"shop"}), ["SHOP_URL"]), (frozenset(), [])])
def test_a_package_of_the_project_names_the_variable_that_its_line_uses(packaged: frozenset[str], wanted: list[str]) -> None:
    frame = '  File "/opt/venv/lib/python3.13/site-packages/shop/data.py", line 22, in connect\n    engine = create_engine(URL)\n'
    seen = ended(1, f"Traceback (most recent call last):\n{frame}AttributeError: 'NoneType' object has no attribute 'x'\n")
    facts = SourceFacts(variables=(("URL", "SHOP_URL", "shop/data.py, line 3"),), packaged=packaged)
    assert [each.subject for each in find(seen, SERVER, facts) if each.kind is K.VARIABLE] == wanted


def test_of_several_modules_the_one_beside_the_importing_file_is_meant() -> None:
    places = SourceFacts(modules=(("auth", "/app/api/hooks"), ("auth", "/app/api/rules")))
    error = "ModuleNotFoundError: No module named 'auth'\n"
    for frame, folder in (("/app/api/rules/__init__.py", "/app/api/rules"), ("/app/main.py", "/app/api/hooks")):
        log = f'Traceback (most recent call last):\n  File "/app/x.py", line 1, in <module>\n  File "{frame}", line 1, in <module>\n{error}'
        finding = next(each for each in find(ended(1, log), SERVER, places) if each.kind is K.MODULE)
        assert finding.setting == Setting("env", {"PYTHONPATH": folder})


def test_a_module_that_the_wheel_of_its_package_lacks_asks_for_the_source() -> None:
    seen = ended(1, "ModuleNotFoundError: No module named 'shop.db'\n")
    facts = SourceFacts(packages=frozenset({"shop"}), unpackaged=("shop/db/__init__.py",))
    finding = next(each for each in find(seen, SERVER, facts) if each.kind is K.MODULE)
    assert finding.setting == Setting("install", "source")


def test_a_module_that_only_the_project_has_asks_for_the_source() -> None:
    seen = ended(1, "ModuleNotFoundError: No module named 'resources'\n")
    finding = next(each for each in find(seen, SERVER, SourceFacts(beside=frozenset({"resources.py"}))) if each.kind is K.MODULE)
    assert finding.setting == Setting("install", "source")
    other = next(each for each in find(seen, SERVER, SourceFacts(beside=frozenset({"other.py"}))) if each.kind is K.MODULE)
    assert other.setting is None


UNSET = """Traceback (most recent call last):
  File "/opt/venv/lib/python3.13/site-packages/uvicorn/server.py", line 1, in run
    URL = self.load()
  File "/app/main.py", line 7, in <module>
    engine = create_engine(
             ^^^^^^^^^^^^^^
        URL, echo=True)
  File "/opt/venv/lib/python3.13/site-packages/db/create.py", line 5, in create_engine
    raise DbError(TOKEN)
AttributeError: 'NoneType' object has no attribute '_instantiate_plugins'
"""
READ = (("TOKEN", "API_TOKEN", "bot.py, line 1"), ("URL", "DATABASE_URL", "main.py, line 3"))


def test_names_a_variable_that_the_failing_line_uses() -> None:
    found = find(ended(1, UNSET), SERVER, SourceFacts(variables=READ))
    (finding,) = (each for each in found if each.kind is K.VARIABLE)
    assert (finding.subject, finding.evidence, finding.blocks) == ("DATABASE_URL", "URL, echo=True)", True)
    assert "main.py, line 3" in finding.message
    assert verdict_of(ended(1, UNSET), found) is V.NEEDS
    empty = msgspec.structs.replace(SERVER, environment={"DATABASE_URL": ""})
    assert verdict_of(ended(1, UNSET), find(ended(1, UNSET), empty, SourceFacts(variables=READ))) is V.NEEDS
    given = msgspec.structs.replace(SERVER, environment={"DATABASE_URL": "x"})
    assert not [each for each in find(ended(1, UNSET), given, SourceFacts(variables=READ)) if each.kind is K.VARIABLE]
    explained = find(ended(1, UNSET + NO_MODULE), SERVER, SourceFacts(variables=READ))
    assert not [each for each in explained if each.kind is K.VARIABLE]


@pytest.mark.parametrize(("after", "verdict"), [("", V.NEEDS), ("sent 3 messages without it\n", V.ENDS)])
def test_a_program_that_ends_well_on_what_it_wants_has_not_done_its_work(after: str, verdict: Verdict) -> None:
    seen = ended(0, f"CRITICAL: TOKEN must be set, set this as bot token.\n{after}")
    found = find(seen, PROGRAM)
    assert (verdict_of(seen, found), [it.subject for it in found if it.kind is K.VARIABLE]) == (verdict, ["TOKEN"])


def test_a_server_that_hangs_up_and_says_what_it_wants_speaks_no_other_protocol() -> None:
    log = "ValueError: environment variable SHOP_HOME is not set\n"
    seen = running(OPEN, answers=answers(0, error="ConnectionResetError"), log=log)
    assert verdict_of(seen, find(seen, SERVER)) is V.NEEDS


def test_a_program_that_is_spoken_to_over_its_input_ends_without_it() -> None:
    facts = SourceFacts(dialogue="a server of the protocol")
    (finding,) = find(ended(0), PROGRAM, facts)
    assert (finding.kind, finding.blocks) == (K.TERMINAL, False) and "run -i" in finding.hint
    assert (find(ended(0), PROGRAM), [it.kind for it in find(ended(1), PROGRAM, facts)]) == ((), [K.ENDED])
    assert [it.kind for it in find(ended(0), SERVER, facts)] == [K.ENDED, K.TERMINAL]


def test_a_program_that_asks_for_input_is_healthy() -> None:
    log = "Your name: Traceback (most recent call last):\n  ...\nEOFError: EOF when reading a line\n"
    seen = ended(1, log)
    (finding,) = found = find(seen, PROGRAM)
    assert (verdict_of(seen, found), finding.kind, finding.blocks) == (V.ENDS, K.TERMINAL, False)
    assert "run --interactive" in finding.hint
    assert verdict_of(seen, find(seen, SERVER)) is V.FAILS
    later = ended(1, f"{log}KeyError: 'x'\n")
    assert verdict_of(later, find(later, PROGRAM)) is V.FAILS


def test_a_variable_that_the_failing_line_uses_explains_more_than_a_warning_of_before() -> None:
    log = "warning: import it from demo_extra: to install it, run `pip install -U demo-extra`.\n"
    source = SourceFacts(variables=READ)
    assert {each.kind for each in find(ended(1, log + UNSET), SERVER, source) if each.blocks} == {K.ENDED, K.VARIABLE}
    other = log + UNSET.replace("URL, echo", "None, echo")
    assert {each.kind for each in find(ended(1, other), SERVER, source) if each.blocks} == {K.ENDED, K.PACKAGE}


CIRCLE = (
    "Traceback (most recent call last):\n  File \"/app/app.py\", line 1, in <module>\nImportError: cannot import name 'level' from"
    " partially initialized module 'app' (most likely due to a circular import) ({}/app.py)\n"
)
REFUSED_ARGUMENTS = "usage: {0} [-h] [-p PORT]\n{0}: error: unrecognized arguments: --host 0.0.0.0 app:app\n"


@pytest.mark.parametrize(
    ("status", "log", "subject"),
    [
        (3, CIRCLE.format("/app"), "app"),
        (2, REFUSED_ARGUMENTS.format("uvicorn"), "uvicorn"),
        (3, REFUSED_ARGUMENTS.format("gunicorn"), "gunicorn"),
    ],
)
def test_an_application_that_a_server_cannot_import_is_named(status: int, log: str, subject: str) -> None:
    (finding,) = find(ended(status, log), SERVER)
    assert (finding.kind, finding.subject, finding.blocks) == (K.UNIMPORTABLE, subject, True)


@pytest.mark.parametrize(
    "log",
    [
        CIRCLE.format("/opt/venv/lib/python3.13/site-packages/demo"),
        CIRCLE.format("/app") + "Traceback (most recent call last):\nValueError: x\n",
        "usage: gunicorn [OPTIONS] [APP_MODULE]\ngunicorn: error: unrecognized arguments: --fast\n",
    ],
)
def test_another_failure_is_not_one_of_the_import(log: str) -> None:
    assert K.UNIMPORTABLE not in {each.kind for each in find(ended(3, log), SERVER)}
    assert K.UNIMPORTABLE not in {each.kind for each in find(ended(2, REFUSED_ARGUMENTS.format("uvicorn")), PROGRAM)}


def test_an_error_that_the_log_is_silent_about_has_a_next_step() -> None:
    traceback = 'Traceback (most recent call last):\n  File "/app/x.py", line 1, in f\nZeroDivisionError: division by zero\n'
    for log, words in (("Booting worker\n", "let it print errors"), (traceback, "")):
        (finding,) = find(running(OPEN, answers=answers(500), log=log), SERVER)
        assert finding.kind is K.ERROR_ANSWER and (words in finding.hint if words else not finding.hint)


def test_a_job_that_wrote_its_files_has_done_its_work_whatever_it_advises() -> None:
    seen = msgspec.structs.replace(ended(0, "Report written. Set SLACK_TOKEN to send it.\n"), written=("/data/report.csv",))
    found = find(seen, PROGRAM)
    assert (verdict_of(seen, found), [it.subject for it in found if it.kind is K.VARIABLE]) == (V.ENDS, ["SLACK_TOKEN"])


def test_names_a_variable_that_the_failing_line_reads() -> None:
    log = UNSET.replace("URL, echo=True", 'os.getenv("BOT_TOKEN"), os.getenv("MODE", "x")')
    assert [each.subject for each in find(ended(1, log), PROGRAM) if each.kind is K.VARIABLE] == ["BOT_TOKEN"]


def test_names_the_directory_of_a_module_that_is_not_on_the_path() -> None:
    facts = SourceFacts(modules=(("shop", "/app/src"), ("shop", "/app/old/src"), ("basket", "/app/src/shop")))
    found = find(ended(1, "ModuleNotFoundError: No module named 'shop.basket'\n"), SERVER, facts)
    (finding,) = (each for each in found if each.kind is K.MODULE)
    assert "has shop in /app/src" in finding.message
    assert finding.setting == Setting("env", {"PYTHONPATH": "/app/src"})


def test_a_module_that_its_own_package_lacks_is_in_no_other_directory() -> None:
    facts = SourceFacts(modules=(("cogs", "/app/bot"), ("clan", "/app/bot/cogs")), packages=frozenset({"cogs"}))
    found = find(ended(1, "ModuleNotFoundError: No module named 'cogs.persistence'\n"), PROGRAM, facts)
    (finding,) = (each for each in found if each.subject == "cogs.persistence")
    assert (finding.kind, finding.setting) == (K.NOT_MADE, None)
    assert "the project has cogs, and no such file in it" in finding.message


OLDER = "  File \"/app/app.py\", line 1\nImportError: cannot import name 'safe' from 'tools' (/opt/venv/tools.py)\n"


def test_a_program_that_is_older_than_its_packages_has_a_next_step() -> None:
    (finding,) = find(ended(1, OLDER), SERVER)
    assert (finding.kind, "shipwheel init" in finding.hint, "--as-of" in finding.hint) == (K.ENDED, True, True)
    loop = "  File \"/opt/venv/server.py\", line 49\nRuntimeError: There is no current event loop in thread 'MainThread'.\n"
    assert "--as-of" in find(ended(1, loop), SERVER)[0].hint
    assert find(ended(1, "ValueError: no\n"), SERVER)[0].hint == ""
    assert find(ended(1, "AttributeError: 'NoneType' object has no attribute 'split'\n"), SERVER)[0].hint == ""
    assert "--as-of" not in find(ended(1, OLDER + NO_MODULE), SERVER)[0].hint


@pytest.mark.parametrize(
    ("variables", "subject"),
    [
        ((("SECRET_KEY", "SHOP_SECRET", "app.py, line 2"),), "SHOP_SECRET"),
        ((("SECRET_KEY", "SHOP_SECRET", "app.py, line 2"), ("key", "SECRET_KEY", "app.py, line 3")), "SECRET_KEY"),
        ((), "SECRET_KEY"),
    ],
)
def test_a_setting_is_given_by_the_variable_that_it_is_read_from(variables: tuple[tuple[str, str, str], ...], subject: str) -> None:
    log = "django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.\n"
    found = find(ended(1, log), SERVER, SourceFacts(variables=variables))
    assert [each.subject for each in found if each.kind is K.VARIABLE] == [subject]


@pytest.mark.parametrize(("path", "said"), [("/app/shop/home.py", True), ("/opt/venv/lib/python3.9/site-packages/old/home.py", False)])
def test_a_file_that_only_python_2_can_read_is_to_be_ported(path: str, said: bool) -> None:
    log = 'Traceback (most recent call last):\n  File "/app/server.py", line 2, in <module>\n    import shop\n'
    log += f"  File \"{path}\", line 38\n    print ''\n          ^\nSyntaxError: Missing parentheses in call to 'print'.\n"
    hint = find(ended(1, log), SERVER)[0].hint
    assert hint.startswith("/app/shop/home.py, line 38, is written for Python 2") == said


@pytest.mark.parametrize(("caught", "said"), [("KeyError, error", True), ("KeyError, ValueError", False)])
def test_exceptions_without_parentheses_may_be_those_of_a_newer_python(caught: str, said: bool) -> None:
    log = f'Traceback (most recent call last):\n  File "/app/main.py", line 4\n    except {caught}:\n           ^^^\n'
    log += "SyntaxError: multiple exception types must be parenthesized\n"
    assert ("written for Python 2" in find(ended(1, log), SERVER)[0].hint) == said


@pytest.mark.parametrize("error", ["SyntaxError: name 'READY' is used prior to global declaration", "IndentationError: unexpected indent"])
def test_a_file_with_an_error_of_syntax_is_to_be_corrected(error: str) -> None:
    log = 'Traceback (most recent call last):\n  File "/app/main.py", line 2, in <module>\n    import db\n'
    log += f'  File "/app/db.py", line 51\n    global READY\n    ^^^^^^^^^^^^\n{error}\n'
    assert find(ended(1, log), SERVER)[0].hint.startswith("/app/db.py, line 51, is no code that the image's Python can read: correct it")


@pytest.mark.parametrize(
    "error", ["importlib.metadata.PackageNotFoundError: No package metadata was found for shop", "PackageNotFoundError: shop"]
)
def test_a_version_that_a_program_asks_for_is_of_a_package(error: str) -> None:
    log = f'Traceback (most recent call last):\n  File "/app/shop/__init__.py", line 2, in <module>\n    version(__name__)\n{error}\n'
    hint = find(ended(1, log), SERVER)[0].hint
    assert hint.startswith("It asks for the version of shop, of which no package is installed") and 'install = "wheel"' in hint


def test_a_package_that_is_there_is_not_wanted() -> None:
    """How to install it stands in the sentence about something else that is missing."""
    log = "OSError: You have never set up your robot. To do this, run:\n> pip install anki_vector\n> python -m anki_vector.configure\n"
    assert [each.kind for each in find(ended(1, log), SERVER, SourceFacts(installed=frozenset({"anki-vector"})))] == [K.ENDED]
    assert K.PACKAGE in [each.kind for each in find(ended(1, log), SERVER)]


def test_what_a_program_says_is_found_in_its_source_with_what_it_looks_for() -> None:
    refusal = Refusal("The configuration file could not be found.", "bot/config.py, line 12", ("BOT_CONFIG", "bot.yml"))
    source = SourceFacts(refusals=(refusal,), examples=(("bot.yml", "bot.example.yml"),))
    log = "Traceback (most recent call last):\n  File '/app/x.py'\nbot.ConfigError: The configuration file could not be found.\n"
    (finding,) = find(ended(1, log), SERVER, source)
    assert "bot/config.py, line 12, says so, where the code looks for BOT_CONFIG, bot.yml: " in finding.hint
    assert "bot.example.yml is an example" in finding.hint
    (other,) = find(ended(1, "bot.ConfigError: other\n"), SERVER, source)
    assert not other.hint


@pytest.mark.parametrize(
    ("frame", "error", "found"),
    [
        ("/usr/lib/python3.11/configparser.py", "configparser.NoSectionError: No section: 'db'", True),
        ("/usr/lib/python3.11/configparser.py", "KeyError: 'db'", True),
        ("/app/shop/conf.py", "KeyError: 'TOKEN'", True),
        ("/app/shop/other.py", "KeyError: 'TOKEN'", False),
        ("/app/shop/conf.py", "ValueError: x", False),
    ],
)
def test_a_value_of_a_file_that_is_passed_over_names_the_file(frame: str, error: str, found: bool) -> None:
    source = SourceFacts(passed_over=(("conf.ini", "shop/conf.py, line 3"),), examples=(("conf.ini", "conf.ini.sample"),))
    log = f'Traceback (most recent call last):\n  File "/app/main.py", line 2\n  File "{frame}", line 9\n{error}\n'
    (finding,) = find(ended(1, log), SERVER, source)
    assert finding.hint.startswith("shop/conf.py, line 3, reads conf.ini if it is there, and the project has none: make it from") == found


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("/app/twistd.pid", "twistd.pid"),
        ("/app/logs", "logs/"),
        ("/app/data/.cache", "data/.cache/"),
        ("/var/x.pid", ""),
        ("", ""),
        ("/app/src/../logs/x.log", "logs/x.log"),
        ("/app/../etc/x", ""),
        ("/app/.", ""),
    ],
)
def test_a_path_that_an_error_names_below_the_working_directory_is_state(path: str, state: str) -> None:
    refused = Finding(K.NOT_WRITABLE, "it cannot write", subject=path, blocks=True)
    (found,) = with_refused_writes((refused,), SERVER)
    assert found.setting == (Setting("state", (state,)) if state else None)
    other = Finding(K.MODULE, "x", setting=Setting("env", {"PYTHONPATH": "/app/x"}), subject="/app/y")
    written = Finding(K.LOST_WRITES, "it writes", setting=Setting("state", (state,)))
    assert with_refused_writes((other, written, refused), SERVER) == (other, written, refused)


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/var/log/shop/", Setting("volumes", ("/var/log/shop",))),
        ("/etc/logs/", Setting("volumes", ("/etc/logs",))),
        ("logs/", Setting("state", ("logs/",))),
        ("/app/out.d/", Setting("state", ("out.d/",))),
        ("/var/log/", None),
        ("/usr/share/shop/", None),
    ],
)
def test_a_directory_that_is_missing_for_a_file_to_be_made_can_be_written(path: str, setting: Setting | None) -> None:
    (found,) = with_refused_writes((Finding(K.NOT_WRITABLE, "it cannot write", subject=path, blocks=True),), SERVER)
    assert found.setting == setting


def test_a_name_that_a_package_has_not_is_said_with_the_package() -> None:
    log = OLDER + "ImportError: cannot import name 'Console' from 'rcon' (/opt/venv/lib/python3.11/site-packages/rcon/__init__.py)\n"
    (finding,) = find(ended(1, log), SERVER)
    assert finding.hint.startswith("The rcon in the image has no Console: the program is written for another version of that package, or")
    assert "--as-of" in finding.hint


def test_a_module_of_a_package_that_may_be_there_can_be_one_that_its_version_lacks() -> None:
    log = "ModuleNotFoundError: No module named 'chains.memory.buffer'\n"
    (hint,) = (each.hint for each in find(ended(1, log), SERVER) if each.kind is K.MODULE)
    assert "If chains.memory is there, its version has no such module: `shipwheel init`" in hint
    assert is_outgrown(log)
    assert not is_outgrown(NO_MODULE)


def test_a_program_is_not_called_old_if_a_variable_explains_its_end() -> None:
    lines = ("Traceback (most recent call last):", '  File "/app/db.py", line 3, in <module>', "    engine = create(URL)")
    log = "\n".join(
        (*lines, '  File "/opt/venv/lib/python3.11/site-packages/x.py", line 3, in create', "TypeError: unhashable type: 'x'\n")
    )
    for variables, told in (((), True), ((("URL", "DATABASE_URL", "db.py, line 1"),), False)):
        (end,) = (found for found in find(ended(1, log), SERVER, SourceFacts(variables=variables)) if found.kind is K.ENDED)
        assert ("older than its packages" in end.hint) is told


def test_a_server_that_never_listens_may_wait_for_what_it_is_deployed_with() -> None:
    (silent,) = find(running(), SERVER, SourceFacts(companions=("redis (redis:8)",)))
    assert (silent.kind, "deployed together with, redis (redis:8)," in silent.hint) == (K.NO_LISTENER, True)
    (alone,) = find(running(), SERVER)
    assert "deployed" not in alone.hint


@pytest.mark.parametrize(
    "error",
    [
        "RuntimeError: Working outside of application context.",
        "pydantic.errors.PydanticUserError: `regex` is removed. use `pattern` instead",
        "TypeError: unhashable type: 'dict'",
    ],
)
def test_errors_that_newer_packages_raise_tell_that_a_program_is_older(error: str) -> None:
    assert is_outgrown(f"Traceback (most recent call last):\n  File '/app/app.py', line 3, in <module>\n{error}\n")


@pytest.mark.parametrize(("module", "named"), [("yaml", "pyyaml"), ("fastlite", "fastlite"), ("shop", "the package that brings shop")])
def test_the_package_of_a_missing_module_is_named_if_it_is_known(module: str, named: str) -> None:
    hints = [each.hint for each in find(ended(1, f"ModuleNotFoundError: No module named '{module}'\n"), SERVER) if each.kind is K.MODULE]
    assert hints == [f"Add {named} to the project's dependencies, or to the setting `dependencies`."]


WRONG_VALUE = """
Traceback (most recent call last):
  File "/app/shop/main.py", line 1, in <module>
    from fastapi import FastAPI
  File "/opt/venv/lib/python3.11/site-packages/fastapi/__init__.py", line 7, in <module>
    from .applications import FastAPI as FastAPI
  File "/opt/venv/lib/python3.11/site-packages/pydantic/utils.py", line 256, in generate_model_signature
    merged_params[param_name] = Parameter(
  File "/usr/lib/python3.11/inspect.py", line 2722, in __init__
    raise ValueError('{!r} is not a valid parameter name'.format(name))
ValueError: 'not' is not a valid parameter name
"""


@pytest.mark.parametrize(
    ("line", "outgrown"), [('raise TypeError("no loader for this environment specified")', False), ("loader[name]", True)]
)
def test_a_package_that_says_what_is_wrong_with_a_value_is_not_too_new(line: str, outgrown: bool) -> None:
    log = f"""Traceback (most recent call last):
  File "/app/app.py", line 3, in <module>
    env.get_template("a.html")
  File "/opt/venv/lib/python3.11/site-packages/jinja2/environment.py", line 975, in _load_template
    {line}
TypeError: no loader for this environment specified
"""
    assert is_outgrown(log) is outgrown


def test_a_package_that_finds_a_wrong_value_while_it_is_imported_is_outgrown() -> None:
    assert is_outgrown(WRONG_VALUE)
    assert not is_outgrown(WRONG_VALUE.replace("from fastapi import FastAPI", "port = Port('x')"))
    assert not is_outgrown(WRONG_VALUE.replace("/opt/venv/lib/python3.11/site-packages", "/app"))


def test_a_name_that_the_projects_own_file_has_not_is_no_fault_of_packages() -> None:
    error = "ImportError: cannot import name 'serve' from 'shop.web' ({})\n"
    log = 'Traceback (most recent call last):\n  File "/app/main.py", line 1, in <module>\n    from shop.web import serve\n'
    own = log + error.format("/app/shop/web.py")
    (finding,) = find(ended(1, own), SERVER)
    assert (finding.hint.startswith("shop/web.py has no serve: "), is_outgrown(own)) == (True, False)
    ends = 'Traceback (most recent call last):\n  File "/opt/venv/bin/gunicorn", line 8\ngunicorn.errors.HaltServer: <HaltServer 3>\n'
    assert find(ended(1, own + ends), SERVER)[0].hint == finding.hint
    assert is_outgrown(log + error.format("/opt/venv/lib/python3.13/site-packages/shop/web.py"))


def test_a_package_that_the_wheel_lacks_is_in_the_directory_beside_it() -> None:
    facts = SourceFacts(modules=(("shop", "/app"),), packaged=frozenset({"shop"}), packages=frozenset({"shop"}))
    settings = []
    for module in ("shop", "shop.local"):
        found = find(ended(1, f"ModuleNotFoundError: No module named '{module}'\n"), SERVER, facts)
        settings += [each.setting for each in found if each.subject == module]
    assert settings == [Setting("env", {"PYTHONPATH": "/app"}), None]


@pytest.mark.parametrize(
    ("line", "blocks"),
    [
        ("2026-11-27 - root - ERROR - No token provided", True),
        ("[2026-11-27 20:00:00] [ERROR   ] bot: no token", True),
        ("no errors, 0 ERRORS", False),
        ("OK=5 ERROR=0", False),
        ("the rows that were left out are in out/ERROR.csv", False),
        ("done with LOG_LEVEL=ERROR", False),
    ],
)
def test_a_program_whose_last_line_is_an_error_has_not_ended_well(line: str, blocks: bool) -> None:
    found = find(ended(0, f"start\n{line}\n"), PROGRAM)
    assert [(each.kind, each.evidence) for each in found if each.blocks] == ([(K.ENDED, line)] if blocks else [])
    assert not any(each.blocks for each in find(ended(0, f"{line}\ndone\n"), PROGRAM))


def test_a_failure_without_a_cause_names_what_the_deployment_sets_and_the_image_has_not() -> None:
    facts = SourceFacts(withheld=(("S3_BUCKET", "docker-compose.yml, line 18"), ("SENTRY_DSN", "docker-compose.yml, line 18")))
    log = "Traceback (most recent call last):\nshop.NotDefined\n"
    (finding,) = find(ended(1, log), SERVER, facts)
    assert finding.hint.startswith("It may want S3_BUCKET, SENTRY_DSN, which docker-compose.yml, line 18, sets for it")
    given = msgspec.structs.replace(SERVER, environment={"S3_BUCKET": "x", "SENTRY_DSN": "y"})
    assert find(ended(1, log), given, facts)[0].hint == ""
    assert "S3_BUCKET" not in find(ended(1, log + "BOT_TOKEN is not set\n"), SERVER, facts)[0].hint
    for error in ("SyntaxError: invalid syntax", "OSError: [Errno 99] Cannot assign requested address"):
        assert "S3_BUCKET" not in find(ended(1, log.replace("shop.NotDefined", error)), SERVER, facts)[0].hint


def test_a_page_of_its_own_that_fails_says_why_itself() -> None:
    broken = Answer(8000, "/sales", status=500, body='{"error": "no such table: sales"}', declared=True)
    (finding,) = find(running(OPEN, answers=[*answers(404), broken], log="connected\n"), SERVER)
    assert (finding.evidence, finding.blocks) == ('{"error": "no such table: sales"}', False)


def test_workers_that_end_again_and_again_are_no_slow_server() -> None:
    log = "".join(f"[2026-11-27 23:55:23 +0000] [{pid}] [INFO] Booting worker with pid: {pid}\n" for pid in (7, 8, 9))
    slow = replace(running(OPEN, answers=answers(0, error="timeout"), log=log), processes=4)
    assert "does not answer" in one(K.NO_ANSWER, slow).message
    assert one(K.NO_ANSWER, replace(slow, processes=2)).message.endswith("starts others for them: 3 in all")
    both = replace(slow, log="".join(f"{line}\nINFO:     Started server process [7]\n" for line in log.splitlines()))
    assert "does not answer" in one(K.NO_ANSWER, both).message, "uvicorn in gunicorn's worker has a line, too"
