"""Every error that a user can meet, in one tree.

    ShipwheelError                 exit code 1
    ├── UsageError                 2   a flag or a setting is wrong
    ├── ProjectError               3   the directory is not a project that can be built
    │   ├── NoCommand              3   nothing says how it starts
    │   └── NoRequirements         3   it has code, and nothing says which packages that needs
    ├── LockError                  4   no set of Python packages satisfies the project, or one has no wheel for a platform
    ├── FetchError                 5   a server could not be reached, or refused a request
    │   ├── IntegrityError         5   a server sent other bytes than expected
    │   └── RemovedFiles           5   the index no longer has files of the lock
    ├── ArchiveError               6   a wheel, .deb, sdist or image archive is malformed or hostile
    ├── SignatureError             6   a signature is missing or wrong
    ├── BuildError                 7   a step of the build failed
    │   ├── ProjectWheelError      7   the project's own wheel cannot be built
    │   │   └── IncompleteWheel    7   it lacks data files of its packages, and the directory would do instead
    │   ├── UnbuildableSource      7   a package's source cannot be built, at least for the chosen Python
    │   ├── NewerAtRunTime         7   a wheel was compiled for older packages than the lock has
    │   ├── OptionalStepError      7   a step that no Dockerfile runs failed in the build
    │   └── FailedStep             7   a step failed in the image
    │       └── StepLacksModule    7   it imports a module that the image does not have
    ├── ProofError                 8   the image would not work on its platform
    │   ├── CoveredFiles           8   files that are copied would replace others of the image
    │   └── MissingImports         8   its program imports modules that it does not have
    ├── ImageError                 9   an image, layout or archive violates the specification
    ├── StoreError                 10  the local store cannot be used
    │   └── DamagedBlob            10  a blob in the store is damaged
    ├── EngineError                11  a container engine cannot be used, or failed
    │   └── NotInstalled           11  its program is not on this machine
    └── TrialError                 12  an image was tried, and does not do what it is for

Each has a message, a hint with the next step, and an exit code. Problems of one kind are collected and raised together.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    from shipwheel.digest import Digest

__all__ = [
    "ArchiveError",
    "BuildError",
    "CoveredFiles",
    "DamagedBlob",
    "EngineError",
    "FailedStep",
    "FetchError",
    "ImageError",
    "IncompleteWheel",
    "IntegrityError",
    "LockError",
    "MissingImports",
    "NewerAtRunTime",
    "NoCommand",
    "NoRequirements",
    "NotInstalled",
    "OptionalStepError",
    "ProjectError",
    "ProjectWheelError",
    "ProofError",
    "RemovedFiles",
    "ShipwheelError",
    "SignatureError",
    "StepLacksModule",
    "StoreError",
    "TrialError",
    "UnbuildableSource",
    "UsageError",
]


class ShipwheelError(Exception):
    """The base class. The command line prints its message and hint without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def summary(self) -> str:
        """The message in one line, without the places or the output that follow."""
        return self.message.partition("\n")[0].removesuffix(":")


class UsageError(ShipwheelError):
    """A flag or a setting is wrong."""

    exit_code = 2


class ProjectError(ShipwheelError):
    """The directory is not a project that can be built."""

    exit_code = 3


class NoCommand(ProjectError):
    """A project has no command to start, as a library has none."""


