"""Compose files: services, and those of them that run the project."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.project_tree import launched, written

from shipwheel.project.deployment.compose import ComposeService, find_compose_services
from shipwheel.project.deployment.container_settings import health_path
from shipwheel.project.deployment.process import DeploymentFile
from shipwheel.project.deployment.read import Deployment, read_deployment
from shipwheel.project.deployment.yaml_file import parse_yaml
from shipwheel.user.files import UserFiles

FILES = {"Dockerfile": "FROM python\nWORKDIR /code\nCOPY . /code\nEXPOSE 5000\nCMD python app.py\n", "app.py": "", "src/a.py": ""}


def _services(root: Path, text: str, name: str = "compose.yaml") -> dict[str, ComposeService]:
    written(root, {name: text})
    return {service.name: service for service in find_compose_services((root,), UserFiles())}


def _deployment(root: Path, text: str, **files: str) -> Deployment:
    written(root, {**FILES, "compose.yaml": text, **files})
    return read_deployment(root, UserFiles())


def test_reads_all_forms(tmp_path: Path) -> None:
    text = """
x-common: &common
  environment: &env
    A: "1"
    B: ${B:-two}
  build: {context: ., dockerfile: docker/Dockerfile, target: prod, args: {V: 3}}
services:
  web:
    <<: *common
    command: ["gunicorn", "-b", "0.0.0.0:${PORT:-80}"]
    ports: ["80:8000", "127.0.0.1:1:9000/tcp", "53:53/udp", {target: 7000}]
    volumes: [data:/data, ./media:/media:ro, /anonymous, {type: bind, source: ./x, target: /x}]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "curl", "http://localhost:8000/up"]}
  worker:
    <<: *common
    command: celery -A app worker
    environment:
      <<: *env
      C: $UNSET
      D: cost$$
  db: {image: postgres:16}
