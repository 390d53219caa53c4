"""Starting, changing and stopping a stack: in the order of needs, and entirely or not at all. tests/real does it with real engines."""

import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from support.fake_group import FakeGroup

from shipwheel.container.path import ContainerPath
from shipwheel.engine.bwrap import Bwrap
from shipwheel.engine.group import ContainerGroup, GroupContainer
from shipwheel.engine.interface import Port, RunSpec
from shipwheel.errors import EngineError, ShipwheelError, TrialError, UsageError
from shipwheel.events import Event, StageFinished, silent
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.platform import Platform
from shipwheel.stack.containers import LABEL_ROOT, run_spec
from shipwheel.stack.down import stop_stack
from shipwheel.stack.image import ServiceImage, place
from shipwheel.stack.model import HealthCommand, PulledImage, Service, ServiceVolume, Stack
from shipwheel.stack.secrets import check_variables, remove_secrets, secret_file, secrets_directory, write_secrets
from shipwheel.stack.status import ServiceState, stack_status
from shipwheel.stack.up import Desired, Done, check_stated, start_stack

CHECK = HealthCommand(("check",))
DATA = ServiceVolume("data", ContainerPath("/data"))
DB = Service("db", PulledImage("db"), health=CHECK, volumes=(DATA,))
JOB = Service("job", PulledImage("job"), is_job=True, needs=("db",))
WEB = Service("web", PulledImage("web"), health=CHECK, needs=("db", "job"), env={"A": "${A}"})
STACK = Stack("shop", Path("/shop"), "/shop/shipwheel.toml", (DB, JOB, WEB))


def desired(stack: Stack, variables: Mapping[str, str], images: Mapping[str, str]) -> list[Desired]:
    found = []
    for service in stack.services:
        placed = place(service, ServiceImage(service.name, ExecutionConfig(), Platform("linux", "amd64"), service.name), stack.place)
        spec = run_spec(stack, placed, images.get(service.name, "1"), variables, Path("/secrets"))
        found.append(Desired(placed, spec))
    return found


def up(group: FakeGroup, stack: Stack = STACK, a: str = "1", **images: str) -> Done:
    return start_stack(stack, desired(stack, {"A": a}, images), group, silent, lambda _log: "It lacks this. ")


def job_ends(spec: RunSpec) -> int | None:
    return 0 if spec.name == "shop-job" else None


@pytest.fixture
def group() -> FakeGroup:
    made = FakeGroup()
    made.on_start = job_ends
    return made


def names(group: FakeGroup) -> list[str]:
    return sorted(group.there)


def test_starts_each_service_behind_its_needs(group: FakeGroup) -> None:
    assert up(group).started == ("db", "job", "web")
    assert group.calls == ["start shop-db", "start shop-job", "start shop-web"]
    assert (group.own_networks, set(group.own_volumes)) == ({"shop-stack"}, {"shop_data"})


def test_what_did_not_change_stays(group: FakeGroup) -> None:
    up(group)
    group.calls.clear()
    assert up(group) == Done(unchanged=("db", "job", "web"))
    assert group.calls == []


def test_another_image_or_value_replaces_the_container(group: FakeGroup) -> None:
    up(group)
    group.calls.clear()
    assert up(group, a="2", job="2") == Done(replaced=("job", "web"), unchanged=("db",))
    assert group.calls == ["stop shop-job", "start shop-job", "stop shop-web", "start shop-web"]
    assert names(group) == ["shop-db", "shop-job", "shop-web"]


def test_what_ended_starts_again_and_what_is_gone_from_the_settings_ends(group: FakeGroup) -> None:
    up(group)
    group.stop("shop-db")
    assert up(group, msgspec.structs.replace(STACK, services=(DB,))) == Done(replaced=("db",), removed=("job", "web"))
    assert names(group) == ["shop-db"]


def test_a_service_of_a_profile_stays_when_others_change(group: FakeGroup) -> None:
    profiled = msgspec.structs.replace(STACK, services=(DB, msgspec.structs.replace(DB, name="admin", profiles=("debug",))))
    up(group, profiled.with_profiles(["debug"]))
    assert up(group, profiled.with_profiles(())) == Done(unchanged=("db",))
    assert names(group) == ["shop-admin", "shop-db"]
    assert [it.name for it in stack_status(profiled, group)] == ["db", "admin"]
    group.remove(["shop-admin"])
    assert [it.name for it in stack_status(profiled, group)] == ["db"]


@pytest.mark.parametrize("failure", ["ends", "job fails", "unwell", "interrupted", "engine"])
def test_a_failed_start_leaves_nothing(group: FakeGroup, failure: str) -> None:
    with pytest.raises((ShipwheelError, KeyboardInterrupt)) as caught:
        _fail(group, failure)
    assert (group.there, group.own_networks, group.own_volumes) == ({}, set(), {})
    expected = {
        "ends": "web ended with status 3:\n  shop-web says this",
        "job fails": "job ended with status 1",
        "unwell": "web is not well after 0 s:\n  its check refused",
    }
    assert expected.get(failure, "").replace("its check", "its health check:") in str(caught.value)
    if isinstance(caught.value, TrialError):
        assert caught.value.hint.startswith("It lacks this. Nothing of this start is left")


