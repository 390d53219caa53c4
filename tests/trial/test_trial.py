"""Trials in an engine that is made up: when there is a second run, what an engine is asked for, what people and programs get to read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from support.digests import ANY

from shipwheel.container.path import ContainerPath
from shipwheel.engine.interface import Mount, RunSpec
from shipwheel.engine.program import ProgramResult
from shipwheel.errors import EngineError, TrialError
from shipwheel.events import Event, Reporter, Warned, silent
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.oci.image import FileLayer, Image, ImageIndex, make_image, make_index
from shipwheel.oci.model import MEDIA_TYPE_LAYER_GZIP, ContainerConfig, Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.trial.built import check_images
from shipwheel.trial.finding import FindingKind, Verdict
from shipwheel.trial.observation import Answer, Observation, Socket, Stop
from shipwheel.trial.observe import Conditions, Subject, observe, split_init, trial_name
from shipwheel.trial.report import to_json, to_lines
from shipwheel.trial.source_facts import SourceFacts
from shipwheel.trial.trial import Trial, require_good, try_image

CONFIG = ExecutionConfig(
    entrypoint=("/usr/bin/tini", "--"),
    cmd=("gunicorn", "app:app"),
    exposed_ports=(ExposedPort(8000, "tcp"),),
    volumes=(ContainerPath("/data"),),
    working_dir="/app",
    user="65532:65532",
    stop_signal="SIGINT",
)
AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
SUBJECT = Subject("shop:check", CONFIG, AMD64, "shop")
SERVES = Observation(
    sockets=(Socket("tcp", "0.0.0.0", 8000, 0.4),),
    answers=(Answer(8000, "/", status=200, type="text/html; charset=utf-8"),),
    ready=0.5,
    seconds=1.0,
    memory=40_000_000,
    processes=2,
    stop=Stop(0.2, killed=False),
)
CANNOT_WRITE = Observation(ended=1, seconds=0.3, log="OSError: [Errno 30] Read-only file system: '/app/x'\n")


def image_for(platform: Platform) -> Image:
    """Return an image with the layer of another image, on which it is made."""
    config = ContainerConfig(cmd=("gunicorn", "app:app"), exposed_ports={"8000/tcp": {}})
    base = FileLayer(Descriptor(MEDIA_TYPE_LAYER_GZIP, ANY, 0), ANY, Path("/nonexistent"))
    return make_image((base,), config, platform, created=0)


@dataclass
class FakeEngine:
    """An engine whose containers print what it is given, one after the other."""

    outputs: list[Observation | str | EngineError]
    specs: list[RunSpec] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    name: str = "fake"
    runs: tuple[Platform, ...] = (AMD64,)
    loaded: list[Platform] = field(default_factory=list)
    emulation_hint: str = ""

    def host(self) -> Platform:
        return AMD64

    def platforms(self) -> tuple[Platform, ...]:
        return self.runs

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        (image,) = index.images
        self.loaded.append(image.platform)
        return str(name)

    def capture(self, spec: RunSpec, timeout: float) -> ProgramResult:
        self.specs.append(spec)
        self.timeouts.append(timeout)
        output = self.outputs.pop(0)
        if isinstance(output, EngineError):
            raise output
        text = output if isinstance(output, str) else f"noise\n{{}}\n{msgspec.json.encode(output).decode()}\n"
        return ProgramResult("fake", 0 if isinstance(output, Observation) else 1, text, "fake: it broke\n")


def tried(*outputs: Observation | str | EngineError, subject: Subject = SUBJECT) -> tuple[Trial, FakeEngine]:
    """Return the trial in an engine whose containers print these."""
    engine = FakeEngine([*outputs])
    return try_image(engine, subject, Conditions(), silent), engine  # type: ignore[arg-type]


def options(spec: RunSpec) -> dict[str, object]:
    """Return the observer's options."""
    found: dict[str, object] = msgspec.json.decode(spec.command[-1])
    return found


def test_runs_an_image_as_production_would() -> None:
    trial, engine = tried(SERVES)
    (spec,) = engine.specs
    assert trial.verdict is Verdict.SERVES
    assert spec.command[:5] == ("/usr/bin/tini", "--", "python", "-I", "-S")
    assert (spec.read_only, spec.network, spec.no_privileges, spec.user) == (True, "none", True, None)
    assert spec.mounts == (Mount("", ContainerPath("/data")),)
    assert spec.name.startswith("shop-check-")
    given = options(spec)
    assert (given["command"], given["ports"], given["signal"]) == (["gunicorn", "app:app"], [8000], "SIGINT")
    assert (given["look_in"], given["timeout"]) == (["/data"], 60)