"""
    found = _services(tmp_path, text)
    web, worker = found["web"], found["worker"]
    assert (web.words, web.ports, web.depends_on) == (("gunicorn", "-b", "0.0.0.0:80"), ("8000", "9000", "7000"), ("db",))
    assert (web.context, web.dockerfile, web.target, web.arguments) == (tmp_path, tmp_path / "docker/Dockerfile", "prod", {"V": "3"})
    assert [(mount.target, mount.source, mount.read_only) for mount in web.mounts] == [
        ("/data", None, False),
        ("/media", tmp_path / "media", True),
        ("/anonymous", None, False),
        ("/x", tmp_path / "x", False),
    ]
    assert (web.variables, web.place, web.command_line) == ({"A": "1", "B": "two"}, "compose.yaml, line 8", 10)
    assert (worker.words, worker.variables, worker.unknown) == (
        ("celery", "-A", "app", "worker"),
        {"A": "1", "B": "two", "D": "cost$"},
        ("C",),
    )
    assert found["db"].image == "postgres:16"


def test_the_image_of_a_server_comes_before_a_workers_and_a_proxys(tmp_path: Path) -> None:
    files = {
        "a.Dockerfile": "FROM python\nCOPY . .\nCMD arq worker.Settings\n",
        "b.Dockerfile": "FROM nginx\nCOPY . .\nCMD nginx\n",
        "c.Dockerfile": "FROM python\nCOPY . .\nCMD uvicorn app:app\n",
    }
    services = {"a": "", "b": ", ports: ['80:80']", "c": ", expose: [8000]"}
    lines = [f"  {name}: {{build: {{context: ., dockerfile: {name}.Dockerfile}}{more}}}" for name, more in services.items()]
    found = _deployment(tmp_path, "\n".join(("services:", *lines)), **files)
    assert found.dockerfile is not None
    assert (found.dockerfile.name, found.other_dockerfiles) == ("c.Dockerfile", ("a.Dockerfile", "b.Dockerfile", "Dockerfile"))
    built = "services:\n  web: {build: {context: ., dockerfile: a.prod.Dockerfile}}\n"
    found = _deployment(
        tmp_path, "\n".join(("services:", *lines)), **files, **{"a.prod.Dockerfile": files["a.Dockerfile"], "compose.prod.yaml": built}
    )
    assert found.dockerfile is not None
    assert found.dockerfile.name == "a.prod.Dockerfile"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${X:-{}}", "{}"),
        ("${X:-{{}}}", "{{}}"),
        ("a${X:-${Y:-${SET}}}", "aone"),
        ("${EMPTY:-b}", "b"),
        ("${SET:-b}$SET", "oneone"),
        ("${SET:+b}${EMPTY:+c}${X+d}", "b"),
        ("${X:-${Y}}", None),
        ("${X}", None),
        ("${X:?is missing}", None),
        ("$${X}", "${X}"),
    ],
)
def test_variables_have_values_or_defaults(tmp_path: Path, text: str, value: str | None) -> None:
    (tmp_path / ".env").write_text("SET=one\nEMPTY=\n")
    command = _services(tmp_path, f"services: {{web: {{image: x, command: {json.dumps([text])}}}}}")["web"].command
    assert command == (None if value is None else (value,))


def test_the_plain_file_comes_before_what_is_added_to_it(tmp_path: Path) -> None:
    service = "services: {web: {build: ., environment: {FROM: here}}}"
    names = ("compose.ldap.yaml", "compose.yaml", "compose.prod.yaml")
    written(tmp_path, {name: service.replace("here", name) for name in names})
    assert [it.file for it in find_compose_services((tmp_path,), UserFiles())] == ["compose.prod.yaml", "compose.yaml", "compose.ldap.yaml"]


@pytest.mark.parametrize(
    "name",
    ["docker-compose.yml", "compose.yml", "docker-compose.prod.yaml", "docker/docker-compose.yml", "deploy/compose.yaml", "production.yml"],
)
def test_finds_files_for_production(tmp_path: Path, name: str) -> None:
    assert "web" in _services(tmp_path, "services: {web: {image: x}}", name)


@pytest.mark.parametrize("name", ["docker-compose.dev.yml", "compose.override.yaml", "compose-test.yml", "local.yml", "k8s/other.yml"])
def test_ignores_files_for_developing(tmp_path: Path, name: str) -> None:
    assert not _services(tmp_path, "services: {web: {image: x}}", name)


WEB = "services:\n  web: {image: x}\n"


@pytest.mark.parametrize(
    "text",
    [
        "services: {mailer: {class: App}}",
        "services: [postgres]",
        "web: {image: x}",
        "services:\n  - {",
        "replicas: 2\n" + WEB,
        WEB.replace("x", "{name: x}"),
    ],
)
def test_a_file_of_another_name_needs_services_with_images(tmp_path: Path, text: str) -> None:
    assert not _services(tmp_path, text, "production.yml")


def test_a_file_of_another_name_may_have_all_that_compose_knows(tmp_path: Path) -> None:
    assert [*_services(tmp_path, f"x-more: 1\n{WEB}  api: {{extends: web}}\nvolumes: {{data: }}\n", "production.yml")] == ["web", "api"]


@pytest.mark.parametrize(("where", "folder"), [("${PWD}", "."), ("$PWD/api", "api"), ("${CODE:-./api}", "api"), ("${CODE}", "api")])
def test_a_build_context_may_have_variables(tmp_path: Path, where: str, folder: str) -> None:
    written(tmp_path, {".env": "CODE=./api\n"} if where == "${CODE}" else {})
    service = _services(tmp_path, f"services: {{web: {{build: {{context: '{where}'}}, volumes: ['{where}:/code']}}}}")["web"]
    assert service.context == tmp_path / folder
    assert where == "${CODE}" or service.mounts[0].source == tmp_path / folder


def test_a_service_names_command_environment_ports_volumes_and_companions(tmp_path: Path) -> None:
    text = """
services:
  proxy: {image: "nginx", depends_on: [api]}
  worker: {build: ., command: celery -A app worker, depends_on: [queue], environment: {SEARCH: "http://search:9200"}}
  api:
    build: .
    command: gunicorn -b 0.0.0.0:8000 app:app
    environment: {MODE: fast, DATABASE_URL: "postgres://me:hidden@db/x", QUEUE: "redis://queue:6379", API_KEY: hidden, URL: "http://localhost:1"}
    volumes: [media:/code/media, ./state:/var/state, ./conf.ini:/etc/conf.ini]
    ports: ["80:8000"]
    depends_on: [db]
  db: {image: "postgres:16"}
  queue: {image: "redis:7"}
  cache: {image: "memcached:1"}
  metrics: {image: "exporter:1", depends_on: [api]}
  browser: {image: "tool-of-db:1", depends_on: [db]}
  search: {image: "ours/search:1", build: ./search}