class NoRequirements(ProjectError):
    """A directory has Python files, and nothing says which packages they need.

    `imports` are pairs of a module that is neither theirs nor Python's, and the place that imports it.
    """

    def __init__(self, message: str, imports: tuple[tuple[str, str], ...], *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.imports = imports


class LockError(ShipwheelError):
    """No set of Python packages satisfies the project, or a platform has no file of one of them.

    `hint_without_python` is the hint to show once other Python versions have been tried without success; None means that another Python
    version would not help. `summary` says more in one line than the first line of the message. `replacements` are the entries of the
    setting `replace` with which the project could be locked, as far as the index was asked: package -> a requirement that has files.
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        hint_without_python: str | None = None,
        summary: str = "",
        replacements: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.hint_without_python = hint_without_python
        self.replacements: Mapping[str, str] = dict(replacements or {})
        self._summary = summary

    @property
    def summary(self) -> str:
        return self._summary or super().summary

    @property
    def another_python_may_help(self) -> bool:
        """True if choosing another Python version is a next step."""
        return self.hint_without_python is not None


class FetchError(ShipwheelError):
    """A server could not be reached, or refused a request.

    `status` is the HTTP status of the response, None if there was none. `not_found` is true if the server or directory does not have
    the file.
    """

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "", status: int | None = None, not_found: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.not_found = not_found or status in (404, 410)


class IntegrityError(FetchError):
    """A server sent other bytes than expected: their size or their hash is wrong."""


class RemovedFiles(FetchError):
    """The package index no longer has files that the lock names: such a version was deleted.

    `replacements` are the entries of the setting `replace` that take an older version: package -> a requirement.
    """

    def __init__(self, message: str, replacements: Mapping[str, str], *, hint: str) -> None:
        super().__init__(message, hint=hint, not_found=True)
        self.replacements = dict(replacements)


class ArchiveError(ShipwheelError):
    """A wheel, Debian package, sdist or image archive is malformed or hostile."""

    exit_code = 6


class SignatureError(ShipwheelError):
    """A signature is missing or wrong, or its key is not trusted."""

    exit_code = 6


class BuildError(ShipwheelError):
    """A step of the build failed."""

    exit_code = 7


class ProjectWheelError(BuildError):
    """The project's own wheel cannot be built."""


class IncompleteWheel(ProjectWheelError):
    """The project's own wheel lacks data files that its packages have, and the same command can start from its directory."""


class UnbuildableSource(BuildError):
    """The source of a package cannot be built, which may be so for the chosen Python alone.

    `replacements` are the entries of the setting `replace` that would do without it: package -> a requirement that has files. `published`
    is the day of its version, None if that is not known.
    """

    def __init__(
        self, message: str, *, hint: str = "", replacements: Mapping[str, str] | None = None, published: "date | None" = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.replacements = dict(replacements or {})
        self.published = published


class NewerAtRunTime(BuildError):
    """A wheel that was compiled does not load with packages of the lock, but with older ones, which satisfy `bounds`."""

    def __init__(self, message: str, bounds: tuple[str, ...], *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.bounds = bounds


class OptionalStepError(BuildError):
    """A step that no Dockerfile runs failed in the build: a container's start may have variables and a network for it."""


class FailedStep(BuildError):
    """A step failed in the image. `others` are the tables of the other steps, as the setting `steps` has them."""

    def __init__(self, message: str, *, hint: str = "", others: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.others = others


class StepLacksModule(FailedStep):
    """A step that runs in the image imports `modules`, top-level names, that the image does not have.

    `unlisted` are the requirements that the project has only as long as the setting `dependencies` names none.
    """

    def __init__(
        self,
        message: str,
        modules: tuple[str, ...],
        *,
        hint: str,
        unlisted: tuple[str, ...] = (),
        others: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, others=others)
        self.modules = modules
        self.unlisted = unlisted


class ProofError(ShipwheelError):
    """The image would not work on its platform."""

    exit_code = 8


class MissingImports(ProofError):
    """The program imports `modules`, top-level names, that no package in the image has.

    Those that the project itself has are not among them: `settings` are (key, value) of what brings these. `unlisted` are the requirements
    that the project has only as long as the setting `dependencies` names none.
    """

    def __init__(
        self,
        message: str,
        modules: tuple[str, ...],
        settings: tuple[tuple[str, Any], ...] = (),
        *,
        hint: str,
        unlisted: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.modules = modules
        self.settings = settings
        self.unlisted = unlisted


class CoveredFiles(ProofError):
    """Files that are copied to `targets` would replace others of the image."""

    def __init__(self, message: str, targets: tuple[str, ...], *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.targets = targets


class ImageError(ShipwheelError):
    """An image, layout or archive violates the specification."""

    exit_code = 9


class StoreError(ShipwheelError):
    """The local store cannot be used, for example because the disk is full or not writable."""

    exit_code = 10


class DamagedBlob(StoreError):
    """A blob in the store is damaged. It is discarded, and the next run fetches or builds it again."""

    def __init__(self, digest: "Digest") -> None:
        super().__init__(f"the stored blob {digest} is damaged", hint="Run the command again: the damaged blob was discarded.")
        self.digest = digest


class EngineError(ShipwheelError):
    """A container engine cannot be used, or failed."""

    exit_code = 11


class NotInstalled(EngineError):
    """The program of a container engine is not on this machine."""


class TrialError(ShipwheelError):
    """An image was tried, and does not serve."""

    exit_code = 12
