"""A user's project as one frozen value."""

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from shipwheel.container.path import ContainerPath, as_container_path
from shipwheel.project.entrypoint.find import Launch
from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.project.lock_inputs import LockInputs
from shipwheel.project.old_names import OldName
from shipwheel.settings.build import AssetSettings, StepSettings
from shipwheel.settings.settings import Settings
from shipwheel.user.files import UserFiles

__all__ = ["Project"]


class Project(msgspec.Struct, frozen=True):
    """A project, as its directory or its single-file script describes it."""

    root: Path
    name: str
    """Normalized (PEP 503)."""
    version: str | None
    kind: Literal["package", "app"]
    """A package is built into a wheel and installed; the directory of an app is copied to /app."""
    requires_python: str | None
    """The version specifier (PEP 440) that `python` satisfies."""
    python: str
    """The chosen Python: "3.11", or with the micro version if the user wrote one. No base may have it yet."""
    python_reason: str
    settings: Settings
    inputs: LockInputs
    """The inputs of the lock."""
    old_names: tuple[OldName, ...] = ()
    """Names of old versions of packages and of Python that the code uses, oldest first."""
    still_wsgi: frozenset[str] = frozenset()
    """Frameworks that the project gets in a version whose applications are WSGI, other than today's."""
    other_pythons: tuple[str, ...] = ()
    """The versions to try if the requirements do not resolve for `python`, the best first; empty if the user names one."""
    python_is_named: bool = False
    """True if the user or the project names `python`, so that no other is tried."""
    wanted_python: str = ""
    """The version that a file names where `python` is the closest that Debian has; empty otherwise."""
    unsuitable_python: str = ""
    """The Python in whose place `python` was taken since it did not work; empty if none was."""
    dependencies: frozenset[str] = frozenset()
    """Normalized names of the direct dependencies, with those of the chosen extras and groups."""
    oldest_python: int = 0
    """The minor number of the oldest Python 3 that runs the code, as far as its syntax and imports tell; 0 if they do not."""
    unlisted: tuple[str, ...] = ()
    """The requirements that no list of its own states. Those of the setting `dependencies` would take their place."""
    dynamic: bool = False
    """True if only building the project tells all its dependencies."""
    scripts: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Console script -> module:function."""
    packaged: frozenset[str] = frozenset()
    """Top-level import names in the project's wheel."""
    system_packages: tuple[str, ...] = ()
    """Debian packages that the project's Dockerfile installs for the app, and a shell if its code starts one."""
    header_packages: tuple[str, ...] = ()
    """Debian packages that the project's Dockerfile installs to compile with: libpq-dev."""
    only: tuple[str, ...] = ()
    """The files that are the whole app, for `list_app`; empty for the whole directory."""
    launch: Launch | None = None
    """How the image starts; None while the dependencies are not known, or if the reader was told to leave it out."""
    notes: tuple[str, ...] = ()
    """Choices that the user should know of, a sentence each."""
    files: UserFiles = msgspec.field(default_factory=UserFiles)
    """The files that were read, kept to read the same project for another Python."""
    scanner: Scanner | None = None
    """The scan of the source, kept to choose a command by other dependencies; None before the first choice."""

    @property
    def wished_packages(self) -> frozenset[str]:
        """Names of the Debian packages that only a Dockerfile names, and that another suite may not have; none for a base image."""
        return frozenset(self.system_packages) - {*self.settings.packages} if self.settings.base is None else frozenset()

    @property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages to add: those of the settings, then those that a Dockerfile names."""
        wished = self.wished_packages
        return (*self.settings.packages, *(name for name in self.system_packages if name in wished))

    @property
    def start_directory(self) -> str:
        """The directory of the image, absolute, that the command and the steps before it start in."""
        directory = self.launch.directory if self.launch is not None else ""
        return posixpath.normpath(posixpath.join(self.settings.workdir, directory))

    @property
    def volumes(self) -> tuple[ContainerPath, ...]:
        """The volumes in the settings, or those that the command needs; in any case those of the setting `state`."""
        found = self.launch.volumes if self.launch else ()
        own = self.settings.volumes
        texts = (*own, *found) if self.settings.state or not own else own
        # A path that the source names may be one that no engine can mount.
        return tuple(dict.fromkeys(path for text in texts if (path := as_container_path(text)) is not None))

    @property
    def copies(self) -> dict[str, str]:
        """Absolute paths of the image -> paths in the project: what a Dockerfile copies, then what the setting `copy` does."""
        found = dict(self.launch.copies) if self.launch is not None else {}
        return {target: source for target, source in {**found, **self.settings.copy}.items() if source}

    @property
    def added(self) -> tuple[str, ...]:
        """The requirements beyond the project's own: those in the settings, and those of the command."""
        return (*self.settings.dependencies, *(self.launch.extra_requirements if self.launch else ()))

    @property
    def before_start(self) -> tuple[tuple[str, ...], ...]:
        """The steps that the command needs or a deployment file declares, then those in the settings, which replace their like."""
        own = self.settings.before_start
        replaced = set(map(_without_options, own))
        found = self.launch.before_start if self.launch is not None else ()
        return (*(step for step in found if _without_options(step) not in replaced), *own)

    def has_step(self, step: tuple[str, ...]) -> bool:
        """Return whether a step runs before the start, maybe with other options (`--noinput`)."""
        return _without_options(step) in map(_without_options, self.before_start)

    @property
    def steps(self) -> tuple[StepSettings, ...]:
        """The programs that run in the finished image while it is built: those in the settings, or those that were found."""
        if self.settings.steps is not None:
            return self.settings.steps
        return self.launch.steps if self.launch is not None else ()

    @property
    def assets(self) -> tuple[AssetSettings, ...]:
        """The front ends to build."""
        return self.settings.assets

    @property
    def has_only_optional_steps(self) -> bool:
        """True if all steps were found, and no Dockerfile runs one."""
        return self.settings.steps is None and self.launch is not None and self.launch.steps == self.launch.optional_steps

    @property
    def workers_variable(self) -> str:
        """The environment variable that the launcher sets to the number of the container's CPUs; empty for none."""
        return self.launch.workers_variable if self.launch is not None else ""

    @property
    def needs_launcher(self) -> bool:
        """True if something happens in a container before the command starts."""
        return bool(self.before_start or self.workers_variable)

    @property
    def every_start(self) -> tuple[tuple[str, ...], ...]:
        """The steps of `before_start` that run at every start; steps in the settings never do."""
        own = set(self.settings.before_start)
        steps = set(self.before_start) - own
        return tuple(step for step in self.launch.every_start if step in steps) if self.launch is not None else ()


def _without_options(step: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in step if not word.startswith("--"))
