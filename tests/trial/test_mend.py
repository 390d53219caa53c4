"""Changes for findings: from the findings themselves, and from what an adviser knows. The help texts are what the libraries print."""

import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.advice import FakeAdvisor
from uv import find_uv_bin

from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.settings.settings import Settings, added
from shipwheel.signs.placeholder import placeholder
from shipwheel.trial.finding import Finding, FindingKind, Setting
from shipwheel.trial.findings import find, verdict_of
from shipwheel.trial.mend import Change, change_for_module, changes_for, listed_commands, listening_option, serving_command
from shipwheel.trial.observation import Observation, Socket
from shipwheel.trial.trial import Trial

HELP = {path.stem: path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "recorded" / "help").glob("*.txt")}
SERVER = ExecutionConfig(exposed_ports=(ExposedPort(8000, "tcp"),), working_dir="/app")
OPEN = Socket("tcp", "0.0.0.0", 8000)


def trial(*findings: Finding, log: str = "") -> Trial:
    """Return a trial with these findings."""
    seen = Observation(log=log)
    return Trial(verdict_of(seen, findings), findings, seen)


def blocking(kind: FindingKind, subject: str = "", setting: Setting | None = None) -> Finding:
    """Return a finding that blocks."""
    return Finding(kind, f"something with {subject}", subject=subject, setting=setting, blocks=True)


def settings_of(findings: list[Finding], advisor: FakeAdvisor) -> list[Setting]:
    """Return the settings of all changes."""
    return [change.setting for change in changes_for(trial(*findings), advisor)]


def test_a_file_that_the_projects_wheel_lacks_asks_for_its_source() -> None:
    findings = [blocking(FindingKind.FILE, "today.html", Setting("install", "source")), blocking(FindingKind.FILE, "config.yaml")]
    assert settings_of(findings, FakeAdvisor()) == [Setting("install", "source")]


def test_a_package_is_added_to_what_nothing_lists() -> None:
    advisor = FakeAdvisor(without_list=("django", "channels"))
    finding = blocking(FindingKind.PACKAGE, "Pillow")
    assert settings_of([finding], advisor) == [Setting("dependencies", ("django", "channels", "Pillow"))]
    assert settings_of([finding], FakeAdvisor()) == [Setting("dependencies", ("Pillow",))]


def test_a_file_that_git_ignores_is_included() -> None:
    advisor = FakeAdvisor(patterns={"/app/models/plums.bin": "/models/"})
    findings = [blocking(FindingKind.FILE, "/app/models/plums.bin"), blocking(FindingKind.FILE, "/app/other")]
    assert settings_of(findings, advisor) == [Setting("include", ("/models/",))]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("click", "serve"),
        ("typer", "serve"),
        ("argparse", "runserver"),
        ("fire", "serve"),
        ("django", "runserver"),
        ("argparse_choices", None),
        ("argparse_options", None),
        ("click_serve", None),
    ],
)
def test_finds_the_sub_command_that_serves(name: str, command: str | None) -> None:
    assert serving_command(HELP[name]) == command


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("click_serve", "--host"),
        ("typer_serve", "--host"),
        ("argparse_runserver", "--bind"),
        ("argparse_options", "--host"),
        ("fire_serve", "--host"),
        ("click", None),
        ("argparse_choices", None),
    ],
)
def test_finds_the_option_for_the_address(name: str, option: str | None) -> None:
    assert listening_option(HELP[name]) == option


def test_every_recorded_help_text_is_read() -> None:
    for name, text in HELP.items():
        assert listening_option(text) or serving_command(text) or name == "argparse_choices"


@given(st.text(alphabet="{},|│ -abs\nserve", max_size=60))
def test_any_help_text_can_be_read(text: str) -> None:
    assert serving_command(text) is None or serving_command(text) in listed_commands(text)


