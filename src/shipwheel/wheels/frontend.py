"""A build front end (PEP 517): it installs what a build requires, then runs the hooks of the backend in the sandbox.

uv installs, with the user's indexes and their passwords. The backend, which anyone can have written, runs afterwards and gets none of them.
"""

import os
import re
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from shipwheel.cleanup.scratch import removed_at_the_end, scratch_directory
from shipwheel.locking import uv
from shipwheel.locking.bounds import Bounds, OverBounds
from shipwheel.locking.environment import network_variables
from shipwheel.locking.process import Finished, run_bounded
from shipwheel.locking.sandbox import confined, interpreter_paths, is_available
from shipwheel.locking.uv_output import FailureKind
from shipwheel.wheels.kept_requirements import KeptRequirements

if TYPE_CHECKING:
    from pyproject_hooks import SubprocessRunner

__all__ = ["BuildPlace", "HookFailed", "build_wheel", "checked_requirements", "run_backend", "write_index_settings"]


class HookFailed(Exception):
    """A hook of the backend failed, or one of its answers is wrong. `output` is what it printed.

    `hidden` is what a program said that failed, of which the backend may have printed nothing. It may have been meant to fail.
    """

    def __init__(self, message: str, output: str = "", hidden: str = "") -> None:
        super().__init__(message)
        self.output = output
        self.hidden = hidden


class BuildPlace(msgspec.Struct, frozen=True):
    """The place of a build: `root` is a directory for it alone, `source` the directory to build.

    `top` is one around `source` that the backend may change, too, `readable` are further paths that it may read. `environment` is all that
    the backend gets; `network` lets it use the network. `settings` are uv's, for the indexes of the build's requirements, which
    `exclude_newer`, an RFC 3339 instant, limits. `requires` are build requirements that the source does not state. Setting `stop` ends the
    build, and each of its programs has `bounds`. Requirements that are `kept` are installed without a network.
    """

    root: Path
    source: Path
    top: Path
    python: str
    environment: Mapping[str, str]
    stop: threading.Event
    settings: Mapping[str, Any]
    exclude_newer: str | None = None
    network: bool = False
    readable: tuple[Path, ...] = ()
    requires: tuple[str, ...] = ()
    bounds: Bounds = msgspec.field(default_factory=Bounds)
    kept: KeptRequirements | None = None

    @property
    def out(self) -> Path:
        """The directory of the finished wheel."""
        return self.root / "out"

    @property
    def venv(self) -> Path:
        """The virtual environment of the backend."""
        return self.root / "venv"

    @property
    def home(self) -> Path:
        """The home directory of the backend."""
        return self.root / "home"


def build_wheel(place: BuildPlace) -> Path:
    """Build a wheel and return its path.

    Raise HookFailed, OverBounds, BuildError for a broken pyproject.toml, UvFailed if requirements are missing.
    """
    uv.make_environment(place.venv, place.python)
    place.out.mkdir()
    place.home.mkdir()
    python = place.venv / "bin" / "python"
    return run_backend(place.source, python, place.out, _Runner(place), partial(_install, place), place.requires)


