"""A build that would find everything done says so without being run, and whatever it would do otherwise makes it run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from shipwheel.cli import repeat
from shipwheel.cli.terminal import Terminal
from shipwheel.events import Warned
from shipwheel.testing.registry import FakeRegistry, RegistryFault
from shipwheel.testing.world import CommandResult, World
from shipwheel.witness.file_states import is_in_tree

SHORT = "nothing has changed: 2 images found in "


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def push(world: World, project: Path, registry: FakeRegistry, *flags: str, env: dict[str, str] | None = None) -> CommandResult:
    time.sleep(0.05)  # what has just been written could change again within the same tick
    done = world.run("build", project, "--no-bytecode", "--push", "-t", f"{registry.host}/shop:1", *flags, env=env)
    assert done.code == 0, done.err
    return done


def forget(world: World) -> None:
    """Remove the records of builds."""
    for path in (world.cache / "records" / "builds").glob("*/*"):
        path.unlink()


def ran(done: CommandResult) -> bool:
    """Whether the build was run."""
    assert (SHORT in done.err) != ("built 2 images in " in done.err), done.err
    return SHORT not in done.err


def table(done: CommandResult) -> list[str]:
    """The table of the images. Above it stand the stages that took long, which the machine decides."""
    lines = done.err.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("platform "))
    return lines[first : first + 3]


def test_says_the_same_after_one_question(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    first = push(world, project, registry)
    assert ran(first)
    registry.requests.clear()
    again = push(world, project, registry)
    assert not ran(again)
    assert [request.method for request in registry.requests] == ["HEAD"]
    assert again.out == first.out
    forget(world)
    long = push(world, project, registry)
    assert ran(long)
    assert long.out == again.out
    assert table(long) == table(again)


def test_neighbours_of_the_project_are_no_reason_to_run(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    (project.parent / "neighbour").mkdir()
    push(world, project, registry)
    (project.parent / "neighbour" / "package.json").touch()
    (project.parent / "notes.txt").touch()
    assert not ran(push(world, project, registry))


def test_its_document_is_that_of_a_build_that_finds_everything_done(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    push(world, project, registry, "--json")
    short = push(world, project, registry, "--json")
    assert SHORT not in short.err
    forget(world)
    long = push(world, project, registry, "--json")
    told, found = short.document, long.document
    assert told.pop("seconds") > 0
    del found["seconds"], told["pushed"]["read"], found["pushed"]["read"]
    assert told == found


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


CHANGES: dict[str, Callable[[Path], object]] = {
    "the app is edited": lambda project: (project / "main.py").write_text("import small, os\nprint(small.VALUE)\n"),
    "a file is added": lambda project: (project / "data.txt").write_text("1"),
    "a file is ignored": lambda project: (project / ".gitignore").write_text("data.txt\n"),
    "a file becomes a program": lambda project: (project / "main.py").chmod(0o755),
    "a setting changes": lambda project: append(project / "shipwheel.toml", "ports = [8000]\n"),
    "the lock is edited": lambda project: append(project / "pylock.toml", "\n"),
    "the lock is removed": lambda project: (project / "pylock.toml").unlink(),
    "a requirement is added": lambda project: (project / "requirements.txt").write_text("small\nnative\n"),
}


def test_runs_whenever_something_has_changed(world: World, registry: FakeRegistry) -> None:
    """A build of the changed project ends in the same images as one that has no records."""
    project = world.app("small\n")
    done = push(world, project, registry)
    for change, make in CHANGES.items():
        make(project)
        done = push(world, project, registry)
        assert ran(done), change
    again = push(world, project, registry)
    assert not ran(again)
    forget(world)
    assert push(world, project, registry).out == again.out == done.out


def test_other_arguments_and_variables_are_a_reason_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = {repeat._key(["build", "."]), repeat._key(["build", ".", "--env", "A=1"])}
    for name in ("SHIPWHEEL_DEBIAN_MIRROR", "NEW"):
        monkeypatch.setenv(name, "1")
        keys.add(repeat._key(["build", "."]))
    monkeypatch.chdir(tmp_path)
    keys.add(repeat._key(["build", "."]))
    assert len(keys - {None}) == 5


def test_another_terminal_is_no_reason_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = repeat._key(["build"])
    monkeypatch.setenv("SHLVL", "7")
    monkeypatch.setenv("WINDOWID", "1")
    assert repeat._key(["build"]) == before


def test_runs_if_the_tag_has_moved_or_is_gone(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    first = push(world, project, registry)
    registry.tags["shop"]["1"] = next(digest for digest in registry.manifests["shop"] if digest not in first.out)
    assert push(world, project, registry).out == first.out
    assert registry.tags["shop"]["1"] in first.out
    del registry.tags["shop"]["1"]
    assert ran(push(world, project, registry))
    assert registry.tags["shop"]["1"] in first.out


def test_a_registry_that_wants_a_password_is_asked_with_it(world: World, registry: FakeRegistry) -> None:
    """The quick question is answered with 401, so it is asked again as for every other registry."""
    project = world.app("small\n")
    push(world, project, registry)
    registry.fault(RegistryFault("HEAD", "/manifests/1", status=401, times=1))
    assert not ran(push(world, project, registry))


def test_a_registry_that_fails_is_left_to_the_build(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    push(world, project, registry)
    registry.close()
    done = world.run("build", project, "--no-bytecode", "--push", "-t", f"{registry.host}/shop:1")
    assert done.code == 5
    assert registry.host in done.err


@pytest.mark.parametrize(
    "flags", [("--verbose",), ("--upgrade-base",), ("-o", "out.oci"), ("--timeline", "t.json"), ("--cache-repo", "HOST/cache")]
)
def test_what_does_more_than_push_always_runs(world: World, registry: FakeRegistry, flags: tuple[str, ...]) -> None:
    push(world, world.app("small\n"), registry, *(flag.replace("HOST", registry.host) for flag in flags))
    assert not list((world.cache / "records").glob("builds/*/*"))


def test_warnings_of_the_project_are_repeated(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    (project / ".env").write_text("PASSWORD=1\n")
    warnings = [line for line in push(world, project, registry).err.splitlines() if line.startswith("warning:")]
    assert warnings
    again = push(world, project, registry)
    assert not ran(again)
    assert [line for line in again.err.splitlines() if line.startswith("warning:")] == warnings


@pytest.mark.parametrize(("lasting", "did_nothing", "kept"), [(True, False, True), (False, True, True), (False, False, False)])
def test_warnings_of_what_may_be_over_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lasting: bool, did_nothing: bool, kept: bool
) -> None:
    """A build that does nothing meets nothing on its way: what it warns of, the next one would too."""
    monkeypatch.setenv("SHIPWHEEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    time.sleep(0.05)
    first = repeat.RepeatableBuild(Terminal(StringIO()))
    first.report(Warned("a mirror failed", lasting=lasting))
    first.keep(repeat.Outcome("shop:1", "sha256:0", "", 1, {}, ""), tmp_path / "project", did_nothing=did_nothing)
    assert bool(list(tmp_path.glob("cache/records/builds/*/*"))) == kept


def test_another_day_is_a_reason_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is old, or no longer maintained, depends on the day."""
    today = repeat._key(["build"])
    assert repeat._key(["build"]) == today
    monkeypatch.setattr("time.gmtime", lambda: time.struct_time((2031, 1, 1, 0, 0, 0, 0, 0, 0)))
    assert repeat._key(["build"]) != today