def test_a_variable_that_the_trial_gives_is_not_wanted() -> None:
    error = "Traceback (most recent call last):\n  File 'x.py', line 9\nValueError: SHOP_KEY is too short\n"
    source = SourceFacts(variables=(("key", "SHOP_KEY", "x.py, line 1"),))
    for env, wanted in (({}, True), ({"SHOP_KEY": "x"}, False)):
        engine = FakeEngine([Observation(ended=1, log=error)] * 2)
        trial = try_image(engine, SUBJECT, Conditions(source=source, env=env), silent)  # type: ignore[arg-type]
        assert any(finding.kind is FindingKind.VARIABLE for finding in trial.findings) == wanted


def test_a_program_without_a_port_is_watched_shortly_unless_told_otherwise() -> None:
    subject = msgspec.structs.replace(SUBJECT, config=ExecutionConfig(cmd=("worker",)))
    engine = FakeEngine([Observation(), Observation()])
    for timeout in (None, 45.0):
        observe(engine, subject, Conditions(timeout))  # type: ignore[arg-type]
    assert [(options(spec)["timeout"], options(spec)["starting"]) for spec in engine.specs] == [(10, 40), (45, 180)], "it may be loading"


def test_pages_of_the_source_are_asked_for_only_where_they_reach_nothing_else() -> None:
    engine = FakeEngine([Observation(), Observation()])
    for network in ("none", ""):
        observe(engine, SUBJECT, Conditions(source=SourceFacts(pages=("/sync",)), network=network))  # type: ignore[arg-type]
    assert [options(spec)["declared"] for spec in engine.specs] == [["/sync"], []]


def test_everything_may_take_longer_under_an_emulator() -> None:
    trial, engine = tried(SERVES, subject=msgspec.structs.replace(SUBJECT, platform=ARM64))
    assert trial.verdict.is_good
    assert options(engine.specs[0])["timeout"] == 360
    assert engine.timeouts[0] > 360


def test_a_program_that_cannot_write_is_run_again_with_a_writable_root() -> None:
    second = msgspec.structs.replace(SERVES, written=("/app/x", "/data/y"))
    trial, engine = tried(CANNOT_WRITE, second)
    assert [(spec.read_only, spec.user) for spec in engine.specs] == [(True, None), (False, "0:0")]
    assert options(engine.specs[1])["look_in"] == ["/"]
    assert trial.verdict is Verdict.FAILS
    assert trial.writable == second
    assert {finding.subject for finding in trial.findings if finding.kind is FindingKind.LOST_WRITES} == {"/app/x"}


def test_a_second_run_that_comes_no_further_tells_nothing() -> None:
    trial, engine = tried(CANNOT_WRITE, msgspec.structs.replace(CANNOT_WRITE, written=("/app/y",)))
    assert len(engine.specs) == 2
    assert FindingKind.LOST_WRITES not in {finding.kind for finding in trial.findings}


def test_a_page_that_works_with_a_writable_root_is_further() -> None:
    fails = msgspec.structs.replace(SERVES, answers=(Answer(8000, "/", status=500), Answer(8000, "/docs", status=200)))
    trial, _ = tried(fails, fails, msgspec.structs.replace(SERVES, written=("/app/x",)))
    assert FindingKind.LOST_WRITES in {finding.kind for finding in trial.findings}


def test_a_page_that_fails_in_silence_is_asked_again_with_loggers_that_speak() -> None:
    fails = msgspec.structs.replace(SERVES, answers=(Answer(8000, "/", status=500),), log="Listening at: http://0.0.0.0:8000\n")
    error = "Traceback (most recent call last):\nredis.exceptions.ConnectionError: Error 111 connecting to cache:6379\n"
    trial, engine = tried(fails, msgspec.structs.replace(fails, log=error), fails)
    assert [bool(options(spec)["clock"]) for spec in engine.specs] == [False, True, False]
    assert [finding.subject for finding in trial.blocking if finding.kind is FindingKind.COMPANION] == ["cache:6379"]
    assert trial.seen.log.startswith("Listening")


def test_a_page_that_says_why_it_fails_is_not_asked_again() -> None:
    log = "Traceback (most recent call last):\nValueError: no\n"
    fails = msgspec.structs.replace(SERVES, answers=(Answer(8000, "/", status=500),), log=log)
    _, engine = tried(fails, fails)
    assert not any(options(spec)["clock"] for spec in engine.specs)


