"""The subject of a pipeline: a project by its tag, or the applications of a workspace by theirs."""

from pathlib import Path
from typing import TYPE_CHECKING

from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.oci.reference import Reference
    from shipwheel.stack.pipelines import PipelineSubject

__all__ = ["pipeline_subject"]

_MAX_SHARDS = 4
"""Jobs that build a workspace: each has to set itself up."""


def pipeline_subject(path: Path) -> "PipelineSubject":
    """Return the subject of a pipeline for a project or a workspace. Raise UsageError if a tag names no registry, or two name several."""
    from shipwheel.project.applications import applications
    from shipwheel.project.workspace import read_workspace
    from shipwheel.stack.pipelines import PipelineSubject
    from shipwheel.user.files import UserFiles

    workspace = read_workspace(UserFiles(), path) if path.is_dir() else None
    if workspace is None or workspace.root != path.resolve() or not workspace.members:
        reference = _reference(path)
        return _of_project(path, PipelineSubject(str(reference.registry), reference.name))
    found = applications(path)
    registries = sorted({str(_reference(each).registry) for each in found})
    if len(registries) > 1:
        hint = "A pipeline logs in to one registry: give all tags the same."
        raise UsageError(f"{path}: its projects are in the registries {', '.join(registries)}", hint=hint)
    return PipelineSubject(registries[0], shards=min(len(found), _MAX_SHARDS))


def _of_project(path: Path, subject: "PipelineSubject") -> "PipelineSubject":
    """Return the subject with what the project's image needs to be started."""
    import msgspec

    from shipwheel.project.read import find_settings, read_project
    from shipwheel.stack.gitlab_services import gitlab_services, own_service
    from shipwheel.stack.read import read_stack

    launch = read_project(path, find_settings(path)).launch
    listens = any(port.endswith("/tcp") for port in (launch.ports if launch is not None else ()))
    stack = read_stack(path).with_profiles(())
    web = own_service(stack)
    return msgspec.structs.replace(
        subject,
        services=gitlab_services(stack, listens=listens),
        needs_stack=web is not None and bool(web.needs or web.variables),
        variables=tuple(stack.variables),
        listens=listens and web is not None and web.publishes_all,
    )


def _reference(path: Path) -> "Reference":
    from shipwheel.oci.reference import Reference
    from shipwheel.project.read import find_settings

    tag = find_settings(path).tag
    reference = Reference.parse(tag) if tag is not None else None
    if reference is None or reference.registry is None:
        hint = 'Set tag = "registry.example/team/app:1" in the settings: the pipeline pushes there.'
        raise UsageError(f"the tag of {path.resolve()} names no registry" if tag else f"{path.resolve()} has no tag", hint=hint)
    return reference