"""
    found = _deployment(tmp_path, text)
    assert [(process.name, process.arguments or process.words) for process in found.processes[:2]] == [
        ("web", ("gunicorn", "-b", "0.0.0.0:8000", "app:app")),
        ("worker", ("celery", "-A", "app", "worker")),
    ]
    settings = found.settings[1]
    assert (settings.variables, settings.ports, settings.volumes) == ({"MODE": "fast"}, ("8000",), ("/code/media", "/var/state"))
    assert settings.withheld == ("DATABASE_URL", "QUEUE", "API_KEY", "URL")
    assert found.companions == ("db (postgres:16)", "queue (redis:7)", "cache (memcached:1)", "search (ours/search:1)")
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    "line",
    [
        "volumes: [./src:/code/src]",
        "volumes: [.:/code]",
        "command: python manage.py runserver",
        "command: [uvicorn, app:app, --reload]",
        "environment: [DEBUG=1]",
        "environment: {APP_ENV: development}",
        "environment: {DJANGO_SETTINGS_MODULE: shop.settings.dev}",
        "build: {context: ., target: dev}",
    ],
)
def test_a_service_for_developing_decides_nothing(tmp_path: Path, line: str) -> None:
    text = f"services:\n  web:\n    build: .\n    environment: {{A: b}}\n    ports: [9]\n    {line}\n".replace(
        "    environment: {A: b}\n", "" if "environment" in line else "    environment: {A: b}\n"
    )
    found = _deployment(tmp_path, text.replace("    build: .\n", "") if "build" in line else text)
    assert [process.kind.name for process in found.processes] == ["DOCKERFILE"]
    assert (len(found.settings), found.port) == (1, "5000")
    assert found.notes and found.notes[0].startswith("compose.yaml, line 2: the service web is for developing")


def test_a_command_for_developing_counts_if_no_other_says_how_the_app_starts(tmp_path: Path) -> None:
    text = "services: {web: {build: ., command: uvicorn app:app --reload, volumes: ['.:/code'], environment: [DEBUG=1], ports: [9000]}}"
    found = _deployment(tmp_path, text, Dockerfile="FROM python\nWORKDIR /code\nCOPY . /code\n")
    assert [(process.name, process.arguments or process.words) for process in found.processes] == [
        ("web", ("uvicorn", "app:app", "--reload"))
    ]
    assert (len(found.settings), found.port) == (1, "9000")
    assert found.notes[0].endswith("so the image has nothing of it but its command, as far as that is for production.")


@pytest.mark.parametrize(
    ("text", "names", "port"),
    [
        ("services: {bot: {build: ., command: python -m bot, volumes: ['.:/code']}}", ["web"], None),
        (
            "services: {web: {build: ., command: app --reload, ports: [9000]}, panel: {build: ., command: celery flower, ports: [5555]}}",
            ["web", "panel"],
            "9000",
        ),
        (
            (
                "services: {web: {build: ., command: app --reload, ports: [9000]},"
                " jobs: {build: ., command: celery -A app worker, volumes: ['.:/code']},"
                " again: {build: ., command: watchmedo auto-restart -- celery -A app worker, volumes: ['.:/code']}}"
            ),
            ["web", "jobs"],
            "9000",
        ),
        (
            "services: {web: {build: ., command: app --reload, ports: [9000]}, panel: {build: ., command: other, ports: [5555]}}",
            ["web"],
            "5555",
        ),
    ],
    ids=["the only service, without a port", "with a dashboard", "with workers on the mounted source", "with another server"],
)
def test_a_main_service_for_developing_says_how_the_app_starts(tmp_path: Path, text: str, names: list[str], port: str | None) -> None:
    found = _deployment(tmp_path, text, Dockerfile="FROM python\nWORKDIR /code\nCOPY . /code\n")
    assert ([process.name for process in found.processes], found.port) == (names, port)


def test_a_service_that_is_only_built_does_not_take_the_place_of_the_command_for_developing(tmp_path: Path) -> None:
    web = "web: {build: ., ports: ['8000:8000'], command: 'serve --reload'}"
    text = f"services: {{{web}, base: {{build: ., volumes: ['.:/code']}}}}"
    found = _deployment(tmp_path, text, Dockerfile="FROM python\nCOPY . /code\n")
    assert [process.words for process in found.of_kind(DeploymentFile.COMPOSE)] == [("serve", "--reload")]


def test_a_worker_does_not_take_the_place_of_a_web_server_for_developing(tmp_path: Path) -> None:
    text = "services: {web: {build: ., volumes: ['.:/code'], ports: ['80']}, jobs: {build: ., command: python jobs.py}}"
    found = _deployment(tmp_path, text)
    assert [process.name for process in found.processes] == ["jobs", "web"]
    assert [process.kind.name for process in found.processes] == ["COMPOSE", "DOCKERFILE"]


def test_a_read_only_source_is_no_sign_of_developing(tmp_path: Path) -> None:
    found = _deployment(tmp_path, "services: {web: {build: ., volumes: ['.:/code:ro'], ports: ['9000']}}")
    assert (found.settings[1].ports, found.settings[1].volumes) == (("9000",), ())


def test_the_build_of_a_service_names_the_dockerfile(tmp_path: Path) -> None:
    files = {"ops/images/web.txt": "FROM python AS prod\nCOPY app.py /app/\nCMD a\nFROM prod\nCMD b\n"}
    text = "services: {web: {build: {context: ., dockerfile: ops/images/web.txt, target: prod}}}"
    found = _deployment(tmp_path, text, **files)
    assert found.dockerfile is not None
    assert (found.dockerfile.name, found.dockerfile.stage.command) == ("ops/images/web.txt", "a")


@pytest.mark.parametrize(("arguments", "command"), [("{DEBUG: 'true'}", "python main.py"), ("{KIND: worker}", "python worker.py")])
def test_an_argument_for_developing_is_none_of_the_image(tmp_path: Path, arguments: str, command: str) -> None:
    run = 'if [ "$DEBUG" = true ]; then python -m pdb main.py; elif [ "$KIND" = worker ]; then python worker.py; else python main.py; fi'
    dockerfile = f"FROM python\nARG DEBUG=false\nARG KIND\nENV DEBUG=$DEBUG KIND=$KIND\nWORKDIR /app\nCOPY . .\nCMD {run}\n"
    compose = f"services:\n  web:\n    build: {{context: ., args: {arguments}}}\n"
    launch = launched(tmp_path, {"Dockerfile": dockerfile, "compose.yml": compose, "main.py": "", "worker.py": ""})
    assert " ".join(launch.command) == command


@pytest.mark.parametrize("table", ["project", "tool.poetry"])
def test_a_service_with_the_published_image_is_the_project_s(tmp_path: Path, table: str) -> None:
    text = "services: {shop: {image: 'ghcr.io/me/shop:1', volumes: ['data:/data'], environment: {A: b}}, other: {image: x}}"
    found = _deployment(tmp_path, text, **{"pyproject.toml": f"[{table}]\nname = 'Shop'\n"})
    assert (found.settings[1].volumes, found.settings[1].variables) == (("/data",), {"A": "b"})


def test_ci_decides_between_several_dockerfiles(tmp_path: Path) -> None:
    slim = "FROM python AS a\nCOPY app.py /\nCMD a\nFROM a AS b\nCMD b\n"
    files = {
        "Dockerfile.web": "FROM python\nCOPY app.py /\nCMD web\n",
        "Dockerfile.slim": slim,
    }
    written(tmp_path, {**files, "app.py": ""})
    (tmp_path / ".git").mkdir()
    assert _command(tmp_path) == "web"
    step = "{uses: docker/build-push-action@v6, with: {context: ., file: Dockerfile.slim, target: a, push: true}}"
    written(tmp_path, {".github/workflows/x.yml": f"jobs: {{image: {{steps: [{step}]}}}}"})
    assert _command(tmp_path) == "a"
    script = "cd .; docker build -t x -f ./Dockerfile.slim . && docker push x"
    written(
        tmp_path,
        {".github/workflows/x.yml": f"jobs: {{i: {{steps: [{{run: '{script}'}}]}}}}"},
    )
    assert _command(tmp_path) == "b"


def _command(root: Path) -> str:
    found = read_deployment(root, UserFiles()).dockerfile
    assert found is not None
    return found.stage.command


def test_the_image_s_command_starts_in_the_directory_that_the_service_names(tmp_path: Path) -> None:
    docker = "FROM python\nWORKDIR /code\nCOPY . .\nCMD gunicorn -b 0.0.0.0:8000 shop.wsgi\n"
    service = "build: ., working_dir: /code/src"
    compose = f"services:\n  web: {{{service}, ports: ['8000:8000']}}\n  mail: {{{service}, command: celery -A shop worker}}\n"
    files = {"Dockerfile": docker, "compose.yaml": compose, "src/shop/__init__.py": "", "src/shop/wsgi.py": "application = None\n"}
    launch = launched(tmp_path, files, "gunicorn celery")
    assert (launch.command[0], launch.directory, launch.declared_at) == ("gunicorn", "src", "Dockerfile, line 4")
    assert {name for name, _ in launch.processes} == {"web", "mail"}


def test_without_a_dockerfile_a_service_that_mounts_the_project_runs_it(tmp_path: Path) -> None:
    service = "image: 'python:3.12', volumes: ['.:/src'], working_dir: /src"
    text = f"services: {{web: {{{service}, command: bash -c 'pip install x && python /src/app.py'}}}}"
    written(tmp_path, {"app.py": "", "compose.yaml": text})
    (process,) = read_deployment(tmp_path, UserFiles()).processes
    assert [command.words for command in process.commands({})] == [("pip", "install", "x"), ("python", "/src/app.py")]
    assert process.files.project_path("/src/app.py") == "app.py"


def test_a_small_file_never_becomes_a_large_value() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 40))
    table = parse_yaml(f"l0: &l0 [x]\n{levels}".encode())
    assert isinstance(table["l39"], list)
    assert parse_yaml(b"a: &a [*a]\n")["a"] == [None]
    assert parse_yaml(b"a: &a {<<: *a, b: 1}\n")["a"] == {"b": "1"}


@pytest.mark.parametrize(("name", "port"), [(".env", "9000"), (".env.example", "9000"), ("other.env", None)])
def test_the_variables_of_commands_and_ports_have_the_values_of_the_file_beside(tmp_path: Path, name: str, port: str | None) -> None:
    text = "services: {web: {build: ., command: 'serve -p ${PORT} -l ${LEVEL:-info}', ports: ['80:${PORT}'], environment: {DEBUG: $DEBUG}}}"
    written(tmp_path, {name: "PORT=9000  # outside\nLEVEL=warn\nDEBUG=1\n"})
    web = _services(tmp_path, text)["web"]
    assert (web.command, web.ports) == (("serve -p 9000 -l warn", ("9000",)) if port else (None, ()))
    assert (dict(web.variables), web.unknown) == ({}, ("DEBUG",))


def test_a_secret_beside_is_in_no_command(tmp_path: Path) -> None:
    written(tmp_path, {".env": "API_TOKEN=abc\n"})
    assert _services(tmp_path, "services: {web: {build: ., command: 'serve $API_TOKEN'}}")["web"].command is None


@given(st.text() | st.sampled_from(["- a", "a: [", "&a *a", "? x\n: y", "!!python/object:os.system x", "a: 1\n---\nb: 2"]))
def test_any_text_is_a_table_or_none(text: str) -> None:
    for _ in parse_yaml(text.encode("utf-8", "surrogatepass")):
        pass


_KEYS = st.sampled_from(
    [
        "services",
        "web",
        "build",
        "context",
        "dockerfile",
        "command",
        "environment",
        "ports",
        "volumes",
        "depends_on",
        "image",
        "healthcheck",
        "test",
        "args",
    ]
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([".", "..", "$A", "${A:-b}", "a:b", "80:80", "./x:/y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
)


@given(_VALUES)
def test_any_table_can_be_read(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    import yaml

    root = tmp_path_factory.mktemp("x")
    written(root, {"compose.yaml": yaml.safe_dump({"services": {"web": value}}), "Dockerfile": "FROM x\nCOPY . /\n"})
    read_deployment(root, UserFiles())


def test_a_service_finds_its_modules_by_its_python_path(tmp_path: Path) -> None:
    files = {
        "compose.yaml": "services:\n  web:\n    build: .\n    environment: [PYTHONPATH=/app/src]\n"
        "    command: bash -c 'gunicorn -b :8000 -w 4 main:app'\n",
        "Dockerfile": "FROM python:3.13\nWORKDIR /app\nCOPY src/ /app/src\n",
        "src/main.py": "from flask import Flask\napp = Flask(__name__)\n",
    }
    launch = launched(tmp_path, files, "flask gunicorn")
    assert launch.command == ("gunicorn", "-b", ":8000", "-w", "4", "main:app")
    assert launch.python_path == ("src",)


def test_a_mounted_source_is_no_sign_of_developing_in_a_file_for_production(tmp_path: Path) -> None:
    text = "services: {web: {build: ., command: gunicorn app, volumes: ['.:/code']}}"
    written(tmp_path, {**FILES, "deploy/production.yml": text.replace("build: .", "build: ..").replace("'.:", "'..:")})
    assert [process.name for process in read_deployment(tmp_path, UserFiles()).of_kind(DeploymentFile.COMPOSE)] == ["web"]


def test_says_which_mounts_of_the_repository_the_image_lacks(tmp_path: Path) -> None:
    written(tmp_path, {"ui/index.html": "", "api/Dockerfile": "FROM python\nCOPY . /app\nCMD a\n", "api/app.py": "", "api/own/x": ""})
    mounts = "['./ui:/app/ui:ro', './api/own:/app/own:ro', './none:/app/none:ro', 'data:/app/data', './ui:/srv/ui:ro', './ui:/app/writes']"
    written(tmp_path, {"compose.yaml": f"services: {{web: {{build: ./api, ports: [80], volumes: {mounts}}}}}"})
    (tmp_path / ".git").mkdir()
    notes = read_deployment(tmp_path / "api", UserFiles()).notes
    assert notes == ("../compose.yaml, line 1: /app/ui is ../ui, which the image lacks: mount it there, too.",)


_BASE = """
services:
  web: {build: ., environment: [MODE=base, A=1], depends_on: [db]}
  worker:
    build: .
    command: celery -A app worker
  db: {image: postgres:16}