def test_a_program_that_could_write_and_then_wants_a_sub_command_is_further() -> None:
    second = Observation(ended=2, log="usage: shop [-h] {serve}\n", written=("/app/logs/",))
    trial, _ = tried(CANNOT_WRITE, second)
    assert [finding.subject for finding in trial.findings if finding.kind is FindingKind.LOST_WRITES] == ["/app/logs/"]


@pytest.mark.parametrize(
    "seen",
    [
        Observation(ended=1, log="ModuleNotFoundError: No module named 'x'\n"),
        Observation(ended=2, log="usage: shop [-h] {serve}\n"),
        Observation(program_error="gunicorn: No such file or directory"),
        Observation(sockets=(Socket("tcp", "127.0.0.1", 8000),)),
        Observation(sockets=(Socket("tcp", "0.0.0.0", 5000),)),
    ],
    ids=["module", "usage", "program", "loopback", "port"],
)
def test_there_is_no_second_run_where_it_could_not_help(seen: Observation) -> None:
    trial, engine = tried(seen)
    assert not trial.verdict.is_good
    assert len(engine.specs) == 1


def test_an_engine_that_cannot_make_a_root_writable_is_enough() -> None:
    trial, _ = tried(CANNOT_WRITE, EngineError("bwrap 0.8 cannot"))
    assert (trial.verdict, trial.writable) == (Verdict.FAILS, None)


@pytest.mark.parametrize("output", ["", "not found\n", "{half\n", "[]\n", '{"ended": "x"}\n'])
def test_an_image_that_cannot_be_observed_is_an_error_of_the_engine(output: str) -> None:
    with pytest.raises(EngineError, match="fake could not run the check in shop:check: fake: it broke") as caught:
        tried(output)
    assert "shipwheel run --engine fake" in caught.value.hint


def test_an_image_without_a_command_is_an_error() -> None:
    with pytest.raises(EngineError, match="has no command to try"):
        tried(SERVES, subject=msgspec.structs.replace(SUBJECT, config=ExecutionConfig()))


@pytest.mark.parametrize(
    ("command", "init"),
    [
        (("tini", "--", "a", "b"), 2),
        (("/usr/bin/tini-static", "-g", "--", "a"), 3),
        (("a", "--", "b"), 0),
        (("tini",), 0),
        ((), 0),
    ],
)
def test_the_observer_stands_behind_the_init(command: tuple[str, ...], init: int) -> None:
    assert split_init(command) == (command[:init], command[init:])


def test_a_trial_has_a_name_of_its_own_in_the_engine() -> None:
    assert str(trial_name("My_Shop")).endswith(":check")


def lines(trial: Trial) -> Sequence[str]:
    """Return what people read."""
    return [*to_lines(trial)]


def test_people_read_what_it_did() -> None:
    trial, _ = tried(SERVES)
    assert lines(trial) == [
        "serves: / on port 8000 answers 200 after 0.5 s",
        "  listens   0.0.0.0 port 8000/tcp after 0.4 s",
        "  answers   / on port 8000: 200 text/html",
        "  uses      40 MB in 2 processes, stops in 0.2 s",
    ]


def test_people_read_every_finding_its_evidence_and_the_output() -> None:
    seen = Observation(ended=1, seconds=0.3, log="\x1b[1mstarting\x1b[0m\r\nModuleNotFoundError: No module named 'x'\n")
    trial, _ = tried(seen)
    assert lines(trial) == [
        "fails: the command ended with status 1 after 0.3 s; the Python module x is missing",
        "  problem   the command ended with status 1 after 0.3 s",
        "            seen: ModuleNotFoundError: No module named 'x'",
        "  problem   the Python module x is missing",
        "            seen: ModuleNotFoundError: No module named 'x'",
        "            Add the package that brings x to the project's dependencies, or to the setting `dependencies`.",
        "  output    the last lines:",
        "    starting",
        "    ModuleNotFoundError: No module named 'x'",
    ]


def test_a_silent_end_says_so() -> None:
    trial, _ = tried(Observation(ended=0, seconds=0.1), Observation(ended=0))
    assert lines(trial)[-1] == "  output    none"
    assert "printed nothing" in lines(trial)[0]


