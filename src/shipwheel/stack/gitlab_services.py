"""The services of a GitLab job that checks a project's image: the image itself, and what the project's settings say that it needs.

The runner starts them beside the job's container, in the order of the file, without waiting for one before the next, and once: what ends
stays so. Variables of the job's definition are theirs, too, and those of the project's settings in GitLab are not. Files cannot be given
to them. https://docs.gitlab.com/ci/services
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from shipwheel.stack.model import ProjectSource, PulledImage, Service, Stack, pieces, variables_in

__all__ = ["ALIAS", "NO_SERVICES", "GitlabServices", "gitlab_services", "own_service"]

ALIAS = "web"
"""The host name of the project's own container: other services know it by that."""


class GitlabServices(msgspec.Struct, frozen=True):
    """The services that an image needs, the variables that it is started with, or why GitLab cannot start it."""

    companions: tuple[Service, ...] = ()
    env: Mapping[str, str] = {}
    obstacle: str = ""
    """A clause; empty if there is none."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the variables that values of `env` refer to."""
        values = [*self.env.values(), *(value for it in self.companions for value in it.env.values())]
        return tuple(sorted(frozenset[str]().union(*map(variables_in, values))))

    def documents(self, image: str) -> list[dict[str, Any]]:
        """Return the services of the job, with the project's own image last: while it is pulled, the others start."""
        companions = [_document(_reference(it), it.name, it.env, it.command) for it in self.companions]
        return [*companions, _document(image, ALIAS, self.env)]


NO_SERVICES = GitlabServices()


def gitlab_services(stack: Stack, *, listens: bool) -> GitlabServices:
    """Return the services that a check of a stack's own image needs. `listens` is False if the image has no port."""
    web = own_service(stack)
    needed = list(_needed(stack, web)) if web is not None else []
    everything = [*needed, *([web] if web is not None else [])]
    if not listens:
        return GitlabServices(obstacle="it has no port to ask: set `ports` if it listens on one")
    for service in everything:
        if obstacle := _obstacle(service, is_own=service is web):
            return GitlabServices(obstacle=obstacle)
    return GitlabServices(tuple(needed), web.env if web is not None else {})


def own_service(stack: Stack) -> Service | None:
    """Return the service that is the project's image with its own command; None if the settings have no such one."""
    own = ProjectSource(stack.root)
    return next((it for it in stack.services if it.source == own and not it.command and not it.is_job), None)


def _needed(stack: Stack, service: Service) -> Iterator[Service]:
    """Yield what a service needs, in the order of the stack, in which each is behind its own needs."""
    names: set[str] = set()
    left = list(service.needs)
    while left:
        name = left.pop()
        left += stack.service(name).needs if name not in names else ()
        names.add(name)
    yield from (it for it in stack.services if it.name in names)


def _obstacle(service: Service, *, is_own: bool) -> str:
    """Return why a service of a GitLab job cannot be this one; empty if nothing is in the way."""
    if service.secrets:
        return f"{service.name} reads files with secrets, which a service of a GitLab job cannot have"
    if service.is_job:
        return f"it needs the job {service.name} to be done before it starts, and GitLab starts all services at once"
    if not is_own and service.source != PulledImage(_reference(service)):
        return f"it needs {service.name}, which is no image of others"
    return ""


def _reference(service: Service) -> str:
    return service.source.reference if isinstance(service.source, PulledImage) else ""


def _document(image: str, alias: str, env: Mapping[str, str], command: tuple[str, ...] = ()) -> dict[str, Any]:
    variables = {"variables": {name: _value(value) for name, value in env.items()}} if env else {}
    return {"name": image, "alias": alias, **({"command": list(command)} if command else {}), **variables}


def _value(text: str) -> str:
    """Return a value of `env` in which the runner finds its variables: $$ is a dollar sign."""
    return "".join(literal.replace("$", "$$") + (f"${{{name}}}" if name else "") for literal, name in pieces(text))
