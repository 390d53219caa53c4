"""Building a pure Python wheel from a source that anyone can have written.

The backend runs in an environment of its own, as of a given day, without secrets, and without compilers: a package that must compile fails
at once with a clear error, and one that may compile becomes pure Python, the same on every host.
"""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import BuildError, UnbuildableSource
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned
from shipwheel.files.segment import source_date_epoch
from shipwheel.locking import uv
from shipwheel.locking.bounds import BOUNDS_HINT, Bounds, OverBounds
from shipwheel.locking.build_requirements import requirement_wanted
from shipwheel.locking.environment import build_variables, network_variables
from shipwheel.locking.sandbox import is_available
from shipwheel.locking.uv_output import Failure
from shipwheel.project.secret_files import SecretRules
from shipwheel.settings.build import PackageBuildSettings
from shipwheel.store.store import Store
from shipwheel.versions import end_of_day, normalized
from shipwheel.wheels.built_wheels import BuiltWheel, record_built_wheel
from shipwheel.wheels.frontend import BuildPlace, HookFailed, build_wheel
from shipwheel.wheels.kept_requirements import KeptRequirements
from shipwheel.wheels.rewrite import remove_local_urls
from shipwheel.wheels.unpackaged import files_without_metadata, unpackaged_files
from shipwheel.wheels.wheel_secrets import remove_secrets

__all__ = ["INDEX_SETTINGS", "BackendFailed", "BuildJob", "BuildOptions", "RequirementsNotReached", "build_in_isolation", "not_reached"]

_COMPILERS = """
    cc gcc g++ c++ cpp clang clang++ c89 c99 gfortran f77 f90 cargo rustc rustup go nvcc cmake meson ninja make gmake swig
    x86_64-linux-gnu-gcc x86_64-linux-gnu-g++ aarch64-linux-gnu-gcc aarch64-linux-gnu-g++
    """.split()  # noqa: SIM905
_COMPILER_VARIABLES = ("CC", "CXX", "FC", "F77", "F90", "LD", "RUSTC", "CARGO", "CMAKE")
INDEX_SETTINGS = (
    "index",
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "index-strategy",
    "keyring-provider",
    "allow-insecure-host",
)
_PLATFORM_WHEEL_HINT = "Choose a version that has wheels for the platforms, or another package."
_MAX_OUTPUT_LINES = 25
_MAX_MESSAGE_CHARACTERS = 4000


class BuildOptions(msgspec.Struct, frozen=True):
    """The settings that all builds of one image share.

    `minor` is the target's Python version, `as_of` the lock's day, which limits the build requirements, empty for no limit. `settings` are
    uv's, of which those for package indexes are used. `allowed_secrets` are patterns of files that the wheels of the user's own directories
    may have, `with_network` normalized names of packages whose builds may use the network. `variables` are for the backend of the project.
    """

    minor: str
    as_of: str
    settings: Mapping[str, Any] = {}
    allowed_secrets: tuple[str, ...] = ()
    with_network: frozenset[str] = frozenset()
    variables: Mapping[str, str] = {}
    build_requirements: Mapping[str, tuple[str, ...]] = {}
    """Normalized name of a package -> the requirements of its build that it does not state."""
    stated: tuple[str, ...] = ()
    """Requirements of the project, from which a build gets what it imports without requiring it."""

    build_packages: tuple[str, ...] = ()
    """Debian packages that the user names for builds that compile."""
    build_env: Mapping[str, str] = {}
    """Variables that the user sets for builds that compile."""
    build_constraints: tuple[str, ...] = ()
    """Constraints of build requirements, as requirements."""
    bounds: Bounds = Bounds()
    by_package: Mapping[str, PackageBuildSettings] = {}
    """Normalized name of a package -> what the user adds to its build alone."""

    def of(self, name: str) -> "BuildOptions":
        """Return the options with what the user adds to the build of this package."""
        own = self.by_package.get(normalized(name))
        if own is None:
            return self
        return msgspec.structs.replace(
            self,
            build_packages=(*self.build_packages, *own.packages),
            build_env={**self.build_env, **own.env},
            build_constraints=(*self.build_constraints, *own.constraints),
        )

    def build_requirements_of(self, name: str) -> tuple[str, ...]:
        """Return what the build of a package requires beyond what it states: of uv's extra-build-dependencies, and of the lock."""
        stated = self.settings.get("extra-build-dependencies", {})
        chosen = [each for key, needed in stated.items() if normalized(key) == normalized(name) for each in needed]
        texts = (str(each["requirement"] if isinstance(each, Mapping) else each) for each in chosen)
        return (*texts, *self.build_requirements.get(normalized(name), ()))