def test_another_command_is_tried_for_one_that_does_nothing() -> None:
    advisor = FakeAdvisor(others=(("shop",),))

    def tried(log: str, status: int) -> list[Setting]:
        seen = Observation(ended=status, log=log)
        return [change.setting for change in changes_for(Trial(verdict_of(seen, idle), idle, seen), advisor)]

    idle = (blocking(FindingKind.ENDED),)
    assert tried("\n", 0) == [Setting("command", ("shop",))]
    assert tried("done\n", 0) == tried("", 1) == []


def test_a_loopback_server_gets_its_option() -> None:
    advisor = FakeAdvisor(words=("shop", "serve"), help={(): HELP["click_serve"]})
    assert settings_of([blocking(FindingKind.LOOPBACK)], advisor) == [Setting("command", ("shop", "serve", "--host", "0.0.0.0"))]
    assert settings_of([blocking(FindingKind.LOOPBACK)], FakeAdvisor(words=("shop",), help={(): HELP["click"]})) == []


@pytest.mark.parametrize(
    ("command", "opened"),
    [
        (("g", "--bind", "127.0.0.1:5000", "app"), ("g", "--bind", "0.0.0.0:5000", "app")),
        (("g", "--bind=127.0.0.1", "app"), ("g", "--bind=0.0.0.0", "app")),
        (("g", "--bind", "[::1]:5000"), ("g", "--bind", "0.0.0.0:5000")),
        (("g", "--bind", "localhost"), ("g", "--bind", "0.0.0.0")),
        (("g", "--bind", "0.0.0.0:5000"), None),
    ],
)
def test_an_option_that_the_command_has_gets_another_value(command: tuple[str, ...], opened: tuple[str, ...] | None) -> None:
    advisor = FakeAdvisor(words=command, help={(): HELP["argparse_runserver"]})
    expected = [] if opened is None else [Setting("command", opened)]
    assert settings_of([blocking(FindingKind.LOOPBACK)], advisor) == expected


def test_the_output_of_a_command_without_arguments_may_list_its_sub_commands() -> None:
    (change,) = changes_for(trial(blocking(FindingKind.USAGE), log=HELP["fire"]), FakeAdvisor(words=("shop",)))
    assert change.setting == Setting("command", ("shop", "serve"))


def test_tornados_options_take_their_value_behind_an_equals_sign() -> None:
    text = "Options:\n\n  --address  address to listen on\n\n/venv/tornado/log.py options:\n\n  --logging  level\n"
    advisor = FakeAdvisor(words=("python", "server.py"), help={(): text})
    assert settings_of([blocking(FindingKind.LOOPBACK)], advisor) == [Setting("command", ("python", "server.py", "--address=0.0.0.0"))]


@pytest.mark.parametrize(
    ("command", "ends"),
    [
        (("python", "server.py", "-v"), ["sys.path[0] = ''; runpy.run_path('server.py', run_name='__main__')", "-v"]),
        (("python", "-u", "src/it.py"), ["sys.path[0] = 'src'; runpy.run_path('src/it.py', run_name='__main__')"]),
        (("python", "-m", "shop"), ["sys.path[0] = ''; runpy.run_module('shop', run_name='__main__', alter_sys=True)"]),
    ],
)
def test_a_socket_that_no_option_opens_is_opened_for_the_program(command: tuple[str, ...], ends: list[str]) -> None:
    (change,) = changes_for(trial(blocking(FindingKind.LOOPBACK, "8086")), FakeAdvisor(words=command))
    assert isinstance(change.setting.value, tuple)
    assert change.tentative
    program, *arguments = map(str, change.setting.value[2:])
    assert [program.rpartition("; sys")[2].join(("sys", "")), *arguments] == ends


@pytest.mark.parametrize("command", [("python", "-m"), ("python",), ("python", "-c", "x"), ("shop",), ("python", "-W", "x.py")])
def test_of_other_programs_no_socket_is_opened(command: tuple[str, ...]) -> None:
    assert settings_of([blocking(FindingKind.LOOPBACK, "8086")], FakeAdvisor(words=command)) == []