"""


def test_a_file_that_only_adds_is_merged_with_the_one_that_it_adds_to(tmp_path: Path) -> None:
    override = (
        "services:\n  web:\n    command: gunicorn app:app\n    environment: {MODE: prod}\n    ports: ['80:8000']\n  cache: {image: redis}\n"
    )
    deployment = _deployment(tmp_path, _BASE, **{"compose.prod.yml": override})
    main = next(each for each in deployment.of_kind(DeploymentFile.COMPOSE) if each.name == "web")
    assert (main.shown, main.place, main.ports) == ("gunicorn app:app", "compose.prod.yml, line 3", ("8000",))
    worker = next(each for each in deployment.of_kind(DeploymentFile.COMPOSE) if each.name == "worker")
    assert (worker.shown, worker.place) == ("celery -A app worker", "compose.yaml, line 6")
    assert deployment.settings[1].variables == {"MODE": "prod", "A": "1"}
    assert set(deployment.companions) == {"db (postgres:16)", "cache (redis)"}


@pytest.mark.parametrize("name", ["compose.prod.yml", "compose.override.yml"])
def test_a_file_that_can_be_started_alone_is_merged_with_none(tmp_path: Path, name: str) -> None:
    text = "services:\n  web: {build: ., command: gunicorn app:app, ports: ['80:8000']}\n"
    deployment = _deployment(tmp_path, _BASE, **{name: text})
    assert ("worker" in {each.name for each in deployment.processes}) is (name == "compose.override.yml")


@pytest.mark.parametrize("file", ["common.yml", ""])
def test_a_service_has_what_it_extends(tmp_path: Path, file: str) -> None:
    base = "  base: {build: {context: ., args: {V: '1'}}, environment: {A: '1', B: '2'}}\n"
    named = f"{{file: {file}, service: base}}" if file else "base"
    web = f"  web:\n    extends: {named}\n    build: {{target: prod}}\n    environment: [B=3]\n"
    written(tmp_path, {file: f"services:\n{base}"} if file else {})
    found = _services(tmp_path, f"services:\n{web}" + ("" if file else base))["web"]
    assert (found.context, found.target, found.arguments, found.variables) == (tmp_path, "prod", {"V": "1"}, {"A": "1", "B": "3"})


def test_services_that_extend_each_other_end(tmp_path: Path) -> None:
    assert set(_services(tmp_path, "services: {a: {image: x, extends: b}, b: {image: y, extends: a}}")) == {"a", "b"}


_STAGES = """FROM python AS base
WORKDIR /code
COPY . /code
FROM base AS jobs
CMD ["celery", "-A", "app", "worker"]
FROM base AS tables
CMD alembic upgrade head
FROM base AS site
CMD ["gunicorn", "-b", ":8000", "app:app"]
"""


def test_a_service_of_another_stage_runs_the_command_of_that(tmp_path: Path) -> None:
    text = """
