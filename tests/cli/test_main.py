"""Help, errors, exit codes, and which stream each output goes to."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import click
import pytest
from support.command import shipwheel as run
from support.digests import ANY

from shipwheel import __version__, errors
from shipwheel.cli import commands, main, stages, usage
from shipwheel.cli.command import Command
from shipwheel.cli.terminal import Terminal, Verbosity
from shipwheel.errors import (
    CoveredFiles,
    DamagedBlob,
    MissingImports,
    NewerAtRunTime,
    NoRequirements,
    RemovedFiles,
    ShipwheelError,
    StepLacksModule,
)
from shipwheel.events import Moved, StageFinished, StageStarted, Warned


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_prints_the_version(flag: str) -> None:
    done = subprocess.run([sys.executable, "-m", "shipwheel", flag], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"shipwheel, version {__version__}\n", "")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(flag: str) -> None:
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    for name, text in commands.COMMANDS.items():
        assert name in done.stdout
        assert text.split(".")[0] in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    usage, _, text = done.stdout.partition("\n\n")
    assert usage.startswith(f"Usage: shipwheel {name} ")
    assert text.split()[0] == commands.COMMANDS[name].split()[0], "the list of commands and the command start with the same verb"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("biuld",), "Did you mean build"),
        (("zzz",), "there is no command zzz"),
        (("--nope",), "has no option --nope"),
        (("build", "--nope"), "build has no option --nope"),
        (("tags",), "missing argument 'REF'"),
        (("check", "--timeout", "x"), "'x' is not a valid integer"),
        (("build", "--quiet", "--verbose"), "cannot be combined"),
    ],
)
def test_usage_errors_have_the_form_of_all_errors(arguments: tuple[str, ...], text: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: [^A-Z].*[^.]\nhint: [A-Z`].*\.\n", done.stderr), done.stderr
    assert text in done.stderr
    done = run(*arguments, "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["exit-code"]) == ("UsageError", 2)
    assert text in f"{error['message']} {error['hint']}"


@pytest.mark.parametrize("option", sorted(usage._BUILD_OPTIONS))
def test_options_of_docker_are_answered(option: str) -> None:
    done = run("build", ".", option, "x")
    assert done.returncode == 2
    assert f"build has no option {option}\nhint: {usage._BUILD_OPTIONS[option]}\n" in done.stderr
    assert "list" not in usage._BUILD_OPTIONS[option]


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_the_common_options_and_examples(name: str) -> None:
    command = commands.cli.get_command(click.Context(commands.cli), name)
    assert isinstance(command, Command)
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert {"--quiet", "--verbose", "--json"} <= flags
    assert command.examples
    assert all(f"shipwheel {name} " in example or example == f"shipwheel {name}" for example in command.examples)
    headings = list(command.groups(click.Context(command, help_option_names=["-h", "--help"])))
    assert headings[-1] == "Output"
    assert len(headings) <= 7


@pytest.mark.parametrize("words", ["shipwheel bui", "shipwheel build --platf", "shipwheel "])
def test_completes_commands_and_options(words: str) -> None:
    env = {**os.environ, "_SHIPWHEEL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    program = "import sys; sys.argv[0] = 'shipwheel'; from shipwheel.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    found = [line.partition(",")[2] for line in done.stdout.splitlines()]
    start = words.rpartition(" ")[2]
    assert found and all(each.startswith(start) for each in found), done.stderr
    assert (len(found) > 10) == (start == "")


def test_the_process_ends_with_its_code_after_what_was_registered_and_written() -> None:
    program = """if True:
        import atexit, sys, threading
        from shipwheel import __main__, cli
        def command(*_):
            atexit.register(print, "registered", end="")
            threading.Thread(target=print, args=("thread",)).start()
            return 3
        cli._run = command
        __main__.run()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "thread\nregistered", "")


def test_a_process_without_output_ends_as_any_other() -> None:
    program = "from shipwheel import __main__, cli; cli._run = lambda *_: 3; __main__.run()"
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")