@pytest.mark.parametrize(
    ("seen", "config", "headline"),
    [
        (Observation(seconds=10.2), ExecutionConfig(cmd=("x",)), "runs: no port, alive after 10 s"),
        (Observation(ended=0, seconds=1.25), ExecutionConfig(cmd=("x",)), "ends: status 0 after 1.2 s"),
        (
            Observation(sockets=(Socket("tcp", "0.0.0.0", 8000), Socket("tcp", "::", 8000)), answers=(Answer(8000, "/x", status=401),)),
            CONFIG,
            "serves: it listens on 8000/tcp, and answers /x with 401",
        ),
    ],
)
def test_the_headline_says_the_verdict(seen: Observation, config: ExecutionConfig, headline: str) -> None:
    trial, _ = tried(seen, subject=msgspec.structs.replace(SUBJECT, config=config))
    assert trial.headline == headline


def test_programs_read_a_document_with_fixed_keys() -> None:
    good, bad = (msgspec.json.decode(msgspec.json.encode(to_json(tried(*seen)[0]))) for seen in ([SERVES], [CANNOT_WRITE, SERVES]))
    assert good.keys() == bad.keys() == {"serves", "verdict", "findings", "seen", "writable", "engine", "seconds"}
    assert (good["serves"], good["verdict"], good["writable"]) == (True, "serves", None)
    assert (bad["serves"], bad["verdict"], bad["writable"]["ready"]) == (False, "fails", 0.5)
    for finding in bad["findings"]:
        assert finding.keys() == {"kind", "message", "hint", "subject", "evidence", "setting", "blocks"}
    assert {key for key in good["seen"] if not key.replace("-", "").isalpha()} == set()


def test_a_build_that_is_checked_names_every_reason_once() -> None:
    bad, _ = tried(Observation(ended=1, seconds=0.3, log="ModuleNotFoundError: No module named 'x'\n"))
    good, _ = tried(SERVES)
    require_good([good], "shop")
    with pytest.raises(TrialError) as caught:
        require_good([good, bad, bad], "shop")
    assert caught.value.message.splitlines() == [
        "shop was built, and does not serve:",
        "  the command ended with status 1 after 0.3 s",
        "    ModuleNotFoundError: No module named 'x'",
        "  the Python module x is missing",
    ]
    assert caught.value.hint.endswith("See more with: shipwheel check.")


def test_a_missing_variable_can_be_given_to_the_trial() -> None:
    bad, _ = tried(*[Observation(ended=1, log="decouple.UndefinedValueError: KEY_OF_SHOP not found.\n")] * 2)
    with pytest.raises(TrialError) as caught:
        require_good([bad], "shop")
    assert "--check-env NAME=VALUE" in caught.value.hint


def warnings_of(*outputs: Observation, engine: FakeEngine, tmp_path: Path) -> list[str]:
    """Return the warnings of a build that is checked, for both platforms."""
    events: list[Event] = []
    engine.outputs += outputs
    check_images(make_index([image_for(AMD64), image_for(ARM64)]), "shop", engine, Store(tmp_path), events.append, Conditions())  # type: ignore[arg-type]
    return [event.message for event in events if isinstance(event, Warned)]


def test_a_checked_build_starts_the_images_that_the_engine_can(tmp_path: Path) -> None:
    engine = FakeEngine([], runs=(ARM64,))
    assert warnings_of(SERVES, engine=engine, tmp_path=tmp_path) == [
        "only the image for linux/arm64 was started, not linux/amd64: this machine has no emulator for it"
    ]
    assert engine.loaded == [ARM64]
    both = FakeEngine([], runs=(ARM64, AMD64))
    assert warnings_of(SERVES, SERVES, engine=both, tmp_path=tmp_path) == []
    assert both.loaded == [ARM64, AMD64]
    with pytest.raises(TrialError, match="shop for linux/amd64 was built, and does not serve"):
        warnings_of(SERVES, CANNOT_WRITE, CANNOT_WRITE, engine=FakeEngine([], runs=(ARM64, AMD64)), tmp_path=tmp_path)
    assert engine.specs[0].image == "shop:check"


def test_a_checked_build_warns_of_what_does_not_keep_it_from_serving(tmp_path: Path) -> None:
    seen = msgspec.structs.replace(SERVES, log=" * Debugger is active!\n")
    found = warnings_of(seen, engine=FakeEngine([]), tmp_path=tmp_path)
    assert "the debug mode is on: it shows its source and secrets to every caller" in found


def test_a_checked_build_needs_an_engine_that_can_run_it(tmp_path: Path) -> None:
    engine = FakeEngine([], runs=(Platform.parse("linux/arm64"),))
    with pytest.raises(EngineError, match="cannot run linux/amd64 programs here"):
        check_images(make_index([image_for(AMD64)]), "shop", engine, Store(tmp_path), silent, Conditions())  # type: ignore[arg-type]
    assert engine.loaded == []