def test_a_program_that_appears_is_a_reason_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A warning may have told to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    without = repeat._key(["build"])
    (tmp_path / "bwrap").touch(0o755)
    assert repeat._key(["build"]) != without


def test_a_path_that_is_no_text_is_no_error(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n", settings='name = "shop"\n')
    odd = Path(os.fsdecode(os.fsencode(project.parent) + b"/shop\xff"))
    project.rename(odd)
    assert "Traceback" not in push(world, odd, registry).err


def test_a_result_that_cannot_be_written_is_an_error_in_words(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    command = world.command("build", project, "--no-bytecode", "--push", "-t", f"{registry.host}/shop:1")
    start = partial(subprocess.run, command, cwd=world.root, env=world.environment(), stderr=subprocess.PIPE, text=True, check=False)
    time.sleep(0.05)
    assert start(stdout=subprocess.DEVNULL).returncode == 0
    with Path("/dev/full").open("w") as full:
        done = start(stdout=full)
    assert SHORT in done.stderr
    assert "error: no space left" in done.stderr
    assert "Traceback" not in done.stderr


LISTENER = """
import json, os, sys
from pathlib import Path
from shipwheel.testing import offline_command

def listen(name):
    real = getattr(os, name)
    def ask(path=".", *arguments, **options):
        if not isinstance(path, int):
            asked.add(os.path.join(os.getcwd(), os.fsdecode(path)))
        return real(path, *arguments, **options)
    setattr(os, name, ask)

log, asked = sys.argv.pop(), set()
offline_command.prepare(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
for name in ("stat", "lstat", "access", "readlink", "scandir", "listdir"):
    listen(name)
try:
    offline_command.run(sys.argv[5:])
finally:
    Path(log).write_text(json.dumps(sorted(asked)))
"""


def test_nothing_is_asked_for_that_is_not_compared(world: World, registry: FakeRegistry, tmp_path: Path) -> None:
    """The interpreter does not report what is only asked for, such as whether a file exists: this test does."""
    project = world.app("small\n")
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\ndependencies = ["small"]\n')
    (project / "frontend").mkdir()
    push(world, project, registry)
    forget(world)
    time.sleep(0.05)
    arguments = ["build", str(project), "--no-bytecode", "--push", "-t", f"{registry.host}/shop:1"]
    command = world.command(*arguments)
    listening = [command[0], "-c", LISTENER, *command[3:], str(tmp_path / "asked.json")]
    subprocess.run(listening, cwd=world.root, env=world.environment(), check=True, capture_output=True)
    (record,) = (world.cache / "records" / "builds").glob("*/*")
    looks = json.loads(record.read_bytes().partition(b"\n")[2])["looks"]
    ignored = (
        str(world.cache),
        str(Path(repeat.__file__).parent.parent),
        *sys.path,
        sys.base_prefix,
        sys.prefix,
        str(world.root / "tmp"),
        "/proc",
    )

    def is_compared(path: str) -> bool:
        folder = str(Path(path).parent)
        known = path in looks["files"] or path in looks["folders"] or folder in looks["folders"] or path == looks["root"]
        in_key = Path(path).name in repeat._PROGRAMS
        above = any(Path(each).is_relative_to(path) for each in (looks["root"], *looks["files"], *ignored))
        return known or in_key or above or is_in_tree(path, looks["root"]) or path.startswith(tuple(each for each in ignored if each))

    asked = json.loads((tmp_path / "asked.json").read_text())
    assert str(project / "setup.py") in asked
    assert [path for path in asked if not is_compared(path)] == []