@pytest.mark.parametrize("failure", ["ends", "unwell", "interrupted", "engine"])
def test_a_failed_change_leaves_what_was_there(group: FakeGroup, failure: str) -> None:
    up(group)
    before = group.there.copy()
    with pytest.raises((ShipwheelError, KeyboardInterrupt)):
        _fail(group, failure)
    assert group.there == before
    assert (group.own_networks, set(group.own_volumes)) == ({"shop-stack"}, {"shop_data"})


def _fail(group: FakeGroup, failure: str) -> None:
    """Change the web server into one that fails."""

    def on_start(spec: RunSpec) -> int | None:
        if spec.name == "shop-web" and failure == "interrupted":
            raise KeyboardInterrupt
        if spec.name == "shop-web" and failure == "engine":
            raise EngineError("no", hint="none")
        return {"ends": {"shop-web": 3}, "job fails": {"shop-job": 1}}.get(failure, {}).get(spec.name, job_ends(spec))

    group.on_start = on_start
    group.unwell = {"shop-web"} if failure == "unwell" else set()
    impatient = msgspec.structs.replace(WEB, start_timeout=0)
    up(group, msgspec.structs.replace(STACK, services=(DB, JOB, impatient)), a="new")


def _refused(group: FakeGroup, stack: Stack = STACK) -> UsageError:
    """Return the error for a stack that cannot start; nothing may have changed."""
    before = (group.there.copy(), group.own_networks.copy(), group.own_volumes.copy())
    with pytest.raises(UsageError) as caught:
        up(group, stack)
    assert (group.there, group.own_networks, group.own_volumes) == before
    assert group.calls == []
    assert caught.value.hint
    return caught.value


def test_a_volume_of_someone_else_is_left_alone(group: FakeGroup) -> None:
    group.taken.add("shop_data")
    assert "/shop/shipwheel.toml: services.db.volumes: the volume shop_data of docker is not one of this stack" in _refused(group).message


def test_what_waits_to_be_replaced_has_the_name_of_no_service(group: FakeGroup) -> None:
    both = msgspec.structs.replace(STACK, services=tuple(Service(name, PulledImage("x"), health=CHECK) for name in ("db", "db-replaced")))
    up(group, both)
    up(group, both, db="2")
    assert names(group) == ["shop-db", "shop-db-replaced"]


def test_a_volume_of_the_same_stack_elsewhere_is_left_alone(group: FakeGroup, tmp_path: Path) -> None:
    group.own_volumes["shop_data"] = {LABEL_ROOT: str(tmp_path)}
    assert "the volume shop_data of docker is not one of this stack" in _refused(group).message
    assert stop_stack(STACK, group, silent, volumes=True) == ()
    assert set(group.own_volumes) == {"shop_data"}