class BuildJob(msgspec.Struct, frozen=True):
    """One build: of `source`, a directory, in `top`, which the backend may need around it.

    `label` names it in errors. `readable` are further paths for the backend to read. The user's own source has `secret_rules`: its wheel
    must not have secrets. `kept` collects what the build requires, for another store; by default, what this store has is used.
    """

    source: Path
    top: Path
    name: str
    label: str
    options: BuildOptions
    readable: tuple[Path, ...] = ()
    secret_rules: SecretRules | None = None
    kept: KeptRequirements | None = None

    @property
    def network(self) -> bool:
        """True if the backend may use the network."""
        return normalized(self.name) in self.options.with_network

    @property
    def is_project(self) -> bool:
        """True if the source is the user's own."""
        return self.secret_rules is not None


def build_in_isolation(job: BuildJob, store: Store, key: str, reporter: Reporter) -> BuiltWheel:
    """Build a wheel into the store, and record it under the key. Raise BuildError if the build fails or needs a compiler.

    Raise ProjectError if the wheel of the user's own source has a token in a file.
    """
    reporter(StageStarted(job.label, detail=True))
    requires = job.options.build_requirements_of(job.name)
    while True:
        try:
            built = _build(job, requires, store, key)
        except BackendFailed as failed:
            requirement = requirement_wanted(failed.output, job.options.stated, job.source)
            if requirement is None or requirement in requires:
                raise
            requires = (*requires, requirement)
            reporter(Warned(f"the build of {job.label} needs what it does not require: {requirement} is installed for it"))
        else:
            record_built_wheel(built, store)
            reporter(StageFinished(job.label, job.label))
            return built


