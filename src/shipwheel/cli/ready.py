"""Say when a container answers on its ports, and when it does not."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shipwheel.cli.terminal import Terminal
from shipwheel.errors import EngineError

if TYPE_CHECKING:
    from shipwheel.engine.interface import Container, Engine, Port, RunSpec
    from shipwheel.engine.tee import Tail

__all__ = ["answer_line", "lacks", "note_what_it_lacks", "wait_for_start", "warn_of_silent_ports", "watched"]

_TIMEOUT_S = 30.0
"""Seconds until a port that does not answer is mentioned."""

_LOG_LINES = 15
_SIGNALS = 128
_MAX_FINDINGS = 3


@contextmanager
def watched(engine: "Engine", spec: "RunSpec", terminal: Terminal) -> "Iterator[Tail]":
    """Say in a thread when the container of the block answers, and give what keeps its output.

    A program on the terminal has it for itself.
    """
    from shipwheel.engine.ready import answering_ports, reachable_ports, wait_until_started
    from shipwheel.engine.tee import Tail

    tail = Tail()
    ports = () if spec.tty else reachable_ports(spec, engine)
    ended = threading.Event()

    def watch() -> None:
        answering = []
        if ports:
            wait_until_started(engine, spec, _TIMEOUT_S, ended.is_set)
        for port in answering_ports(ports, _TIMEOUT_S, ended.is_set):
            answering.append(port)
            terminal.note(answer_line(spec, port))
        if not ended.is_set():
            silent = [port for port in ports if port not in answering]
            _warn_of_silence(spec, silent, terminal, lacks(tail.text()) if silent else "")

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield tail
    finally:
        ended.set()


def note_what_it_lacks(spec: "RunSpec", status: int, log: str, terminal: Terminal) -> None:
    """Warn of what a program that failed lacks by its own words. A signal's status, above 128, is no failure of the program."""
    if 0 < status <= _SIGNALS and (found := lacks(log)):
        terminal.warn(f"{spec.name} ended with status {status}", found.rstrip())


def wait_for_start(container: "Container", engine: "Engine", terminal: Terminal) -> None:
    """Wait until a container in the background answers on its ports. Raise EngineError with its last lines if it fails before."""
    from shipwheel.engine.ready import answering_ports, reachable_ports

    spec = container.spec
    silent = list(reachable_ports(spec, engine))
    for port in answering_ports(tuple(silent), _TIMEOUT_S, lambda: not container.state().running):
        silent.remove(port)
        terminal.note(answer_line(spec, port))
    if code := container.state().exit_code:
        log = container.logs()
        lines = "\n".join(f"  {line}" for line in log.splitlines()[-_LOG_LINES:])
        hint = f"{lacks(log)}It is there still: {container.commands.logs} shows all, {container.commands.remove} removes it."
        raise EngineError(f"{spec.name} ended with status {code}:\n{lines}".rstrip(":\n"), hint=hint)
    _warn_of_silence(spec, silent, terminal, lacks(container.logs()) if silent else "")


def warn_of_silent_ports(services: "Mapping[str, RunSpec]", engine: "Engine", terminal: Terminal) -> None:
    """Wait for the published ports of all services, and warn of those that do not answer. The keys are the settings that name them.

    A health check may be of another port, and a service without one was only seen to run.
    """
    from shipwheel.engine.ready import answering_ports, reachable_ports

    places = {port: where for where, spec in services.items() for port in reachable_ports(spec, engine)}
    answering = [*answering_ports(tuple(places), _TIMEOUT_S, lambda: False)]
    for port, where in places.items():
        if port not in answering:
            hint = "The program may listen on another port, or only on 127.0.0.1 inside the container."
            terminal.warn(f"{where}: nothing answers on port {port.container}, which port {port.host} of this machine leads to", hint)


def answer_line(spec: "RunSpec", port: "Port") -> str:
    """Return the sentence with the address that a container answers at."""
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.address, port.address)  # noqa: S104 - compared, not bound
    host = f"[{address}]" if ":" in address else address
    return f"{spec.name} answers at http://{host}:{port.host}" + ("" if port.host == port.container else f" (its port {port.container})")


def lacks(log: str) -> str:
    """Return the sentences about what the output says that the program lacks, as `check` finds them, with a space at the end."""
    from shipwheel.trial.findings import findings_in_log

    return "".join(f"{it.message[:1].upper()}{it.message[1:]}. {it.hint} " for it in findings_in_log(log)[:_MAX_FINDINGS])


def _warn_of_silence(spec: "RunSpec", silent: "list[Port]", terminal: Terminal, causes: str = "") -> None:
    """Warn of ports on which nothing answers. Another command than the image's need not serve."""
    if not silent or spec.args or spec.entrypoint is not None:
        return
    numbers = ", ".join(str(port.container) for port in silent)
    hint = "It may still be starting, or listen on another port, or only on 127.0.0.1 inside the container: `shipwheel check` finds out."
    terminal.warn(f"nothing answers on port {numbers} of {spec.name} after {_TIMEOUT_S:g} s", causes + hint)
