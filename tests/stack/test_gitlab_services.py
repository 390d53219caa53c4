"""What a job of GitLab starts to check an image, and what it cannot start."""

from pathlib import Path

import msgspec
import pytest
from support.stacks import DB, RELEASE, ROOT, STACK, WEB, WORKER

from shipwheel.stack.gitlab_services import GitlabServices, gitlab_services
from shipwheel.stack.model import ProjectSource, PulledImage, Service, Stack

CACHE = Service("cache", PulledImage("redis:7"), needs=("db",))
PLAIN = msgspec.structs.replace(WEB, secrets=(), needs=("cache",))


def services(*of: Service, listens: bool = True) -> GitlabServices:
    return gitlab_services(msgspec.structs.replace(STACK, services=of), listens=listens)


def test_the_images_that_it_needs_start_first() -> None:
    """What the others of the stack need does not."""
    found = services(DB, CACHE, WORKER, PLAIN, Service("lone", PulledImage("lone:1")))
    assert ([it.name for it in found.companions], found.env, found.obstacle) == (["db", "cache"], PLAIN.env, "")


def test_a_project_alone_needs_nothing() -> None:
    alone = msgspec.structs.replace(PLAIN, needs=(), env={})
    assert services(alone, WORKER).documents("$IMAGE") == [{"name": "$IMAGE", "alias": "web"}]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (services(msgspec.structs.replace(WEB, needs=())), "web reads files with secrets"),
        (services(msgspec.structs.replace(DB, secrets=("KEY",)), CACHE, PLAIN), "db reads files with secrets"),
        (services(DB, RELEASE, msgspec.structs.replace(PLAIN, needs=("db", "release"))), "the job release to be done before it starts"),
        (
            services(Service("model", ProjectSource(Path("/work/model"))), msgspec.structs.replace(PLAIN, needs=("model",))),
            "it needs model, which is no image of others",
        ),
        (
            services(Service("other", PulledImage("other:1", "worker")), msgspec.structs.replace(PLAIN, needs=("other",))),
            "it needs other, which is no image of others",
        ),
        (services(PLAIN, DB, CACHE, listens=False), "it has no port to ask"),
    ],
)
def test_says_what_keeps_gitlab_from_starting_it(found: GitlabServices, reason: str) -> None:
    assert reason in found.obstacle


def test_a_stack_whose_web_is_of_others_starts_the_image_alone() -> None:
    web = Service("web", PulledImage("front:1"), needs=("db",))
    assert gitlab_services(Stack("shop", ROOT, "shipwheel.toml", (DB, web)), listens=True) == GitlabServices()