services:
  jobs: {build: {context: ., target: jobs}}
  tables: {build: {context: ., target: tables}}
  web:
    build: {context: ., target: site}
    ports: ["8000:8000"]
    depends_on: {tables: {condition: service_completed_successfully}}
"""
    deployment = _deployment(tmp_path, text, Dockerfile=_STAGES)
    assert {each.name: each.commands({})[-1].words for each in deployment.processes} == {
        "web": ("gunicorn", "-b", ":8000", "app:app"),
        "jobs": ("celery", "-A", "app", "worker"),
        "release": ("alembic", "upgrade", "head"),
    }


@pytest.mark.parametrize(
    ("check", "path"),
    [
        ("curl -f http://localhost:8000/up || exit 1", "/up"),
        ("python -c \"import httpx; httpx.get(f'http://localhost:{port}/up')\"", "/up"),
        ("python -c \"get(f'http://{host}:{os.environ.get('PORT', 8000)}/up')\"", "/up"),
        ("python -c \"get('http://localhost:%s/up' % port)\"", "/up"),
        ("python -c \"get('http://localhost:' + port + '/up')\"", ""),
        ("curl localhost", ""),
        ("curl http://localhost:$PORT", "/"),
    ],
)
def test_a_health_check_asks_for_a_path_at_a_port_that_it_may_be_told(check: str, path: str) -> None:
    assert health_path(check) == path


_PAIR = """
services:
  site-dev: {build: ., ports: ["8000:8000"], command: python manage.py runserver 0.0.0.0:8000, volumes: [".:/code"], profiles: [dev]}
  site-%s: {build: ., ports: ["8000:8000"], command: gunicorn app:app -b 0.0.0.0:8000, volumes: [".:/code"], profiles: [%s]}
