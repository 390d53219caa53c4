"""The stack of a project: its services and processes, and every problem of them with its place."""

from pathlib import Path

import pytest

from shipwheel.engine.interface import Port
from shipwheel.errors import UsageError
from shipwheel.stack.model import (
    HealthCommand,
    HealthPath,
    ProjectSource,
    PulledImage,
    Service,
    ServiceVolume,
    Stack,
    expand,
    pieces,
    variables_in,
)
from shipwheel.stack.read import read_stack


def _project(folder: Path, settings: str, name: str = "shop") -> Path:
    root = folder / name
    root.mkdir()
    (root / "main.py").write_text("print('here')\n")
    (root / "requirements.txt").write_text("")
    (root / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\n{settings}')
    return root


def _stack(folder: Path, settings: str) -> Stack:
    return read_stack(_project(folder, settings))


def _problem(folder: Path, settings: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        _stack(folder, settings)
    assert str(folder / "shop" / "shipwheel.toml") in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_project_without_services_is_its_web_server(tmp_path: Path) -> None:
    stack = _stack(tmp_path, "")
    assert stack.name == "shop"
    assert stack.services == (Service("web", ProjectSource(tmp_path / "shop"), publishes_all=True),)
    assert stack.projects == (tmp_path / "shop",)


def test_reads_every_key_of_a_service(tmp_path: Path) -> None:
    stack = _stack(
        tmp_path,
        """
        [services.db]
        image = "postgres:16"
        command = "postgres -c fsync=off"
        volumes = { data = "/var/lib/postgresql/data/" }
        env = { POSTGRES_DB = "shop" }
        secrets = ["POSTGRES_PASSWORD"]
        health = ["pg_isready", "-U", "postgres"]
        ports = ["0.0.0.0:5433:5432", 9187]
        start-timeout = 30
        cpus = 0.5
        memory = "512m"
        hardened = false
        """,
    )
    assert stack.service("db") == Service(
        "db",
        PulledImage("postgres:16"),
        command=("postgres", "-c", "fsync=off"),
        ports=(Port(5432, 5433, "tcp", "0.0.0.0"), Port(9187, 9187, "tcp", "127.0.0.1")),
        volumes=(ServiceVolume("data", stack.service("db").volumes[0].target),),
        env={"POSTGRES_DB": "shop"},
        secrets=("POSTGRES_PASSWORD",),
        health=HealthCommand(("pg_isready", "-U", "postgres")),
        start_timeout=30,
        cpus=0.5,
        memory=512 << 20,
        hardened=False,
    )
    assert stack.service("db").volumes[0].target == "/var/lib/postgresql/data"


def test_a_schedule_makes_a_job_that_only_its_profile_starts_here(tmp_path: Path) -> None:
    stack = _stack(tmp_path, '[services.nightly]\nimage = "a"\nschedule = "0 3 * * 1-5"\n[services.db]\nimage = "b"\n')
    assert (stack.service("nightly").is_job, stack.service("nightly").schedule) == (True, "0 3 * * 1-5")
    assert [service.name for service in stack.with_profiles(()).services] == ["web", "db"]
    assert {service.name for service in stack.with_profiles({"scheduled"}).services} == {"web", "db", "nightly"}


def test_the_processes_share_what_the_web_server_has_and_wait_for_the_release(tmp_path: Path) -> None:
    stack = _stack(
        tmp_path,
        """
        [processes]
        worker = "celery worker"
        release = "python migrate.py"
        [services.web]
        health = "/health"
        env = { DATABASE_URL = "postgresql://shop:${PASSWORD}@db/shop" }
        secrets = ["KEY"]
        needs = ["db", "worker"]
        [services.worker]
        env = { QUEUE = "slow" }
        [services.db]
        image = "postgres:16"
        """,
    )
    web, worker, release, db = (stack.service(name) for name in ("web", "worker", "release", "db"))
    assert (web.needs, worker.needs, release.needs, db.needs) == (("db", "worker", "release"), ("db", "release"), ("db",), ())
    assert [it.name for it in stack.services] == ["db", "release", "worker", "web"]
    assert release.is_job
    assert worker.env == {**web.env, "QUEUE": "slow"}
    assert (worker.secrets, worker.health, worker.publishes_all, web.health) == (("KEY",), None, False, HealthPath("/health"))
    assert stack.variables == {"KEY": ("release", "worker", "web"), "PASSWORD": ("release", "worker", "web")}


def test_another_project_is_a_service_by_its_path(tmp_path: Path) -> None:
    other = _project(tmp_path, "", "model")
    stack = _stack(tmp_path, '[services.model]\npath = "../model"\nports = 8080\n[services.again]\npath = "../model"\nprocess = "worker"\n')
    assert stack.service("model").source == ProjectSource(other)
    assert stack.service("again").source == ProjectSource(other, "worker")
    assert set(stack.projects) == {other, tmp_path / "shop"}


def test_a_process_of_a_procfile_can_be_a_service(tmp_path: Path) -> None:
    root = _project(tmp_path, "[services.clock]\n")
    (root / "Procfile").write_text("web: python main.py\nclock: python main.py clock\n")
    assert read_stack(root).service("clock").source == ProjectSource(root, "clock")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[services.db]\nports = 5432\n", "services.db: has no image, and the project has no process db"),
        ('[services.db]\nimage = "a"\npath = "."\n', "services.db.path: cannot be combined with image"),
        ('[services.db]\npath = "../nowhere"\n', "nowhere does not exist"),
        ('[services.web]\nneeds = ["db"]\n', "services.web.needs: there is no service db"),
        (
            '[services.a]\nimage = "a"\nneeds = "b"\n[services.b]\nimage = "b"\nneeds = "a"\n',
            "they need each other: ",
        ),
        (
            '[services.a]\nimage = "a"\nneeds = "b"\n[services.b]\nimage = "b"\nschedule = "@daily"\n',
            "services.a.needs: b has a schedule, so nothing can wait for it",
        ),
        ('[services.a]\nimage = "a"\nschedule = "@daily"\njob = false\n', "services.a.job: what has a schedule is a job"),
        ('[services.a]\nimage = "a"\nschedule = "at night"\n', "services: a: schedule: 'at night' is not allowed"),
        ('[services.a]\nimage = "a"\nneeds = "a"\n', "services.a.needs: they need each other: a → a"),
        (
            '[services.a]\nimage = "a"\nports = 80\n[services.b]\nimage = "b"\nports = "80:8080"\n',
            "a publishes port 80 of this machine too",
        ),
        ('[services.a]\nimage = "a"\nports = ["80:1", "80:2"]\n', "a publishes port 80 of this machine too"),
        ('[services.a]\nimage = "a"\nport = 80\n', "unknown key 'port'"),
        ('[services.web]\nneeds = "a"\n[services.a]\nimage = "a"\nprofiles = "debug"\n', "needs: a is only in the profile debug"),
        ('[services.a]\nimage = "a"\nvolumes = { data = "data" }\n', "'data' is not an absolute path"),
        ('[services.a_b]\nimage = "a"\n', "'a_b' is not the name of a service"),
        ('[services.a]\nimage = "a"\nhealth = "curl localhost"\n', "a: health: 'curl localhost' is not the path of a URL"),
        ('[services]\na = "postgres"\n', "a is not a table"),
        ('[services.a]\nimage = "a"\nsecrets = ["NOT A NAME"]\n', "a: secrets: 'NOT A NAME' is not allowed"),
    ],
)
def test_a_problem_is_named_with_its_file_and_key(tmp_path: Path, settings: str, message: str) -> None:
    assert message in _problem(tmp_path, settings).message