def test_an_opened_socket_is_that_of_one_port_alone(tmp_path: Path) -> None:
    text = "import socket, sys\nfor port in map(int, sys.argv[1:]):\n    own = socket.socket()\n    own.bind(('127.0.0.1', port))\n"
    (tmp_path / "own.py").write_text(text + "    print(own.getsockname()[0])\n")
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in (free, other)]
    (change,) = changes_for(trial(blocking(FindingKind.LOOPBACK, ports[0])), FakeAdvisor(words=("python", "own.py", *ports)))
    assert isinstance(change.setting.value, tuple)
    command = [sys.executable, *map(str, change.setting.value[1:])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.0.0.0", "127.0.0.1"]


PROTOCOL_SERVERS = {
    "mcp<2": "from mcp.server.fastmcp import FastMCP\nprint(FastMCP('sums').settings.host)\n",
    "mcp>=2": """
from mcp.server import MCPServer
import uvicorn
uvicorn.Server.__init__ = lambda own, config: print(config.host) or exit()
MCPServer("sums").run(transport="streamable-http")
""",
}


@pytest.mark.online
@pytest.mark.parametrize("requirement", PROTOCOL_SERVERS)
def test_a_server_of_a_protocol_opens_by_its_own_default(requirement: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PROTOCOL_SERVERS[requirement])
    advisor = FakeAdvisor(words=("python", "own.py"), packages=frozenset({requirement}))
    change, rebound = changes_for(trial(blocking(FindingKind.LOOPBACK, "8000")), advisor)
    assert isinstance(change.setting.value, tuple)
    assert "bind" in str(rebound.setting.value)
    command = [find_uv_bin(), "run", "--quiet", "--no-project", "--with", requirement, *map(str, change.setting.value)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.0.0.0"]


def test_a_program_comes_with_the_package_that_has_it() -> None:
    found = blocking(FindingKind.PROGRAM, "ffprobe", Setting("packages", ("ffprobe",)))
    assert settings_of([found], FakeAdvisor()) == [Setting("packages", ("ffmpeg",))]


def test_a_usage_text_gives_a_sub_command_that_stays_only_if_it_helps() -> None:
    advisor = FakeAdvisor(words=("shop",), help={(): HELP["typer"]})
    (change,) = changes_for(trial(blocking(FindingKind.USAGE)), advisor)
    assert change == Change(Setting("command", ("shop", "serve")), "Something with ", tentative=True)


def test_serves_the_application_before_it_looks_for_a_sub_command() -> None:
    advisor = FakeAdvisor(words=("shop",), served=("gunicorn", "shop:app"), help={(): "Commands:\n  serve   Serve.\n"})
    found = [change.setting.value for change in changes_for(trial(blocking(FindingKind.USAGE)), advisor)]
    assert found == [("gunicorn", "shop:app"), ("shop", "serve")]


def test_a_command_line_without_a_port_gets_its_server_as_well() -> None:
    found = Finding(FindingKind.USAGE, "the command prints how to use it")
    assert settings_of([found], FakeAdvisor(words=("shop",), help={(): HELP["click"]})) == [Setting("command", ("shop", "serve"))]


@pytest.mark.parametrize(
    ("module", "requirement"),
    [
        ("yaml", "pyyaml"),
        ("yaml.reader", "pyyaml"),
        ("cv2", "opencv-python-headless"),
        ("pkg_resources", "setuptools<81"),
        ("google.protobuf.message", "protobuf"),
        ("some_thing", "some-thing"),
    ],
)
def test_a_module_gives_the_package_that_brings_it(module: str, requirement: str) -> None:
    assert settings_of([blocking(FindingKind.MODULE, module)], FakeAdvisor()) == [Setting("dependencies", (requirement,))]


def test_a_module_of_a_django_application_is_another_one_without_django() -> None:
    finding = blocking(FindingKind.MODULE, "haystack")
    assert settings_of([finding], FakeAdvisor()) == []
    assert settings_of([finding], FakeAdvisor(packages={"django"})) == [Setting("dependencies", ("django-haystack",))]


@pytest.mark.parametrize("module", ["_tkinter", "tkinter", "google", "azure.storage", "shop", "shop.models"])
def test_a_module_that_is_no_package_of_its_name_is_not_asked_for(module: str) -> None:
    """A stranger's package on the index may have that name."""
    assert settings_of([blocking(FindingKind.MODULE, module)], FakeAdvisor(own={"shop"})) == []


def test_a_module_of_an_extra_gives_the_extra() -> None:
    advisor = FakeAdvisor(modules={"yaml": Setting("extras", ("config",))})
    assert settings_of([blocking(FindingKind.MODULE, "yaml.reader")], advisor) == [Setting("extras", ("config",))]
    advisor = FakeAdvisor(modules={"setuptools": Setting("groups", ("tools",))})
    assert settings_of([blocking(FindingKind.MODULE, "pkg_resources")], advisor) == [Setting("groups", ("tools",))], "by the package's name"


def test_a_package_that_a_library_wants_is_tried() -> None:
    assert settings_of([blocking(FindingKind.PACKAGE, "granian[pname]")], FakeAdvisor()) == [Setting("dependencies", ("granian[pname]",))]
    (change,) = changes_for(trial(blocking(FindingKind.PACKAGE, "httpx[socks]")), FakeAdvisor())
    assert change.tentative


def test_a_package_that_is_there_is_not_asked_for_again() -> None:
    assert settings_of([blocking(FindingKind.MODULE, "yaml")], FakeAdvisor(packages={"pyyaml"})) == []


def test_libraries_and_programs_give_debian_packages() -> None:
    advisor = FakeAdvisor(debian={"libGL.so.1": "libgl1", "ffmpeg": "ffmpeg"})
    found = [
        blocking(FindingKind.LIBRARY, "libGL.so.1"),
        blocking(FindingKind.LIBRARY, "libnone.so"),
        blocking(FindingKind.PROGRAM, "ffmpeg", Setting("packages", ("ffmpeg",))),
        blocking(FindingKind.PROGRAM, "/usr/bin/node"),
        blocking(FindingKind.PROGRAM, "own-tool", Setting("packages", ("own-tool",))),
    ]
    packages = [Setting("packages", (name,)) for name in ("libgl1", "ffmpeg", "nodejs")]
    assert settings_of(found, advisor) == packages


def test_a_table_gives_the_step_that_makes_it() -> None:
    step = ("python", "manage.py", "migrate", "--noinput")
    (setting,) = settings_of([blocking(FindingKind.TABLE, "users")], FakeAdvisor(steps=(step,)))
    assert settings_of([blocking(FindingKind.FILE, "/data/media")], FakeAdvisor(steps=(step,))) == [setting]
    assert settings_of([blocking(FindingKind.FILE, "/etc/media")], FakeAdvisor(steps=(step,))) == []
    assert setting == Setting("before-start", step)
    found = trial(blocking(FindingKind.TABLE, "users"), blocking(FindingKind.FILE, "/data/media"))
    tentative = [change.tentative for change in changes_for(found, FakeAdvisor(steps=(step,)))]
    assert tentative == [False, True], "a program's own `init` may ask questions, or make other files"
    assert added(Settings(), setting.key, setting.value).before_start == (step,)
    assert settings_of([blocking(FindingKind.TABLE, "users")], FakeAdvisor()) == []


def test_what_does_not_block_is_left_alone() -> None:
    notes = [msgspec.structs.replace(blocking(kind, "x", Setting("packages", ("x",))), blocks=False) for kind in FindingKind]
    kept = {FindingKind.OTHER_PORT, FindingKind.USAGE}
    for note in notes:
        assert settings_of([note], FakeAdvisor()) == [] or note.kind in kept


def test_the_settings_of_real_findings_are_accepted() -> None:
    """Whatever a finding brings, the settings take it."""
    logs = "ModuleNotFoundError: No module named 'yaml'\n/bin/sh: 1: ffmpeg: not found\nsqlite3.OperationalError: no such table: users\n"
    advisor = FakeAdvisor(debian={"ffmpeg": "ffmpeg"}, steps=(("alembic", "upgrade", "head"),))
    for seen in (Observation(ended=1, log=logs), Observation(sockets=(Socket("tcp", "0.0.0.0", 5000),))):
        found = find(seen, SERVER)
        changes = list(changes_for(Trial(verdict_of(seen, found), found, seen), advisor))
        assert changes
        for change in changes:
            assert added(Settings(), change.setting.key, change.setting.value) != Settings()
            assert change.reason[0].isupper()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "check-" + "0" * 40),
        ("PORT", "8000"),
        ("port", "8000"),
        ("DB_HOST", "localhost"),
        ("DATABASE_URL", "sqlite:////tmp/check.db"),
        ("MONGODB_URL", "mongodb://localhost:27017/check"),
        ("MONGO_DB_NAME", "check-" + "0" * 40),
        ("REDIS_URL", "redis://localhost:6379/0"),
        ("CELERY_BROKER_URL", "amqp://localhost:5672//"),
        ("PUBLIC_URL", "http://localhost:8000"),
        ("DEBUG", "false"),
        ("API_ID", "1"),
        ("VALID_KEY", "check-" + "0" * 40),
    ],
)
def test_placeholders_have_the_form_of_their_variable(name: str, value: str) -> None:
    assert placeholder(name) == value