"""


@pytest.mark.parametrize(("name", "profile"), [("prod", "live"), ("live", "production")])
def test_a_service_for_production_comes_before_the_one_for_developing(tmp_path: Path, name: str, profile: str) -> None:
    files = {"Dockerfile": "FROM python\nWORKDIR /code\nCOPY . .\n"}
    (web,) = _deployment(tmp_path, _PAIR % (name, profile), **files).processes
    assert (web.name, web.words[0]) == ("web", "gunicorn")


def test_an_address_that_nobody_has_is_no_value_of_an_image(tmp_path: Path) -> None:
    given = '{API: "https://your-api.example.com/v1", KIND: example, MAIL: a@example.org}'
    text = f'services: {{web: {{build: ., ports: ["80:80"], environment: {given}}}}}'
    (_, settings) = _deployment(tmp_path, text).settings
    assert (settings.variables, settings.withheld) == ({"KIND": "example"}, ("API", "MAIL"))


def test_what_another_image_does_before_the_start_is_said_and_no_companion(tmp_path: Path) -> None:
    text = """
services:
  db: {image: postgres}
  tables:
    image: python:3.11-slim
    command: sh -c "pip install queue && queue init"
  web:
    build: .
    ports: ["80:80"]
    depends_on: {db: {condition: service_healthy}, tables: {condition: service_completed_successfully}}
"""
    found = _deployment(tmp_path, text)
    assert found.companions == ("db (postgres)",)
    assert "tables (python:3.11-slim) runs to its end before the app starts, and is no part of the image" in "".join(found.notes)


_MOUNTED = """
services:
  api: {build: ., ports: ["80:80"], command: uvicorn src.api:app --reload, volumes: ["./src:/code/src"]}
  page: {build: ., ports: ["81:81"], command: streamlit run src/a.py, volumes: ["./src:/code/src"]}
"""


@pytest.mark.parametrize(("file", "command"), [("src/old.py", "streamlit run src/a.py"), ("src/a.py", "streamlit run src/a.py --page")])
def test_a_service_tells_the_command_if_the_dockerfiles_own_runs_a_file_that_is_gone(tmp_path: Path, file: str, command: str) -> None:
    dockerfile = f'FROM python\nWORKDIR /code\nCOPY . .\nCMD ["streamlit", "run", "{file}", "--page"]\n'
    found = _deployment(tmp_path, _MOUNTED, Dockerfile=dockerfile)
    assert " ".join(found.processes[0].words) == command
