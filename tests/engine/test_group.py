"""The command lines with which docker and podman manage containers that belong together."""

import json

import pytest
from support.fake_programs import Programs

from shipwheel.engine.docker import Docker
from shipwheel.engine.group import ContainerGroup, GroupContainer, aside_name
from shipwheel.engine.interface import Port
from shipwheel.errors import EngineError
from shipwheel.platform import Platform

RUNNING = {
    "Name": "/shop-web",
    "Created": "2026-02-01T00:00:00Z",
    "State": {"Running": True, "Restarting": False, "ExitCode": 0, "OOMKilled": False},
    "RestartCount": 2,
    "Config": {"Labels": {"a": "b"}},
    "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": None}},
}
ENDED = {
    "Name": "shop-job",
    "Created": "2026-01-01T00:00:00Z",
    "State": {"Running": False, "ExitCode": 137, "OOMKilled": True},
    "Config": {"Labels": None},
    "HostConfig": {"PortBindings": {}},
}


def group(programs: Programs, body: str) -> ContainerGroup:
    programs.add("docker", body)
    return ContainerGroup(Docker("26", Platform("linux", "amd64"), ()), "stack", "shop")


def test_reads_containers_the_oldest_first(programs: Programs) -> None:
    found = group(
        programs, f"print('1 2' if args[0] == 'ps' else {json.dumps(json.dumps([RUNNING, ENDED]))}); sys.exit(args[0] != 'ps')"
    ).containers()
    assert found == (
        GroupContainer("shop-job", {}, 137, 0, True, "2026-01-01T00:00:00Z", ()),
        GroupContainer("shop-web", {"a": "b"}, None, 2, False, "2026-02-01T00:00:00Z", (Port(80, 8080, "tcp", "127.0.0.1"),)),
    )
    assert programs.called("docker", "ps")[0][-2:] == ["--filter", "label=stack=shop"]


def test_a_container_that_restarts_does_not_run(programs: Programs) -> None:
    state = {"Running": True, "Restarting": True, "ExitCode": 3, "OOMKilled": False}
    found = group(programs, f"print({json.dumps(json.dumps([{**RUNNING, 'State': state}]))})").container("shop-web")
    assert found is not None
    assert found.exit_code == 3


def test_a_missing_container_is_none(programs: Programs) -> None:
    assert group(programs, "print('[]'); sys.exit(1)").container("shop-web") is None


def test_what_it_makes_has_the_label(programs: Programs) -> None:
    made = group(programs, "")
    made.create_network("net")
    made.create_volume("data", {"root": "/shop"})
    label = ["--label", "stack=shop"]
    assert programs.calls == [
        ["docker", "network", "create", *label, "net"],
        ["docker", "volume", "create", *label, "--label", "root=/shop", "data"],
    ]


def test_reads_the_labels_of_volumes(programs: Programs) -> None:
    found = [{"Name": "data", "Labels": {"a": "b"}, "Driver": "local"}, {"Name": "other", "Labels": None}]
    made = group(programs, f"print('data other' if args[1] == 'ls' else {json.dumps(json.dumps(found))})")
    assert made.volumes() == {"data": {"a": "b"}, "other": {}}


def test_a_container_waits_under_another_name(programs: Programs) -> None:
    made = group(programs, "")
    made.set_aside("web")
    made.bring_back("web")
    assert [call[1:] for call in programs.calls] == [
        ["rm", "--force", aside_name("web")],
        ["stop", "-t", "10", "web"],
        ["rename", "web", aside_name("web")],
        ["rename", aside_name("web"), "web"],
        ["start", "web"],
    ]


def test_logs_come_line_by_line_with_the_container_s_name(programs: Programs) -> None:
    made = group(programs, "print(f'one of {args[-1]}'); print('two', file=sys.stderr)")
    lines: list[tuple[str, str]] = []
    made.read_logs(["a", "b"], 5, lambda name, line: lines.append((name, line)), follow=False)
    assert sorted(lines) == [("a", "one of a"), ("a", "two"), ("b", "one of b"), ("b", "two")]
    assert {tuple(call[1:-1]) for call in programs.calls} == {("logs", "--tail", "5")}


def test_a_failure_says_what_the_engine_said(programs: Programs) -> None:
    made = group(programs, "sys.exit('no space left')")
    with pytest.raises(EngineError) as caught:
        made.create_network("net")
    assert caught.value.message == "docker network create failed: no space left"
