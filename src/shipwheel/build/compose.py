"""Image configs, manifests and the image index of a build. Pure."""

from collections.abc import Sequence

from shipwheel import __version__
from shipwheel.build.container import CERTIFICATES, Run, container_config, container_user
from shipwheel.build.generated import launcher_command
from shipwheel.build.resolve import Resolution, Resolved
from shipwheel.config import expand_env
from shipwheel.files.segment import source_date_epoch
from shipwheel.oci.image import Image, ImageIndex, LayerBlob, make_image, make_index
from shipwheel.python.project import Project
from shipwheel.python.venv import Paths

__all__ = ["ANNOTATION_PROOF", "compose"]

ANNOTATION_PROOF = "io.shipwheel.proof"
"""Of an image: the key of what was proved of it."""


def compose(resolution: Resolution, layers: Sequence[Sequence[LayerBlob]], proofs: Sequence[str]) -> ImageIndex:
    """The images of all platforms, whose layers and keys of proofs come in the order of the platforms."""
    annotations = _annotations(resolution.project)
    images = [
        _image(resolution.project, each, some, annotations, proof)
        for each, some, proof in zip(resolution.platforms, layers, proofs, strict=True)
    ]
    return make_index(images, annotations)


def _image(project: Project, each: Resolved, layers: Sequence[LayerBlob], annotations: dict[str, str], proof: str) -> Image:
    below = each.base.below.config_file if each.base.below is not None else None
    annotations = {**_base_annotations(each), **annotations}
    config = container_config(_run(project, each, annotations), below.config if below is not None else None)
    return make_image(
        layers,
        config,
        each.target.platform,
        created=source_date_epoch(),
        annotations={**annotations, ANNOTATION_PROOF: proof},
        below=below.history if below else (),
    )


def _base_annotations(each: Resolved) -> dict[str, str]:
    """annotations.md: the base's name and digest. A layout is a path of this machine, which is nobody else's business."""
    image = each.base.image
    if image is None:
        return {}
    name = {} if image.name.startswith("oci:") else {"org.opencontainers.image.base.name": image.name}
    return {**name, "org.opencontainers.image.base.digest": image.digest}


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