class BackendFailed(UnbuildableSource):
    """A build in pure Python failed, or made a wheel for one platform. `output` is what the backend printed.

    `compiles` is true if it is known to need a compiler.
    """

    def __init__(self, message: str, *, hint: str, output: str = "", compiles: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.output = output
        self.compiles = compiles


class RequirementsNotReached(BuildError):
    """The package index with what the build of `label` requires cannot be reached; `failure` says which, and why."""

    def __init__(self, label: str, failure: Failure) -> None:
        super().__init__(
            f"{label} cannot be built: what its build requires cannot be installed: {failure.text}",
            hint="Check the package index and the network.",
        )
        self.failure = failure


def not_reached(error: BaseException | None) -> Failure | None:
    """Return why the package index of an error or of its causes was not reached; None if that is not what happened."""
    # Two builds that wait for one result raise its error from each other's: causes may lead in a circle.
    seen: list[BaseException] = []
    while error is not None and not isinstance(error, RequirementsNotReached):
        seen.append(error)
        error = None if any(error.__cause__ is each for each in seen) else error.__cause__
    return error.failure if error is not None else None


def _build(job: BuildJob, requires: tuple[str, ...], store: Store, key: str) -> BuiltWheel:
    """Build a wheel into the store. Raise as `build_in_isolation` does."""
    with _place(job, requires, store) as place:
        try:
            wheel = build_wheel(place)
        except HookFailed as error:
            raise _build_failed(job, place.root, str(error), error.output) from None
        except OverBounds as error:
            raise BuildError(f"{job.label} cannot be built: {error}", hint=BOUNDS_HINT) from None
        except uv.UvFailed as error:
            raise _requirements_failed(job, place.root, error) from None
        _check_pure(wheel.name, job, place.root)
        remove_local_urls(wheel, job.top)
        unpackaged = unpackaged_files(job.source, wheel) if job.is_project else ()
        files = files_without_metadata(wheel) if unpackaged else ()
        left_out = remove_secrets(wheel, job.secret_rules) if job.secret_rules is not None else ()
        with store.writer() as blob:
            blob.write(wheel.read_bytes())
        return BuiltWheel(wheel.name, blob.digest, blob.size, key, left_out, unpackaged, files)


def _marker(root: Path) -> Path:
    """Return the file that a stub in place of a compiler writes: in the one directory that every program of the build may change."""
    return root / "home" / ".compiler-was-called"


@contextmanager
def _place(job: BuildJob, requires: tuple[str, ...], store: Store) -> Iterator[BuildPlace]:
    """Make the directory of a build, with stubs in place of compilers, and an environment that is the same on every host."""
    with scratch_directory() as root:
        options = job.options
        stubs = root / "no-compilers"
        stubs.mkdir()
        refuse = f'#!/bin/sh\n: > {shlex.quote(str(_marker(root)))}\necho "shipwheel: compiling is not allowed here" >&2\nexit 1\n'
        for compiler in _COMPILERS:
            stub = stubs / compiler
            stub.write_text(refuse)
            stub.chmod(0o755)
        yield BuildPlace(
            root,
            job.source,
            job.top,
            # Any interpreter builds a pure Python wheel, so none is downloaded for it.
            uv.usable_python(options.minor),
            _environment(job, root),
            store.closed,
            {key: options.settings[key] for key in INDEX_SETTINGS if key in options.settings},
            end_of_day(date.fromisoformat(options.as_of)) if options.as_of else None,
            job.network,
            job.readable,
            requires,
            options.bounds,
            job.kept or KeptRequirements(store, options.minor),
        )


def _environment(job: BuildJob, root: Path) -> dict[str, str]:
    stubs, home = root / "no-compilers", str(root / "home")
    return {
        **job.options.variables,
        **build_variables(os.environ),
        **(network_variables(os.environ) if job.network else {}),
        **dict.fromkeys(_COMPILER_VARIABLES, str(stubs / "cc")),
        "PATH": os.pathsep.join((str(stubs), str(root / "venv" / "bin"), os.environ.get("PATH", os.defpath))),
        "VIRTUAL_ENV": str(root / "venv"),
        "HOME": home,
        "TMPDIR": home,
        "USER": "build",
        "LOGNAME": "build",
        "SOURCE_DATE_EPOCH": str(source_date_epoch()),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "",
    }


def _check_pure(filename: str, job: BuildJob, root: Path) -> None:
    """Raise BuildError unless the wheel works on every platform (binary distribution format: abi none, platform any)."""
    from packaging.utils import parse_wheel_filename

    tags = parse_wheel_filename(filename)[3]
    if not all(tag.platform == "any" and tag.abi == "none" for tag in tags):
        compiled = " (it tried to compile)" if _marker(root).exists() else ""
        raise BackendFailed(f"{job.label} builds a platform wheel, {filename}{compiled}", hint=_PLATFORM_WHEEL_HINT, compiles=True)


def _build_failed(job: BuildJob, root: Path, message: str, output: str) -> BuildError:
    if _marker(root).exists():
        message = f"{job.label} needs a compiler, so it builds a platform wheel"
        return BackendFailed(message, hint=_PLATFORM_WHEEL_HINT, output=output, compiles=True)
    lines = [line for line in output.splitlines() if line.strip()][-_MAX_OUTPUT_LINES:]
    text = "\n  ".join([message, *lines]).replace(f"{job.top.parent}/", "").replace(f"{root}/", "")
    if len(text) > _MAX_MESSAGE_CHARACTERS:
        half = _MAX_MESSAGE_CHARACTERS // 2
        text = f"{text[:half]}\n  …\n{text[-half:]}"
    return BackendFailed(f"{job.label} cannot be built: {text}", hint=_failure_hint(job), output=output)


def _failure_hint(job: BuildJob) -> str:
    more = "" if job.is_project else " Otherwise try another version."
    if job.network or not is_available():
        return f"Its own build failed in isolation; the output above has the reason.{more}"
    return (
        "The output above has the reason. Builds see no network, no home directory and few of your variables. "
        f'If this one needs the network: build-network = ["{job.name}"].{more}'
    )


def _requirements_failed(job: BuildJob, root: Path, error: uv.UvFailed) -> BuildError:
    if _marker(root).exists():
        message = f"{job.label} requires a package for its build that needs a compiler"
        return BackendFailed(message, hint=_PLATFORM_WHEEL_HINT, compiles=True)
    if error.failure.unreachable:
        return RequirementsNotReached(job.label, error.failure)
    return BuildError(
        f"{job.label} cannot be built: what its build requires cannot be installed: {error.failure.text}", hint="Try another version."
    )
