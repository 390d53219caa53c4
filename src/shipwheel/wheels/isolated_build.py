"""Building a pure Python wheel with uv, in isolation.

The build runs in an environment of its own, as of a given day, and without compilers: a package that must compile fails at once with a
clear error, and one that may compile becomes pure Python, the same on every host.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from shipwheel.errors import BuildError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.files.segment import source_date_epoch
from shipwheel.locking import uv
from shipwheel.project.secret_files import SecretRules
from shipwheel.store import Store
from shipwheel.versions import end_of_day
from shipwheel.wheels.built_wheels import BuiltWheel, record_built_wheel
from shipwheel.wheels.wheel_secrets import remove_secrets

__all__ = ["BuildJob", "build_in_isolation"]

_COMPILERS = """
    cc gcc g++ c++ cpp clang clang++ c89 c99 gfortran f77 f90 cargo rustc rustup go nvcc cmake meson ninja make gmake swig
    x86_64-linux-gnu-gcc x86_64-linux-gnu-g++ aarch64-linux-gnu-gcc aarch64-linux-gnu-g++
    """.split()  # noqa: SIM905
_COMPILER_VARIABLES = ("CC", "CXX", "FC", "F77", "F90", "LD", "RUSTC", "CARGO", "CMAKE")
_INDEX_SETTINGS = (
    "index",
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "index-strategy",
    "keyring-provider",
    "allow-insecure-host",
)
_MAX_OUTPUT_LINES = 25
_MAX_MESSAGE_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class BuildJob:
    """One build.

    `source` is an sdist or a directory, `label` its name in errors, `minor` the Python version. `as_of` is the lock's day, which limits the
    build requirements, empty for no limit. `settings` are uv's, of which those for package indexes are used. The user's own source has
    `secret_rules`: its wheel must not have secrets.
    """

    source: Path
    label: str
    minor: str
    as_of: str
    settings: Mapping[str, Any]
    secret_rules: SecretRules | None = None

    @property
    def is_project(self) -> bool:
        """True if the source is the user's own."""
        return self.secret_rules is not None


@dataclass(frozen=True, slots=True)
class _Sandbox:
    """A directory with uv's settings and stubs in place of compilers, and an environment that is the same on every host."""

    root: Path
    environment: Mapping[str, str]

    def compiler_was_called(self) -> bool:
        return _marker(self.root).exists()


def build_in_isolation(job: BuildJob, store: Store, key: str, reporter: Reporter) -> BuiltWheel:
    """Build a wheel into the store, and record it under the key. Raise BuildError if the build fails or needs a compiler.

    Raise ProjectError if the wheel of the user's own source has a token in a file.
    """
    reporter(StageStarted(job.label, detail=True))
    # Any interpreter builds a pure Python wheel, so none is downloaded for it.
    python = str(uv.local_python(job.minor) or sys.executable)
    exclude_newer = end_of_day(date.fromisoformat(job.as_of)) if job.as_of else None
    with _sandbox(job) as sandbox:
        root, env = sandbox.root, sandbox.environment
        try:
            wheel, _ = uv.build_wheel(job.source, root / "out", python, exclude_newer, cwd=root, env=env, stop=store.closed)
        except uv.UvFailed as error:
            raise _build_failed(job, error, sandbox) from None
        _check_pure(wheel.name, job, sandbox)
        left_out = remove_secrets(wheel, job.secret_rules) if job.secret_rules is not None else ()
        with store.writer() as blob:
            blob.write(wheel.read_bytes())
        built = BuiltWheel(wheel.name, blob.digest, blob.size, key, left_out)
    record_built_wheel(built, store)
    reporter(StageFinished(job.label, job.label))
    return built


def _marker(root: Path) -> Path:
    return root / "compiler-was-called"


@contextmanager
def _sandbox(job: BuildJob) -> Iterator[_Sandbox]:
    import tomli_w

    with tempfile.TemporaryDirectory(prefix="shipwheel-") as name:
        root = Path(name).resolve()
        stubs = root / "no-compilers"
        stubs.mkdir()
        refuse = f'#!/bin/sh\n: > {shlex.quote(str(_marker(root)))}\necho "shipwheel: compiling is not allowed here" >&2\nexit 1\n'
        for compiler in _COMPILERS:
            stub = stubs / compiler
            stub.write_text(refuse)
            stub.chmod(0o755)
        settings = {key: job.settings[key] for key in _INDEX_SETTINGS if key in job.settings}
        (root / "uv.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
        environment = {
            **dict.fromkeys(_COMPILER_VARIABLES, str(stubs / "cc")),
            "PATH": f"{stubs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "SOURCE_DATE_EPOCH": str(source_date_epoch()),
            "PYTHONHASHSEED": "0",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            "LANGUAGE": "",
        }
        yield _Sandbox(root, environment)


def _check_pure(filename: str, job: BuildJob, sandbox: _Sandbox) -> None:
    """Raise BuildError unless the wheel works on every platform (binary distribution format: abi none, platform any)."""
    from packaging.utils import parse_wheel_filename

    tags = parse_wheel_filename(filename)[3]
    if not all(tag.platform == "any" and tag.abi == "none" for tag in tags):
        compiled = " (it tried to compile)" if sandbox.compiler_was_called() else ""
        raise BuildError(f"{job.label} builds a platform wheel, {filename}{compiled}", hint=_platform_wheel_hint(job))


def _platform_wheel_hint(job: BuildJob) -> str:
    if job.is_project:
        return "shipwheel cannot compile yet: build a wheel of the project for each platform elsewhere, and require that."
    return "shipwheel cannot compile yet: choose a version that has wheels for the platforms, or another package."


def _build_failed(job: BuildJob, error: "uv.UvFailed", sandbox: _Sandbox) -> BuildError:
    if sandbox.compiler_was_called():
        return BuildError(f"{job.label} needs a compiler, so it builds a platform wheel", hint=_platform_wheel_hint(job))
    output = error.failure.printed.splitlines()[-_MAX_OUTPUT_LINES:]
    text = "\n  ".join([error.failure.text, *output])
    text = text.replace(f"{job.source.parent}/", "").replace(f"{sandbox.root}/", "")
    if len(text) > _MAX_MESSAGE_CHARACTERS:
        half = _MAX_MESSAGE_CHARACTERS // 2
        text = f"{text[:half]}\n  …\n{text[-half:]}"
    return BuildError(
        f"{job.label} cannot be built: {text}",
        hint="Its own build failed in isolation; the output above has the reason. Try another version.",
    )
