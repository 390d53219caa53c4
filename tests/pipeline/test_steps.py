"""Builds with steps: what these write becomes a layer of every platform, once. A small program stands for bubblewrap."""

import json
import sys
from pathlib import Path

import pytest
from support.last_layers import last_layers

from shipwheel.platform import host_platform
from shipwheel.testing.world import MINOR, World

BUBBLEWRAP = f"""#!{sys.executable}
import os, pathlib, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
options, command = words[: words.index("--")], words[words.index("--") + 1 :]
root = options[options.index("--overlay-src") + 1] if "--overlay-src" in options else ""
if command[-1] == "" and (here / "native").exists() and (here / "native").read_text() != root:
    sys.exit(1)
if command[0] == "write":
    (here / "root").write_text(root)
    with (here / "log").open("a") as log:
        log.write("run\\n")
    upper = pathlib.Path(options[options.index("--overlay") + 1])
    for path, text in zip(command[1::2], command[2::2]):
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        path = os.fsdecode(path.encode("latin-1"))
        (upper / path).write_text(os.environ.get(text, text))
if command[0] == "roots":
    upper = pathlib.Path(options[options.index("--overlay") + 1])
    (upper / "roots").write_text(str(options.count("--overlay-src")))
if command[0] == "ask" and "API_KEY" not in os.environ:
    sys.exit("API_KEY must be set")
if command[0] == "import":
    __import__(command[1])
if command[0] == "flask":
    sys.exit('Error: No such command "translate".')
if command[0] == "fail" or "collectstatic" in command:
    print("the reason")
    sys.exit(3)
"""


@pytest.fixture
def runs(world: World, tmp_path: Path) -> Path:
    """Put the program on PATH, and return the file in which it counts its runs."""
    (tmp_path / "bwrap").write_text(BUBBLEWRAP)
    (tmp_path / "bwrap").chmod(0o755)
    world.env["PATH"] = f"{tmp_path}:{world.environment()['PATH']}"
    return tmp_path / "log"


def step(*words: str, env: dict[str, str] | None = None) -> str:
    table = "".join(f'{name} = "{value}", ' for name, value in (env or {}).items())
    return f"[[steps]]\nrun = {json.dumps(words)}\nenv = {{{table.rstrip(', ')}}}\n"


def test_what_steps_write_is_in_every_image_and_they_run_once(world: World, runs: Path) -> None:
    settings = step("write", "app/out/a.css", "a", "tmp/cache", "x") + step("write", "app/out/b.js", "MODE", env={"MODE": "production"})
    app = world.app("small==1.0\n", settings=settings)
    first = world.build(app)
    assert first.code == 0, first.err
    assert last_layers(world.output(app)) == [{"app/out/a.css": b"a", "app/out/b.js": b"production"}] * 2
    again = world.build(app)
    assert json.loads(again.out)["digest"] == json.loads(first.out)["digest"]
    assert runs.read_text() == "run\n" * 2
    (app / "main.py").write_text("import small\n")
    world.build(app)
    assert runs.read_text() == "run\n" * 4


def test_a_bundle_for_a_build_has_what_steps_wrote(world: World, runs: Path) -> None:
    app = world.app("small==1.0\n", settings=f"bytecode = false\n{step('write', 'app/a.css', 'a')}")
    assert world.run("bundle", app, "--for-build", "-o", "inputs.tar").code == 0
    digest = world.build(app).digest
    world.refuse()
    world.env["SHIPWHEEL_CACHE"] = str(world.root / "air")
    assert world.run("unbundle", "inputs.tar").code == 0
    assert world.build(app).digest == digest
    assert runs.read_text() == "run\n", "not again"


def test_a_step_that_fails_stops_the_build_with_its_last_lines(world: World, runs: Path) -> None:
    failed = world.build(world.app("small==1.0\n", settings=step("fail")))
    assert failed.code == 7
    assert "the step `fail` failed (exit status 3)" in failed.err
    assert "the reason" in failed.err
    assert not runs.exists()


@pytest.mark.usefixtures("runs")
def test_a_command_that_flask_does_not_know_may_be_one_of_an_application_that_fails(world: World) -> None:
    failed = world.build(world.app("small==1.0\n", settings=step("flask", "translate", "compile")))
    assert failed.code == 7
    assert "an application that it cannot import: with steps = []" in " ".join(failed.err.split())


@pytest.mark.parametrize(
    ("module", "hint"),
    [("debug_toolbar", "Add django-debug-toolbar"), ("ours", "network below"), ("local_settings", "network below")],
)
def test_a_step_that_lacks_a_module_names_its_package(world: World, runs: Path, module: str, hint: str) -> None:
    app = world.app("small==1.0\n", settings=step("import", module))
    (app / "src" / "ours").mkdir(parents=True)
    (app / "local_settings.py.example").write_text("")
    failed = world.build(app)
    assert failed.code == 7
    assert hint in " ".join(failed.err.split())
    assert not runs.exists()