def test_a_profile_adds_its_services(tmp_path: Path) -> None:
    settings = (
        '[services.mail]\nimage = "m"\nprofiles = "debug"\n[services.admin]\nimage = "a"\nneeds = ["web", "mail"]\nprofiles = "debug"\n'
    )
    stack = _stack(tmp_path, settings)
    usual, debug = stack.with_profiles(()), stack.with_profiles(["debug"])
    assert ([it.name for it in usual.services], set(usual.inactive)) == (["web"], {"mail", "admin"})
    assert (debug.services, debug.inactive) == (stack.services, ())
    with pytest.raises(UsageError) as caught:
        stack.with_profiles(["other"])
    assert (caught.value.message.endswith("there is no profile other"), caught.value.hint) == (True, "There are debug.")


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    message = _problem(tmp_path, '[services.db]\n[services.web]\nneeds = ["redis"]\n').message
    assert "services.db: has no image" in message
    assert "no service redis" in message


def test_values_refer_to_variables() -> None:
    text = "postgresql://${USER_NAME}:${PASSWORD}@db/$HOME"
    assert variables_in(text) == {"USER_NAME", "PASSWORD"}
    assert expand(text, {"USER_NAME": "shop", "PASSWORD": "${A}"}) == "postgresql://shop:${A}@db/$HOME"
    assert list(pieces("a${B}c$D")) == [("a", "B"), ("c$D", "")]
