"""Image configs, manifests and the image index of a build. Pure."""

from collections.abc import Sequence

from shipwheel import __version__
from shipwheel.base.base_requirements import Needs
from shipwheel.files.segment import source_date_epoch
from shipwheel.oci.image import Image, ImageIndex, LayerBlob, make_image, make_index
from shipwheel.oci.model import History
from shipwheel.pipeline.container import CERTIFICATES, Run, container_config, container_user
from shipwheel.pipeline.generated import launcher_command
from shipwheel.pipeline.programs import programs_of
from shipwheel.pipeline.rebase_info import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME, ANNOTATION_UPON, Upon
from shipwheel.pipeline.resolve import Resolution, Resolved
from shipwheel.project.detect import Project
from shipwheel.settings import expand_env
from shipwheel.venv import Paths

__all__ = ["ANNOTATION_PROOF", "compose"]

ANNOTATION_PROOF = "io.shipwheel.proof"
"""Of an image: the key of what was proved of it."""


def compose(resolution: Resolution, layers: Sequence[Sequence[LayerBlob]], proofs: Sequence[str], needs: Sequence[Needs]) -> ImageIndex:
    """The images of all platforms, whose layers, keys of proofs and needs come in the order of the platforms."""
    annotations = _annotations(resolution.project)
    images = [
        _image(resolution.project, each, some, annotations, {ANNOTATION_PROOF: proof}, wanted)
        for each, some, proof, wanted in zip(resolution.platforms, layers, proofs, needs, strict=True)
    ]
    return make_index(images, annotations)


def _image(
    project: Project, each: Resolved, layers: Sequence[LayerBlob], annotations: dict[str, str], own: dict[str, str], needs: Needs
) -> Image:
    below = each.base.below.config_file if each.base.below is not None else None
    annotations = {**_base_annotations(each), **annotations}
    run = _run(project, each, annotations)
    config = container_config(run, below.config if below is not None else None)
    if (upon := _upon(project, each, run, needs)) is not None:
        own = {**own, ANNOTATION_UPON: upon.annotation}
    return make_image(
        layers,
        config,
        each.target.platform,
        created=source_date_epoch(),
        annotations={**annotations, **own},
        below=_history(each),
    )


def _history(each: Resolved) -> Sequence[History]:
    """The base's, if it is about the base's layers: one that is not would be taken for ours."""
    if each.base.below is None:
        return ()
    history = each.base.below.config_file.history
    return history if sum(not line.empty_layer for line in history) == len(each.base.below.layers) else ()


def _base_annotations(each: Resolved) -> dict[str, str]:
    """annotations.md: the base's name and digest. A layout is a path of this machine, which is nobody else's business."""
    image = each.base.image
    if image is None:
        return {}
    name = {} if image.name.startswith("oci:") else {ANNOTATION_BASE_NAME: image.name}
    return {**name, ANNOTATION_BASE_DIGEST: image.digest}


def _upon(project: Project, each: Resolved, run: Run, needs: Needs) -> Upon | None:
    """What a rebase has to know; nothing for a composed base."""
    if each.base.image is None or each.base.below is None:
        return None
    return Upon(
        layers=len(each.base.below.layers),
        manifest=each.base.image.manifest,
        facts=each.base.image.facts,
        needs=needs,
        user=project.settings.user or "",
        stop_signal=run.stop_signal,
        env=tuple(sorted(run.env)),
        ports=tuple(sorted(run.ports)),
        volumes=run.volumes,
        labels=tuple(sorted(run.labels)),
        packages=tuple(package.name for package in each.base.packages),
        absent=each.base.absent,
        programs=programs_of(project),
    )


def _run(project: Project, each: Resolved, annotations: dict[str, str]) -> Run:
    settings, launch = project.settings, project.launch
    assert launch is not None  # noqa: S101 - `resolve` saw to it
    minor = each.target.minor
    return Run(
        command=launch.command,
        program=launch.is_program,
        arguments=launch.arguments,
        ports=launch.ports,
        volumes=project.volumes,
        env=expand_env({**launch.env, **settings.env}, f"/{Paths(minor).site_packages}"),
        user=container_user(settings.user, each.base),
        workdir=settings.workdir,
        labels={**annotations, **settings.labels},
        stop_signal=settings.stop_signal or "",
        launcher=launcher_command(each.base.interpreter) if project.before_start else (),
        certificates=each.base.image.facts.certificates if each.base.image is not None else CERTIFICATES,
    )


def _annotations(project: Project) -> dict[str, str]:
    """image-spec, annotations.md: the pre-defined keys that are known here, then the user's."""
    known = {
        "org.opencontainers.image.title": project.name,
        "org.opencontainers.image.version": project.version or "",
        "io.shipwheel.version": __version__,
    }
    return {key: value for key, value in {**known, **project.settings.annotations}.items() if value}
