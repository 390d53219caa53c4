"""A stack with each kind of service, as its settings would give it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.engine.interface import Port
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.platform import Platform
from shipwheel.stack.image import PlacedService, ServiceImage, place
from shipwheel.stack.model import HealthCommand, ProjectSource, PulledImage, Service, Stack

__all__ = ["DB", "OURS", "PLACE", "POSTGRES", "RELEASE", "ROOT", "STACK", "WEB", "WORKER", "ours", "placed"]

AMD64 = Platform("linux", "amd64")
ROOT = Path("/work/shop")
OURS = ExecutionConfig(
    entrypoint=("/usr/bin/tini", "--"),
    cmd=("gunicorn",),
    user="65532:65532",
    exposed_ports=(ExposedPort(8000, "tcp"),),
    volumes=(ContainerPath("/data"),),
    labels={
        "io.shipwheel.version": "0.1.0",
        "io.shipwheel.health": "/ready",
        "io.shipwheel.processes": '{"web": ["gunicorn"], "worker": ["celery", "$X"]}',
    },
)
PLACE = "shipwheel.toml"


def ours(**labels: str) -> ServiceImage:
    """The image of the project, with other labels if they are given."""
    config = msgspec.structs.replace(OURS, labels=labels or OURS.labels)
    return ServiceImage("registry.example/shop@sha256:" + "0" * 64, config, AMD64, "shop")


POSTGRES = ServiceImage("postgres:16", ExecutionConfig(cmd=("postgres",), volumes=(ContainerPath("/var/lib/pg"),)), AMD64, "postgres")
WEB = Service(
    "web",
    ProjectSource(ROOT),
    publishes_all=True,
    env={"URL": "pg://${PASSWORD}@db/$1"},
    secrets=("KEY",),
    needs=("db", "release"),
    cpus=0.5,
    memory=1 << 20,
)
WORKER = Service("worker", ProjectSource(ROOT, "worker"))
RELEASE = Service("release", ProjectSource(ROOT), is_job=True)
DB = Service("db", PulledImage("postgres:16"), health=HealthCommand(("pg_isready",)), ports=(Port(5432, 5433, "tcp", "127.0.0.1"),))
STACK = Stack("shop", ROOT, PLACE, (DB, RELEASE, WORKER, WEB))


def placed() -> Iterator[PlacedService]:
    """Yield its services with their images."""
    for service in STACK.services:
        yield place(service, POSTGRES if service is DB else ours(), PLACE)
