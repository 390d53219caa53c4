"""Image configs, manifests and the image index of a build. Pure."""

from collections.abc import Sequence

from shipwheel import __version__
from shipwheel.build.container import Run, container_config
from shipwheel.build.generated import launcher_command
from shipwheel.build.resolve import Resolution, Resolved
from shipwheel.config import expand_env
from shipwheel.files.segment import source_date_epoch
from shipwheel.oci.image import Image, ImageIndex, make_image, make_index
from shipwheel.oci.layer import Layer
from shipwheel.python.project import Project
from shipwheel.python.venv import Paths

__all__ = ["compose"]


def compose(resolution: Resolution, layers: Sequence[Sequence[Layer]]) -> ImageIndex:
    """The images of all platforms, whose layers come in the order of the platforms."""
    annotations = _annotations(resolution.project)
    images = [_image(resolution.project, each, some, annotations) for each, some in zip(resolution.platforms, layers, strict=True)]
    return make_index(images, annotations)


def _image(project: Project, each: Resolved, layers: Sequence[Layer], annotations: dict[str, str]) -> Image:
    config = container_config(_run(project, each, annotations))
    return make_image(layers, config, each.target.platform, created=source_date_epoch(), annotations=annotations)


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
        user=settings.user,
        workdir=settings.workdir,
        labels={**annotations, **settings.labels},
        stop_signal=settings.stop_signal or "",
        launcher=launcher_command(f"/usr/bin/python{minor}") if project.before_start else (),
    )


def _annotations(project: Project) -> dict[str, str]:
    """image-spec, annotations.md: the pre-defined keys that are known here, then the user's."""
    known = {
        "org.opencontainers.image.title": project.name,
        "org.opencontainers.image.version": project.version or "",
        "io.shipwheel.version": __version__,
    }
    return {key: value for key, value in {**known, **project.settings.annotations}.items() if value}
