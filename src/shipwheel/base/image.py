"""Other images as bases: pinned in the lock, and inspected once."""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from shipwheel.base.image_facts import image_facts
from shipwheel.base.image_source import fetch_layers, image_for_platform, open_images
from shipwheel.base.model import Base, ImageFacts, LockedImage, read_locked_base
from shipwheel.debian.seed import describe_provided, resolve_packages, virtual_packages
from shipwheel.debian.session import ArchiveSession
from shipwheel.digest import Digest
from shipwheel.errors import ImageError, ProjectError, UsageError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.locking.pylock import Lock, read_lock
from shipwheel.oci.image import MAX_LAYERS, Image
from shipwheel.oci.read.file_tree import read_file_tree
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.project.read import with_python
from shipwheel.request import Request
from shipwheel.store.store import Store
from shipwheel.suites import SUITES, Suite
from shipwheel.versions import minor_version

__all__ = ["ImageBases", "project_on_image"]


class ImageBases:
    """Bases that are the images of one name; see `Bases`.

    `name` refers to a registry or a layout ("oci:DIR", "oci:DIR:NAME", relative to `root`). `python` is the version that the user asks for,
    if any. An image that the lock pins is used unless it is to be upgraded.
    """

    def __init__(self, name: str, archive: ArchiveSession, store: Store, reporter: Reporter, *, root: Path, python: str = "") -> None:
        self.name = name
        self.archive = archive
        self._store = store
        self._reporter = reporter
        self._root = root
        self._python = python
        self._bases: dict[Platform, Base] = {}

    def resolve(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """See Bases. Images are opened once, also if `python` is called before there is a lock."""
        missing = [platform for platform in platforms if platform not in self._bases]
        if missing:
            self._bases |= self._open(missing, lock, upgrade)
        bases = []
        for platform in platforms:
            base = self._bases[platform]
            if lock is not None and not upgrade:
                base = _with_locked_packages(base, lock, platform, extra)
            bases.append(base if base.locked else self._with_named_packages(base, platform, extra))
        return bases

    def python(self, platforms: Sequence[Platform], lock: Lock | None, *, upgrade: bool) -> str:
        """Return the minor version of the Python in the images. Raise ImageError if the platforms have different ones."""
        facts = [base.image.facts for base in self.resolve(platforms, lock, (), upgrade=upgrade) if base.image is not None]
        versions = sorted({minor_version(each.python) for each in facts})
        if len(versions) > 1:
            raise ImageError(
                f"{self.name} has Python {' and '.join(versions)}, depending on the platform",
                hint="Select one with --python, or build for one platform.",
            )
        return versions[0]

    def _with_named_packages(self, base: Base, platform: Platform, extra: Sequence[str]) -> Base:
        """Add the packages that the user names. Raise UsageError if the image is not of a known suite."""
        if not extra:
            return base
        if base.suite is None:
            raise UsageError(
                f"the base {self.name} is not of a known Debian suite, so {', '.join(extra)} cannot be added to it",
                hint="Install the packages in the base, use a Debian base, or leave out `packages`.",
            )
        index = self.archive.package_index(base.suite, platform)
        packages = resolve_packages(index, extra)
        if provided := virtual_packages(index, extra):
            self._reporter(StageFinished("base", f"{self.name}{describe_provided(provided)}"))
        return replace(base, packages=packages)

    def _open(self, platforms: Sequence[Platform], lock: Lock | None, upgrade: bool) -> dict[Platform, Base]:
        pinned = {} if upgrade or lock is None else self._pinned_images(lock)
        # All platforms use one digest: a platform that is new to the lock gets the image that belongs to those of the others.
        order = [platform.architecture for platform in platforms if platform.architecture in pinned] or list(pinned)
        digest = next((pinned[architecture].digest for architecture in order), None)
        self._reporter(StageStarted("base"))
        index, digest = open_images(self.name, digest, platforms, self._store, self._reporter, root=self._root)
        images = {platform: image_for_platform(index, platform, self.name) for platform in platforms}
        locked = {
            platform: known
            for platform, image in images.items()
            if (known := pinned.get(platform.architecture)) is not None and known.manifest == image.digest
        }
        unknown = [image for platform, image in images.items() if platform not in locked]
        for image in unknown:
            _check_layer_count(image, self.name)
        fetch_layers(unknown, self._store, self._reporter)
        bases: dict[Platform, Base] = {}
        for platform, image in images.items():
            known = locked.get(platform) or self._inspect(image, digest)
            bases[platform] = Base(_suite(known.facts), (), False, image=known, parent=image)
        versions = sorted({base.image.facts.python for base in bases.values() if base.image is not None})
        self._reporter(StageFinished("base", f"{self.name}, Python {', '.join(versions)}"))
        return bases

    def _inspect(self, image: Image, digest: Digest) -> LockedImage:
        facts = image_facts(image, read_file_tree(image, self._store, self.name), self.name, self._python)
        return LockedImage(self.name, digest, image.digest, facts)

    def _pinned_images(self, lock: Lock) -> dict[str, LockedImage]:
        """Return architecture -> the image that the lock pins, if it has this name and the Python that the user asks for."""
        tables = {architecture: read_locked_base(lock, Platform("linux", architecture)) for architecture in lock.base}
        return {
            architecture: table.image
            for architecture, table in tables.items()
            if table is not None
            and table.image is not None
            and table.image.name == self.name
            and (not self._python or minor_version(table.image.facts.python) == minor_version(self._python))
        }


def _check_layer_count(image: Image, name: str) -> None:
    if len(image.layers) >= MAX_LAYERS:
        raise ImageError(
            f"the base {name} has {len(image.layers)} layers, and engines accept {MAX_LAYERS}, including the app's",
            hint="Use another base, or squash this one.",
        )


def _with_locked_packages(base: Base, lock: Lock, platform: Platform, extra: Sequence[str]) -> Base:
    """Return the base with the packages that the lock adds to it, if the lock is for this very image and these extra packages."""
    locked = read_locked_base(lock, platform)
    if locked is None or locked.image != base.image or locked.extra != tuple(extra):
        return base
    return replace(base, packages=locked.packages, missing_libraries=locked.missing_libraries, locked=True)


def _suite(facts: ImageFacts) -> Suite | None:
    return next((suite for suite in SUITES if suite.codename == facts.codename), None)


def project_on_image(project: Project, request: Request) -> tuple[Project, ImageBases]:
    """Return the project for the Python of its base image, and the bases. Raise ProjectError if the project does not support it."""
    settings = project.settings
    assert settings.base is not None  # noqa: S101 - the caller checked
    archive = ArchiveSession(settings.debian_mirror, request.store, request.reporter, settings.as_of)
    bases = ImageBases(settings.base, archive, request.store, request.reporter, root=project.root, python=settings.python or "")
    python = bases.python(request.platforms, read_lock(project.inputs.lock_path), upgrade=request.upgrade_base)
    try:
        adapted = with_python(project, python)
    except ProjectError as error:
        message = f"the base {settings.base} has Python {python}, which the project does not support: {error.message}"
        raise ProjectError(message, hint=error.hint) from None
    return replace(adapted, python_reason=f"the base {settings.base} has it"), bases