def test_a_step_of_a_start_script_that_fails_is_left_out_with_a_warning(world: World, runs: Path) -> None:
    start = "web: python manage.py collectstatic --noinput && python main.py\n"
    app = world.app("small==1.0\n")
    for name, text in {"Procfile": start, "manage.py": "", "shipwheel.toml": f'python = "{MINOR}"\n'}.items():
        (app / name).write_text(text)
    for _ in range(2):
        built = world.build(app)
        assert built.code == 0, built.err
        assert "the image lacks what a step would make" in built.err and "the reason" in built.err
    run = "FROM python:3.11\nCOPY . .\nRUN python manage.py collectstatic --noinput\nCMD python main.py\n"
    (app / "Dockerfile").write_text(run)
    failed = world.build(app)
    assert failed.code == 7 and "Dockerfile, line 3: the step `python manage.py collectstatic --noinput` failed" in failed.err
    assert not runs.exists()


@pytest.mark.parametrize(("code", "roots"), [("import os\nos.system('true')\n", b"2"), ("import os\nos.getcwd()\n", b"1")])
def test_a_step_that_may_start_a_shell_gets_one(world: World, runs: Path, code: str, roots: bytes) -> None:
    app = world.app("small==1.0\n", settings=step("roots"))
    (app / "tasks.py").write_text(code)
    built = world.build(app)
    assert built.code == 0, built.err
    assert last_layers(world.output(app)) == [{"roots": roots}] * 2
    assert not runs.exists()


def test_a_step_of_the_settings_gets_no_made_up_values(world: World, runs: Path) -> None:
    failed = world.build(world.app("small==1.0\n", settings=step("ask")))
    assert 'env = {API_KEY = "…"}' in failed.err.replace("\n", " ")
    assert not runs.exists()


def test_files_on_volumes_and_secrets_stay_out(world: World, runs: Path) -> None:
    settings = 'volumes = ["/app/data"]\n' + step("write", "app/data/db", "1", "app/.env", "A=1", "app/a.css", "a")
    app = world.app("small==1.0\n", settings=settings)
    built = world.build(app)
    assert last_layers(world.output(app)) == [{"app/a.css": b"a"}] * 2
    assert "wrote to volumes" in built.err and "/app/data/db" in built.err and ".env" in built.err
    assert runs.exists()


def test_programs_that_steps_write_are_for_one_platform(world: World, runs: Path) -> None:
    app = world.app("small==1.0\n", settings=step("write", "app/tool", "\x7fELF", "app/tool.pyc", "1"))
    assert world.build(app, "--platform", "linux/amd64").code == 0
    assert runs.read_text() == "run\n"
    # The program that stands for bubblewrap runs everything; a machine without an emulator refuses the other platform.
    assert world.build(app).code == 0
    assert runs.read_text() == "run\n" * 2


def test_a_platform_that_is_added_gets_what_steps_wrote_on_this_machines(world: World, runs: Path) -> None:
    app = world.app("small==1.0\n", settings=step("write", "app/a.css", "a"))
    assert world.build(app, "--platform", str(host_platform())).code == 0
    (runs.parent / "root").rename(runs.parent / "native")
    other = next(each for each in ("linux/amd64", "linux/arm64") if each != str(host_platform()))
    refused = world.build(app, "--platform", other)
    assert refused.code == 7 and f"Or add --platform {host_platform()}" in refused.err
    built = world.build(app)
    assert built.code == 0, built.err
    assert last_layers(world.output(app)) == [{"app/a.css": b"a"}] * 2


@pytest.mark.parametrize("name", ["app/.wh.main.py", "app/\xff"])
def test_a_name_that_an_image_cannot_hold_is_refused(world: World, runs: Path, name: str) -> None:
    failed = world.build(world.app("small==1.0\n", settings=step("write", name, "a")))
    assert failed.code == 7
    assert "names that an image cannot hold" in failed.err
    assert runs.exists()


def test_a_secret_that_is_allowed_later_gets_into_the_image(world: World, runs: Path) -> None:
    settings = step("write", "app/.env", "A=1")
    app = world.app("small==1.0\n", settings=settings)
    world.build(app)
    assert last_layers(world.output(app)) == [{}] * 2
    (app / "shipwheel.toml").write_text('allow-secrets = [{path = "/.env", reason = "an example"}]\n' + settings)
    built = world.build(app)
    assert last_layers(world.output(app)) == [{"app/.env": b"A=1"}] * 2, built.err
    assert runs.read_text() == "run\n" * 2


def test_the_plan_names_the_steps(world: World) -> None:
    env = {"SECRET_KEY": "hidden", "DATABASE": "x://user:hidden@host/", "MODE": "production"}
    app = world.app("small==1.0\n", settings=step("write", "app/a.css", "a", env=env))
    planned = json.loads(world.run("plan", app, "--json").out)
    shown = {"SECRET_KEY": "…", "DATABASE": "…", "MODE": "production"}
    assert planned["steps"] == [{"run": ["write", "app/a.css", "a"], "env": shown, "network": False}]
    assert planned["platforms"][0]["layers"][-1]["name"] == "what `write app/a.css a` wrote"


def test_a_build_without_a_sandbox_says_what_to_do(world: World, tmp_path: Path) -> None:
    app = world.app("small==1.0\n", settings=step("write", "app/a.css", "a"))
    refused = world.run("build", app, "--no-bytecode", env={"PATH": str(tmp_path), "UV": "uv"})
    assert refused.code == 7
    assert "which needs bubblewrap, docker or podman" in refused.err and "steps = []" in refused.err
