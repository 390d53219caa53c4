"""Bring what a command names into an engine: a project (built first), an image layout, an archive, or an image that the engine pulls."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shipwheel.cli.options import request_from
from shipwheel.errors import UsageError
from shipwheel.events import Reporter

if TYPE_CHECKING:
    from shipwheel.engine.interface import Engine
    from shipwheel.locking.pylock import Lock
    from shipwheel.oci.execution import ExecutionConfig
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.build import Built
    from shipwheel.platform import Platform
    from shipwheel.request import Request
    from shipwheel.trial.source_facts import SourceFacts

__all__ = ["LoadedImage", "Naming", "build_and_load", "check_runnable_by", "load_subject"]


class LoadedImage(msgspec.Struct, frozen=True):
    """An image that the engine has: the engine's name for it, its config and platform, and what its volumes are named after."""

    name: str
    config: "ExecutionConfig"
    platform: "Platform"
    project: str
    source: "SourceFacts | None" = None
    """The facts of the source, if a project was built."""
    lock: "Lock | None" = None
    """The project's lock, if a project was built."""


Naming = Callable[[str], "Reference"]
"""Returns the name to load an image under, for the name of its project."""


def load_subject(
    subject: str, engine: "Engine", platform: str | None, build_flags: dict[str, Any], reporter: Reporter, naming: Naming | None = None
) -> LoadedImage:
    """Build or pull what `subject` names, as needed, so that the engine has it, by default under its own name."""
    from shipwheel.oci.layout import LAYOUT
    from shipwheel.oci.reference import Reference
    from shipwheel.platform import Platform

    path = Path(subject)
    requested = Platform.parse(platform) if platform else None
    if (path.is_dir() and not (path / LAYOUT).is_file()) or (path.is_file() and path.suffix == ".py"):
        return _build_project(path, engine, requested, build_flags, reporter, naming)
    if any(build_flags.values()):
        raise UsageError(f"{subject} is not a project, so it is not built", hint="Leave out the build options.")
    if path.exists():
        return _load_saved(path, engine, requested, reporter, naming)
    if subject.startswith((".", "/", "~")) or "\\" in subject:
        raise UsageError(f"{subject} does not exist", hint="Name a project, an image layout, an archive, or an image.")
    reference = Reference.parse(subject)
    if not engine.has(subject):
        engine.pull(subject, requested or engine.host())
    config, found = engine.inspect(subject)
    if requested is not None and not requested.matches(found):
        hint = f"{engine.name} pull --platform {requested} {subject}"
        raise UsageError(f"{engine.name} has {subject} for {found}, not for {requested}", hint=hint)
    return LoadedImage(subject, config, found, reference.repository.rpartition("/")[2])


def _build_project(
    path: Path,
    engine: "Engine",
    requested: "Platform | None",
    build_flags: dict[str, Any],
    reporter: Reporter,
    naming: Naming | None,
) -> LoadedImage:
    from shipwheel.cli.source_facts import source_facts

    platform = requested or engine.host()
    check_runnable_by(engine, platform)
    request = request_from(path, {**build_flags, "platforms": (str(platform),)}, reporter)
    built, image = build_and_load(request, engine, naming)
    first, project = built.index.images[0], built.resolution.project
    return LoadedImage(image, first.execution, first.platform, project.name, source_facts(built), built.resolution.lock)


def build_and_load(request: "Request", engine: "Engine", naming: Naming | None = None) -> "tuple[Built, str]":
    """Build a project and load it into the engine. Return what was built, and the engine's name for it."""
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.build import build, retry_damaged

    def work() -> "tuple[Built, str]":
        built = build(request)
        project = built.resolution.project
        name = naming(project.name) if naming is not None else Reference.parse(project.settings.tag or project.name)
        return built, engine.load(built.index, request.store, name, request.reporter)

    return retry_damaged(request, work)


def _load_saved(path: Path, engine: "Engine", requested: "Platform | None", reporter: Reporter, naming: Naming | None) -> LoadedImage:
    """Load the image of a layout or archive for the requested platform, else for the engine's own."""
    from shipwheel.engine.run_options import slug
    from shipwheel.oci.archive import read_archive
    from shipwheel.oci.image import make_index
    from shipwheel.oci.layout import read_layout
    from shipwheel.oci.reference import Reference
    from shipwheel.store.store import Store, default_root

    reader = read_layout(path) if path.is_dir() else read_archive(path)
    images = reader.images().images
    platform = requested or engine.host()
    image = next((image for image in images if platform.matches(image.platform)), None)
    if image is None:
        platforms = ", ".join(str(image.platform) for image in images)
        raise UsageError(f"{path} has no image for {platform}", hint=f"It has {platforms}: choose one with --platform.")
    check_runnable_by(engine, image.platform)
    name = Reference.parse(reader.names[0] if reader.names and ":" in reader.names[0] else slug(path.absolute().stem))
    project = name.repository.rpartition("/")[2]
    loaded = engine.load(make_index([image]), Store(default_root()), naming(project) if naming is not None else name, reporter)
    return LoadedImage(loaded, image.execution, image.platform, project)


def check_runnable_by(engine: "Engine", platform: "Platform") -> None:
    """Raise EngineError before anything is built or loaded if the engine cannot run the platform."""
    from shipwheel.engine.emulation import check_runnable

    check_runnable(platform, engine.platforms(), engine.emulation_hint)