def test_a_volume_from_another_machine_or_user_is_left_alone(group: FakeGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group.own_volumes["shop_data"] = {LABEL_ROOT: str(tmp_path / "elsewhere")}
    monkeypatch.setattr(group.engine, "is_remote", True)
    assert stop_stack(STACK, group, silent, volumes=True) == ()
    monkeypatch.setattr(group.engine, "is_remote", False)
    group.own_volumes["shop_data"] = {LABEL_ROOT: "/" + "a" * 300}
    assert stop_stack(STACK, group, silent, volumes=True) == ()
    assert set(group.own_volumes) == {"shop_data"}


def test_the_volume_of_a_project_that_moved_is_its_own(group: FakeGroup, tmp_path: Path) -> None:
    group.own_volumes["shop_data"] = {LABEL_ROOT: str(tmp_path / "moved away")}
    assert up(group).started == ("db", "job", "web")
    group.there = {
        name: msgspec.structs.replace(it, labels={**it.labels, LABEL_ROOT: str(tmp_path / "moved away")})
        for name, it in group.there.items()
    }
    assert up(group).unchanged == ("db", "job", "web")


def test_a_network_of_someone_else_is_left_alone(group: FakeGroup) -> None:
    group.taken.add("shop-stack")
    assert "the network shop-stack of docker is not one of this stack" in _refused(group).message


def test_a_container_of_someone_else_is_left_alone(group: FakeGroup) -> None:
    group.others["shop-db"] = GroupContainer("shop-db", {}, None, 0, False, "", ())
    assert "services.db: docker has another container shop-db" in _refused(group).message


def test_a_stack_of_another_directory_is_left_alone(group: FakeGroup) -> None:
    group.there["shop-db"] = GroupContainer("shop-db", {LABEL_ROOT: "/usr"}, None, 0, False, "", ())
    assert "a stack shop of /usr is in docker" in _refused(group).message
    with pytest.raises(UsageError):
        stop_stack(STACK, group, silent, volumes=True)


def test_a_taken_port_is_named(group: FakeGroup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        web = msgspec.structs.replace(DB, ports=(Port(80, number, "tcp", "127.0.0.1"),))
        error = _refused(group, msgspec.structs.replace(STACK, services=(web,)))
    assert f"services.db.ports: port {number} of this machine is taken" in error.message
    assert f'["{number + 1}:80"]' in error.hint or number == 65535


def test_what_the_settings_state_is_checked_before_anything_is_built(group: FakeGroup) -> None:
    """`up` calls it before it builds and pulls."""
    check_stated(STACK, group)
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        published = msgspec.structs.replace(DB, ports=(Port(80, number, "tcp", "127.0.0.1"),))
        stack = msgspec.structs.replace(STACK, services=(published,))
        with pytest.raises(UsageError, match=rf"services\.db\.ports: port {number} of this machine is taken"):
            check_stated(stack, group)
        check_stated(msgspec.structs.replace(STACK, services=(msgspec.structs.replace(published, is_job=True),)), group)
        up(group)
        held = group.there["shop-db"]
        group.there["shop-db"] = msgspec.structs.replace(held, ports=published.ports)
        check_stated(stack, group)
    group.there.clear()
    group.own_volumes.clear()
    group.taken.add("shop_data")
    with pytest.raises(UsageError, match=r"services\.db\.volumes: the volume shop_data of docker is not one of this stack"):
        check_stated(STACK, group)


def test_two_services_on_one_port_are_named(group: FakeGroup) -> None:
    ports = (Port(80, 1, "tcp", "127.0.0.1"),)
    services = (msgspec.structs.replace(DB, ports=ports), msgspec.structs.replace(DB, name="other", ports=ports))
    group.engine.is_remote = True
    error = _refused(group, msgspec.structs.replace(STACK, services=services))
    assert "services.other.ports: db publishes port 1 of this machine too" in error.message


def test_an_engine_without_networks_is_refused() -> None:
    with pytest.raises(EngineError) as caught:
        ContainerGroup(Bwrap("0.11"), "stack", "shop")
    assert "bwrap has no networks" in caught.value.message


def test_a_variable_that_is_not_set_is_named_with_its_service() -> None:
    with pytest.raises(UsageError) as caught:
        check_variables(STACK, ["B"])
    assert caught.value.message == "/shop/shipwheel.toml: services.web: the variable A is not set"
    check_variables(STACK, ["A"])


def test_down_stops_the_newest_first_and_leaves_volumes(group: FakeGroup) -> None:
    up(group)
    group.calls.clear()
    assert stop_stack(STACK, group, silent, volumes=False) == ("shop_data",)
    assert group.calls == ["stop shop-web", "stop shop-job", "stop shop-db"]
    assert (group.there, group.own_networks) == ({}, set())
    said: list[Event] = []
    assert stop_stack(STACK, group, said.append, volumes=True) == ()
    assert group.own_volumes == {}
    assert [it.summary for it in said if isinstance(it, StageFinished)] == ["nothing was running; removed the volumes shop_data"]


def test_status_asks_each_service(group: FakeGroup) -> None:
    assert {it.state for it in stack_status(STACK, group)} == {ServiceState.MISSING}
    up(group)
    assert [it.state for it in stack_status(STACK, group)] == [ServiceState.WELL, ServiceState.DONE, ServiceState.WELL]
    group.unwell.add("shop-web")
    group.stop("shop-db")
    found = stack_status(STACK, group)
    assert [it.state for it in found] == [ServiceState.ENDED, ServiceState.DONE, ServiceState.UNWELL]
    assert [it.is_good for it in found] == [False, True, False]


def test_secrets_are_files_that_only_the_user_reaches(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "shop"
    with write_secrets(folder, {"KEY": "one\n"}):
        pass
    path = secret_file(folder, "KEY", "one\n")
    assert (path.read_text(), path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == ("one\n", 0o444, 0o700)
    remove_secrets(folder)
    assert not folder.exists()


def test_a_failed_start_leaves_the_secrets_of_what_runs(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    with pytest.raises(TrialError), write_secrets(folder, {"KEY": "one"}):
        raise TrialError("", hint="")
    assert not folder.exists()
    with write_secrets(folder, {"KEY": "one"}):
        pass
    with pytest.raises(TrialError), write_secrets(folder, {"KEY": "two", "OTHER": "1"}):
        raise TrialError("", hint="")
    assert [path.read_text() for path in folder.iterdir()] == ["one"]


def test_stacks_of_two_directories_or_engines_have_their_own_secrets() -> None:
    other = msgspec.structs.replace(STACK, root=Path("/other"))
    assert len({secrets_directory(STACK, "docker"), secrets_directory(other, "docker"), secrets_directory(STACK, "podman")}) == 3
