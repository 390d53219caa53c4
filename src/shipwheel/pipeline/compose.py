"""The image configs, manifests and image index of a build. Pure."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from shipwheel import __version__
from shipwheel.container.venv import Paths
from shipwheel.errors import LockError
from shipwheel.files.segment import source_date_epoch
from shipwheel.locking.pylock import Lock
from shipwheel.oci.execution import ExecutionConfig, execution_config
from shipwheel.oci.image import Image, ImageIndex, make_image, make_index
from shipwheel.oci.model import History
from shipwheel.oci.processes import LABEL_HEALTH, processes_label
from shipwheel.pipeline.container import CERTIFICATES, ContainerOptions, container_config, container_user
from shipwheel.pipeline.generated import launcher_command
from shipwheel.pipeline.import_proof import imports_of
from shipwheel.pipeline.programs import programs_of
from shipwheel.pipeline.rebase_info import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME, ANNOTATION_REBASE_INFO, RebaseInfo
from shipwheel.pipeline.resolve import Resolution, Resolved
from shipwheel.pipeline.stages import BuiltPlatform
from shipwheel.project.project import Project
from shipwheel.settings.settings import expand_env

__all__ = ["ANNOTATION_PROOF", "compose", "execution_of"]

ANNOTATION_PROOF = "io.shipwheel.proof"
"""Annotation of a manifest: the key of everything that was proved about the image."""


def compose(resolution: Resolution, platforms: Sequence[BuiltPlatform]) -> ImageIndex:
    """Return the images of all platforms, in order, and their image index."""
    project, created = resolution.project, _creation_time(resolution.lock)
    annotations = _annotations(project)
    return make_index([_image(project, platform, annotations, created) for platform in platforms], annotations)


def execution_of(project: Project, resolved: Resolved) -> ExecutionConfig:
    """Return how containers of a platform's image run. Raise ImageError for values that no engine could take."""
    parent = resolved.base.parent.execution if resolved.base.parent is not None else None
    return execution_config(container_config(_container_options(project, resolved, {}), parent), f"the image of {project.name}")


def _creation_time(lock: Lock) -> int:
    """Return the time of the images, in seconds: SOURCE_DATE_EPOCH, else the start of the lock's day, which is the same for each build."""
    if os.environ.get("SOURCE_DATE_EPOCH") or not lock.as_of:
        return source_date_epoch()
    try:
        day = datetime.combine(date.fromisoformat(lock.as_of), time(), UTC)
    except ValueError as error:
        what = f"{lock.path}: [tool.shipwheel] as-of is {lock.as_of!r}, which is not a day"
        raise LockError(what, hint="Write it as YYYY-MM-DD, or make the lock again: shipwheel lock.") from error
    return max(0, int(day.timestamp()))


def _image(project: Project, platform: BuiltPlatform, annotations: dict[str, str], created: int) -> Image:
    resolved = platform.resolved
    parent = resolved.base.parent.execution if resolved.base.parent is not None else None
    annotations = {**_base_annotations(resolved), **annotations}
    options = _container_options(project, resolved, annotations)
    own = {ANNOTATION_PROOF: platform.proved}
    if (info := _rebase_info(project, platform, options)) is not None:
        own[ANNOTATION_REBASE_INFO] = info.annotation
    return make_image(
        platform.layers,
        container_config(options, parent),
        resolved.target.platform,
        created=created,
        annotations={**annotations, **own},
        base_history=_history(resolved),
    )


def _history(each: Resolved) -> Sequence[History]:
    """Return the base image's history, if it has a line for each of its layers; otherwise its lines would pass for ours."""
    if each.base.parent is None:
        return ()
    history = each.base.parent.config_file.history
    return history if sum(not line.empty_layer for line in history) == len(each.base.parent.layers) else ()


def _base_annotations(each: Resolved) -> dict[str, str]:
    """Return the base's name and digest (image-spec, annotations.md). A layout's path on this machine stays out of the image."""
    image = each.base.image
    if image is None:
        return {}
    name = {} if image.name.startswith("oci:") else {ANNOTATION_BASE_NAME: image.name}
    return {**name, ANNOTATION_BASE_DIGEST: image.digest}


def _rebase_info(project: Project, platform: BuiltPlatform, options: ContainerOptions) -> RebaseInfo | None:
    """Return what a rebase has to know; None for a composed base."""
    each = platform.resolved
    if each.base.image is None or each.base.parent is None:
        return None
    return RebaseInfo(
        layers=len(each.base.parent.layers),
        manifest=each.base.image.manifest,
        facts=each.base.image.facts,
        needs=platform.needs,
        user=project.settings.user or "",
        stop_signal=options.stop_signal,
        env=tuple(sorted(options.env)),
        ports=tuple(sorted(options.ports)),
        volumes=options.volumes,
        labels=tuple(sorted(options.labels)),
        packages=tuple(package.name for package in each.base.packages),
        absent=each.base.missing_libraries,
        programs=programs_of(project, each.base.init_path),
        imports=imports_of(project),
        init=each.base.init_path,
    )


def _container_options(project: Project, each: Resolved, annotations: dict[str, str]) -> ContainerOptions:
    settings, launch = project.settings, project.launch
    assert launch is not None  # noqa: S101 - `resolve` saw to it
    minor = each.target.minor
    return ContainerOptions(
        command=launch.command,
        program=launch.is_program,
        arguments=launch.arguments,
        ports=launch.ports,
        volumes=project.volumes,
        env=expand_env({**launch.env, **settings.env}, f"/{Paths(minor).site_packages}"),
        user=container_user(settings.user, each.base),
        workdir=project.start_directory,
        labels={**annotations, **processes_label(dict(launch.processes)), **_health_label(launch.health), **settings.labels},
        stop_signal=settings.stop_signal or "",
        launcher=launcher_command(each.base.interpreter) if project.needs_launcher else (),
        init=each.base.init_path,
        certificates=each.base.image.facts.certificates if each.base.image is not None else CERTIFICATES,
    )


def _health_label(path: str) -> dict[str, str]:
    return {LABEL_HEALTH: path} if path else {}


def _annotations(project: Project) -> dict[str, str]:
    """Return the pre-defined annotations (image-spec, annotations.md), then the user's."""
    known = {
        "org.opencontainers.image.title": project.name,
        "org.opencontainers.image.version": project.version or "",
        "io.shipwheel.version": __version__,
    }
    return {key: value for key, value in {**known, **project.settings.annotations}.items() if value}
