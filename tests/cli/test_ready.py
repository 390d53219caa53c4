"""What `run` says of a container that does not come to answer."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from support.process import until

from shipwheel.cli import ready
from shipwheel.engine.interface import Port
from shipwheel.errors import EngineError

LOG = "redis.exceptions.ConnectionError: Error 111 connecting to 127.0.0.1:6379. Connection refused.\n"


class Ended:
    """A container that ended with an error."""

    class spec:  # noqa: N801 - stands for a value
        name = "shop-1"
        ports = ()
        network = ""

    class commands:  # noqa: N801 - stands for a value
        logs, remove = "docker logs shop-1", "docker rm shop-1"

    class State:
        running, exit_code = False, 1

    def state(self) -> State:
        return self.State()

    def logs(self) -> str:
        return LOG


def test_names_the_server_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.engine.ready.reachable_ports", lambda *_: ())
    container: Any = Ended()
    with pytest.raises(EngineError) as caught:
        ready.wait_for_start(container, None, None)  # type: ignore[arg-type]
    assert caught.value.hint.startswith("It needs Redis at 127.0.0.1:6379, which does not answer. Start that server")
    assert "docker logs shop-1" in caught.value.hint


def test_names_a_published_port_behind_which_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "_TIMEOUT_S", 0)
    said: list[str] = []
    terminal: Any = SimpleNamespace(warn=lambda message, _hint: said.append(message))
    engine: Any = SimpleNamespace(is_remote=False, publishes=True)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        good, bad = (Port(number, it.getsockname()[1], "tcp", "127.0.0.1") for number, it in ((8000, server), (9999, free)))
        spec: Any = SimpleNamespace(network="shop", ports=(good, bad, Port(53, 1, "udp")))
        ready.warn_of_silent_ports({"shipwheel.toml: services.web.ports": spec}, engine, terminal)
    assert said == [f"shipwheel.toml: services.web.ports: nothing answers on port 9999, which port {bad.host} of this machine leads to"]


@pytest.mark.parametrize(("status", "warned"), [(1, True), (0, False), (143, False)])
def test_names_what_a_program_in_the_foreground_lacks(status: int, warned: bool) -> None:
    said: list[tuple[str, str]] = []

    class Terminal:
        def warn(self, message: str, hint: str) -> None:
            said.append((message, hint))

    spec: Any = Ended.spec
    ready.note_what_it_lacks(spec, status, LOG, Terminal())  # type: ignore[arg-type]
    assert bool(said) == warned
    if warned:
        assert said[0][0] == "shop-1 ended with status 1"
        assert said[0][1].startswith("It needs Redis at 127.0.0.1:6379, which does not answer.")


def test_says_nothing_of_a_failure_that_it_does_not_know() -> None:
    ready.note_what_it_lacks(Ended.spec, 1, "some other trouble\n", None)  # type: ignore[arg-type]


def test_no_port_is_asked_before_the_container_runs() -> None:
    # Until then, the proxies of docker and podman hold connections as a server does.
    asked: list[None] = []
    said: list[str] = []
    runs = False

    def has_started(_spec: object) -> bool:
        asked.append(None)
        return runs

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = Port(8000, proxy.getsockname()[1], "tcp", "127.0.0.1")
        engine: Any = SimpleNamespace(has_started=has_started, publishes=True, is_remote=False)
        spec: Any = SimpleNamespace(name="shop-1", tty=False, network="", ports=(port,), args=(), entrypoint=None)
        terminal: Any = SimpleNamespace(note=said.append)
        with ready.watched(engine, spec, terminal):
            until(lambda: len(asked) > 2 or said)
            assert not said
            runs = True
            until(lambda: said)
    assert said[0].startswith("shop-1 answers at http://127.0.0.1:")
