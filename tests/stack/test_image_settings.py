"""The settings that a bundle brings: they give the same services as those of the project."""

from pathlib import Path

import msgspec
import pytest
from support.stacks import DB, PLACE, POSTGRES, RELEASE, ROOT, STACK, ours

from shipwheel.engine.interface import Port
from shipwheel.errors import UsageError
from shipwheel.stack.compose import compose_document
from shipwheel.stack.image import ServiceImage, place, place_all
from shipwheel.stack.image_settings import image_settings
from shipwheel.stack.model import HealthPath, PulledImage, Service, Stack
from shipwheel.stack.read import read_stack

CLOCK = Service(
    "clock",
    PulledImage("clock:1"),
    health=HealthPath("/tick"),
    ports=(Port(8001, 9001, "udp", "::1"), Port(8001, 9001, "tcp", "0.0.0.0")),
    profiles=("debug",),
    command=("clock", 'it\'s "now"'),
    start_timeout=7,
    hardened=False,
)
WHOLE = msgspec.structs.replace(STACK, services=(*STACK.services, CLOCK))


def images(name: str) -> ServiceImage:
    return POSTGRES if name == POSTGRES.name else msgspec.structs.replace(ours(), name=name)


def brought(stack: Stack, folder: Path) -> Stack:
    """Return the stack as another machine reads it."""
    placed = place_all(stack, lambda _, name: images(name), lambda _: ours())
    (folder / "shipwheel.toml").write_text(image_settings(stack, placed))
    return read_stack(folder)


def test_the_services_are_those_of_the_project(tmp_path: Path) -> None:
    found = brought(WHOLE, tmp_path)
    first, second = (compose_document(stack, place_all(stack, lambda _, name: images(name), lambda _: ours())) for stack in (WHOLE, found))
    assert first == second
    assert found.variables == WHOLE.variables
    timeouts = [{it.name: it.start_timeout for it in stack.services} for stack in (WHOLE, found)]
    assert timeouts[0] == timeouts[1]


def test_what_it_reads_it_writes(tmp_path: Path) -> None:
    found = brought(WHOLE, tmp_path)
    assert brought(found, tmp_path).services == found.services


def test_only_an_image_by_shipwheel_has_processes() -> None:
    worker = Service("worker", PulledImage("shop:1", "worker"))
    assert place(worker, ours(), PLACE).entrypoint == ("/usr/bin/tini", "--", "celery", "$X")
    with pytest.raises(UsageError, match="postgres:16 has no process worker"):
        place(worker, POSTGRES, PLACE)


def test_an_image_is_pulled_once_for_all_its_processes() -> None:
    pulled = []

    def pull(_: str, name: str) -> ServiceImage:
        pulled.append(name)
        return ours()

    services = tuple(Service(name, PulledImage("shop:1", name)) for name in ("web", "worker"))
    placed = place_all(Stack("shop", ROOT, PLACE, services), pull, lambda _: ours())
    assert pulled == ["shop:1"]
    assert [it.entrypoint is None for it in placed] == [True, False]
    assert (DB.source.process, RELEASE.source.process) == ("web", "web")