def run_backend(
    source: Path,
    python: Path,
    out: Path,
    runner: "SubprocessRunner",
    install: Callable[[Iterable[str]], None],
    requires: Sequence[str] = (),
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Build a source into a wheel below `out`, and return its path.

    `runner` runs a hook with `python`, `install` installs requirements; `requires` are those that the source does not state. `settings`
    are for the backend. Raise HookFailed, OverBounds, BuildError for a broken pyproject.toml, and what `install` raises.
    """
    from build import BuildBackendException, BuildException, ProjectBuilder
    from pyproject_hooks import BuildBackendWarning

    # What a backend warns of is for its author.
    warnings.simplefilter("ignore", BuildBackendWarning)
    try:
        builder = ProjectBuilder(source, str(python), _with_answer(runner))
        install((*builder.build_system_requires, *requires))
        install(builder.get_requires_for_build("wheel", dict(settings)))
        builder.build("wheel", out, dict(settings))
    except BuildBackendException as error:
        if isinstance(error.exception, HookFailed | OverBounds):
            raise error.exception from None
        raise HookFailed(str(error), str(getattr(error.exception, "traceback", ""))) from error
    except BuildException as error:
        raise HookFailed(str(error)) from error
    return _only_wheel(out)


def _with_answer(runner: "SubprocessRunner") -> "SubprocessRunner":
    """Return a runner that raises HookFailed if a hook leaves no file with its answer: a pipe would be waited for, a link followed."""

    def run(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        with removed_at_the_end(Path(cmd[3])):
            runner(cmd, cwd, extra_environ)
        answer = Path(cmd[3], "output.json")
        if answer.is_symlink() or not answer.is_file():
            raise HookFailed(f"its backend gave no answer in {cmd[2]}")

    return run


class _Runner:
    """Runs a hook: the protocol of pyproject_hooks."""

    def __init__(self, place: BuildPlace) -> None:
        self._place = place

    def __call__(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        place = self._place
        # The words are the interpreter, the script that calls the hook, the hook, and a directory for its arguments and its result.
        _, script, hook, exchange = cmd
        writable = (place.top, Path(exchange))
        command = _confined(place, cmd, readable=(Path(script),), writable=writable, network=place.network)
        environment = {**place.environment, **(extra_environ or {})}
        finished = _run(place, command, environment, Path(cwd or place.source), writable)
        if finished.code != 0:
            raise HookFailed(f"its backend failed in {hook}", f"{finished.stdout}\n{finished.stderr}")


def _run(place: BuildPlace, command: Sequence[str], environment: Mapping[str, str], cwd: Path, writable: Sequence[Path]) -> Finished:
    directories = (place.root, *writable)
    return run_bounded(command, env=environment, cwd=cwd, stop=place.stop, bounds=place.bounds, directories=directories)


def _confined(place: BuildPlace, command: Sequence[str], *, readable: Iterable[Path], writable: Iterable[Path], network: bool) -> list[str]:
    """Return a command that runs in the sandbox, if there is one."""
    if not is_available():
        return list(command)
    readable = (*interpreter_paths(place.python), place.root / "no-compilers", place.venv, *place.readable, *readable)
    return confined(command, readable=readable, writable=(place.out, place.home, *writable), network=network)


def _install(place: BuildPlace, requirements: Iterable[str]) -> None:
    """Install requirements into the backend's environment: wheels. What has none is built, in the sandbox and without passwords."""
    lines = checked_requirements(requirements)
    if not lines:
        return
    with scratch_directory() as folder:
        path = folder / "build-requirements.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        write_index_settings(path.parent, place.settings)
        if place.kept is not None and (
            wheels := place.kept.find(path, ("--python", str(place.venv / "bin" / "python")), place.exclude_newer, place.settings)
        ):
            place.kept.write(wheels, path.parent / "wheels")
            uv.install_files(place.venv, path, path.parent / "wheels", cwd=path.parent, stop=place.stop)
            return
        try:
            uv.install_wheels(place.venv, path, place.exclude_newer, cwd=path.parent, stop=place.stop)
        except uv.UvFailed as error:
            if not (error.failure.unusable or error.failure.kind is FailureKind.BUILD):
                raise
            write_index_settings(path.parent, place.settings, passwords=False)
            _install_building(place, path)


def _install_building(place: BuildPlace, requirements: Path) -> None:
    """Install requirements of which some have no wheel: uv, which builds these, runs in the sandbox itself, with the network."""
    command = uv.install_command(place.venv, requirements, place.exclude_newer)
    writable = (place.venv, requirements.parent)
    command = _confined(place, command, readable=(Path(command[0]),), writable=writable, network=True)
    environment = {**place.environment, **uv.index_variables(), **network_variables(os.environ)}
    finished = _run(place, command, environment, requirements.parent, writable)
    if finished.code != 0:
        raise uv.UvFailed(finished)


def write_index_settings(directory: Path, settings: Mapping[str, Any], *, passwords: bool = True) -> None:
    """Write uv's settings for package indexes into a directory, as uv.toml."""
    import tomli_w

    text = tomli_w.dumps(settings)
    (directory / "uv.toml").write_text(text if passwords else re.sub(r"(?<=://)[^/@\s\"]+@", "", text), encoding="utf-8")


def checked_requirements(requirements: Iterable[str]) -> list[str]:
    """Return requirements, sorted. Raise HookFailed if one is none: it could be an option of uv."""
    return sorted(map(_checked, requirements))


def _checked(requirement: str) -> str:
    """Return a requirement that is one, and no option of uv. Raise HookFailed for anything else."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(requirement))
    except InvalidRequirement as error:
        raise HookFailed(f"{requirement!r} is not a requirement: {error}") from error


def _only_wheel(directory: Path) -> Path:
    """Return the wheel that the backend wrote. Raise HookFailed if it is none.

    It must be a file: a link could lead to any file of this machine.
    """
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    wheels = [path for path in directory.iterdir() if path.name.endswith(".whl") and path.is_file() and not path.is_symlink()]
    if len(wheels) != 1:
        raise HookFailed(f"the build made {len(wheels)} wheels")
    try:
        parse_wheel_filename(wheels[0].name)
        zipfile.ZipFile(wheels[0]).close()
    except (InvalidWheelFilename, zipfile.BadZipFile) as error:
        raise HookFailed(f"the build made {wheels[0].name}, which is no wheel: {error}") from error
    return wheels[0]