def test_a_placeholder_has_the_type_that_is_wanted() -> None:
    said = "Input should be a valid {} [type={}_type, input_value=None, input_type=NoneType]"
    values = {word: placeholder("MINIO_SECURE", said.format(word, word[:4])) for word in ("boolean", "integer", "number", "string")}
    assert values == {"boolean": "false", "integer": "1", "number": "1", "string": placeholder("MINIO_SECURE")}
    assert placeholder("SERVER_PORT", said.format("integer", "int")) == "8000"


def test_a_program_without_an_option_for_its_address_is_replaced_by_the_server_of_its_application() -> None:
    served = ("gunicorn", "--bind", "0.0.0.0:8000", "shop:create_app()")
    assert settings_of([blocking(FindingKind.LOOPBACK, "5000")], FakeAdvisor(served=served)) == [Setting("command", served)]


def test_no_package_is_guessed_for_a_module_that_protoc_makes() -> None:
    assert settings_of([blocking(FindingKind.MODULE, "hello_pb2"), blocking(FindingKind.MODULE, "hello_pb2_grpc")], FakeAdvisor()) == []


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("template_partials.apps", "django-template-partials"),
        ("rest_framework_simplejwt.views", "djangorestframework-simplejwt"),
        ("ratelimit", "ratelimit"),
        ("faker", "faker"),
    ],
)
def test_a_module_tells_its_package(module: str, package: str) -> None:
    change = change_for_module(module, "it is imported")
    assert change is not None
    assert change.setting == Setting("dependencies", (package,))


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        ("SyntaxError: f-string: unmatched '['", ["3.13"]),
        ("SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?", []),
        ("ValueError: no", []),
    ],
)
def test_code_that_the_python_cannot_read_may_be_for_a_newer_one(error: str, tried: list[str]) -> None:
    log = f'Traceback (most recent call last):\n  File "/app/shop.py", line 9\n    f"{{x["a"]}}"\n          ^\n{error}\n'
    found = changes_for(trial(blocking(FindingKind.ENDED), log=log), FakeAdvisor(newer=("3.13",)))
    assert [change.setting.value for change in found if change.setting.key == "python"] == tried