def test_no_arguments_show_help() -> None:
    done = run()
    assert done.returncode in (0, 2)
    assert all(heading in done.stdout + done.stderr for heading in commands.GROUPS)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Return a function that runs the command line with one command of this body, and returns the exit code."""

    def start(body: Callable[[], object]) -> int:
        module = ModuleType("shipwheel.cli.boom")
        module.command = click.command("boom")(body)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "shipwheel.cli.boom", module)
        monkeypatch.setitem(commands.COMMANDS, "boom", "Fails.")
        monkeypatch.setattr(sys, "argv", ["shipwheel", "boom"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        return caught.value.code

    return start


def raising(error: BaseException) -> Callable[[], object]:
    def body() -> None:
        raise error

    return body


def all_errors() -> list[ShipwheelError]:
    """Return an error of each kind."""
    special: dict[str, ShipwheelError] = {
        "CoveredFiles": CoveredFiles("it went wrong", ("/etc/x",), hint="do this"),
        "DamagedBlob": DamagedBlob(ANY),
        "NewerAtRunTime": NewerAtRunTime("it went wrong", ("numpy<2",), hint="do this"),
        "NoRequirements": NoRequirements("it went wrong", (("yaml", "a.py, line 1"),), hint="do this"),
        "MissingImports": MissingImports("it went wrong", ("yaml",), hint="do this"),
        "StepLacksModule": StepLacksModule("it went wrong", ("yaml",), hint="do this"),
        "RemovedFiles": RemovedFiles("it went wrong", {"yaml": "yaml<5"}, hint="do this"),
    }
    return [special.get(name) or getattr(errors, name)("it went wrong", hint="do this") for name in errors.__all__]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: type(error).__name__)
def test_an_error_is_shown_as_message_and_hint(
    command: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str], error: ShipwheelError
) -> None:
    assert command(raising(error)) == error.exit_code
    out, text = capsys.readouterr()
    assert out == ""
    assert text == f"error: {error.message}\nhint: {error.hint}\n"


def test_the_documented_exit_codes_are_the_real_ones() -> None:
    lines = (errors.__doc__ or "").splitlines()
    for name in errors.__all__:
        if name != "ShipwheelError":
            line = next(line for line in lines if f" {name} " in line)
            assert str(getattr(errors, name).exit_code) in line.split(), line


def test_an_error_without_a_hint_is_one_line(command: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(ShipwheelError("it went wrong")))
    assert capsys.readouterr().err == "error: it went wrong\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_exits_with_130(
    command: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    assert command(raising(error)) == 130
    assert "run the same command to continue" in capsys.readouterr().err


def test_a_closed_pipe_exits_with_1(command: Callable[[Callable[[], object]], int]) -> None:
    assert command(raising(BrokenPipeError(32, "Broken pipe"))) == 1


def test_a_command_sets_the_exit_code(command: Callable[[Callable[[], object]], int]) -> None:
    assert command(lambda: None) == 0
    assert command(lambda: 3) == 3
    assert command(lambda: click.get_current_context().exit(4)) == 4
    assert command(raising(click.UsageError("bad"))) == 2


def test_a_bug_keeps_its_traceback(command: Callable[[Callable[[], object]], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        command(raising(ZeroDivisionError()))


EVENTS = (
    StageStarted("fetch"),
    StageStarted("files", 3_000_000, "bytes", detail=True),
    Moved("files", "a", 1_000_000, 2_000_000),
    Moved("files", "a", 2_000_000, 2_000_000),
    Moved("files", "b", 500_000, 1_000_000),
    Warned("look at this", "and do that"),
    Moved("files", "b", 1_000_000, 1_000_000),
    StageFinished("files", "2 files"),
    StageFinished("fetch"),
    StageFinished("never started"),
    StageStarted("count", 0, "items"),
    Moved("count", "x", 1, 0),
    StageStarted("count", 2, "items"),
    Moved("count", "x", 1, 2),
    StageFinished("count", "1 thing"),
)
WARNING = "warning: look at this\n         and do that\n"


def report_all(*, quiet: bool = False) -> None:
    terminal = Terminal()
    terminal.set_up(Verbosity.QUIET if quiet else Verbosity.NORMAL, as_json=False)
    for event in EVENTS:
        terminal.report(event)
    terminal.stop()


def test_prints_lines_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_MIN_SHOWN_S", 0.0)
    report_all()
    out, text = capsys.readouterr()
    assert out == ""
    assert text.startswith(WARNING)
    assert [line.split(maxsplit=3)[0::3] for line in text.splitlines()[2:]] == [["fetch", "2 files, 3.0 MB"], ["count", "1 thing"]]


def test_a_quick_stage_leaves_a_line_only_if_it_is_notable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_MIN_SHOWN_S", 1e9)
    terminal = Terminal()
    terminal.report(StageFinished("plan", "nothing to do"))
    terminal.report(StageFinished("push", "1.0 MB uploaded", notable=True))
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["push"]


def test_quiet_shows_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    report_all(quiet=True)
    assert capsys.readouterr() == ("", WARNING)


def test_repeats_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    for _ in range(2):
        terminal.report(Warned("true for two platforms"))
    terminal.report(Warned("something else"))
    assert capsys.readouterr().err.count("warning:") == 2


@pytest.mark.parametrize(
    ("done", "started", "text"),
    [
        (1_500_000, StageStarted("s", 3_000_000, "bytes"), "1.5 of 3.0 MB"),
        (1_500_000, StageStarted("s", 0, "bytes"), "1.5 MB"),
        (3, StageStarted("s", 7), "3/7"),
        (3, StageStarted("s"), "3"),
    ],
)
def test_formats_amounts(done: int, started: StageStarted, text: str) -> None:
    found = stages.Stages()
    found.start(started, 0.0)
    found.move(Moved("s", "x", done, 0))
    assert [row.amount for row in found.rows(0.0)] == [text]
