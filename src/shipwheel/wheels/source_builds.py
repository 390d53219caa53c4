"""Pure-Python wheels made here: of sdists that have no wheel, and of the user's own project; once, isolated, for every platform.

The build runs through uv with a day's limit on what it may install, in an environment of its own, on a private copy, and without
compilers: what would compile fails at once and by name, what only may compile becomes pure Python on every host alike.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import BuildError
from shipwheel.events import Reporter, StageFinished, StageStarted, silent
from shipwheel.files.segment import source_date_epoch
from shipwheel.lock import uv
from shipwheel.lock.selection import LockedDistribution
from shipwheel.project.source_copy import private_copy, repository_root, tree_digest
from shipwheel.project.workspace import uv_settings, workspace_root
from shipwheel.settings import read_toml
from shipwheel.store import Store
from shipwheel.versions import end_of_day

__all__ = ["BuiltWheel", "build_project_wheel", "build_pure_wheel", "known_wheel", "needs_source", "tell_wheel"]

_VERSION = "1"
"""Part of every key: raise it when the same source would give another wheel."""

_COMPILERS = """
    cc gcc g++ c++ cpp clang clang++ c89 c99 gfortran f77 f90 cargo rustc rustup go nvcc cmake meson ninja make gmake swig
    x86_64-linux-gnu-gcc x86_64-linux-gnu-g++ aarch64-linux-gnu-gcc aarch64-linux-gnu-g++
    """.split()  # noqa: SIM905
_LONGEST = 4000
_REFUSAL = "shipwheel: compiling is not allowed here"
_LATER = "building those comes later; choose a version that has wheels for the platform, or another distribution"
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


_TOLD = "built-elsewhere"


class BuiltWheel(msgspec.Struct, frozen=True):
    """A wheel in the store: its filename says name, version and tags; `size` in bytes."""

    filename: str
    digest: str
    size: int
    key: str = ""
    """Of all that decides what comes out."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One build: what of, under which name errors speak of it, and what it may install."""

    source: Path
    label: str
    minor: str
    as_of: str
    settings: Mapping[str, Any]


def build_pure_wheel(
    dist: LockedDistribution,
    store: Store,
    target_minor: str,
    as_of: str,
    *,
    root: Path | None = None,
    reporter: Reporter = silent,
    whole: bool = True,
) -> BuiltWheel:
    """The wheel of an sdist (which must be in the store), a directory or a repository of the lock, built unless the store has it.

    `as_of` is the lock's day; `root` the project, whose package indexes serve the build's own requirements. Without `whole`, a wheel
    that is known to come out does, although the store does not have it. Raises BuildError by name.
    """
    settings = uv_settings(root) if root is not None else {}
    if dist.kind == "directory":
        folder = (dist.path or Path()) / dist.subdirectory
        return build_project_wheel(folder, store, target_minor, as_of, reporter=reporter, whole=whole)
    key = _source_key(dist, target_minor, as_of)
    found = known_wheel(key, store, whole=whole)
    if found is None and dist.kind == "vcs":
        return _of_repository(dist, store, target_minor, as_of, settings, reporter)
    if found is None:
        with tempfile.TemporaryDirectory(prefix="shipwheel-") as name:
            source = Path(name) / dist.filename
            source.write_bytes(store.read(dist.digest))
            found = _build(_Job(source, dist.label, target_minor, as_of, settings), store, key, reporter)
    return found


def needs_source(dist: LockedDistribution, store: Store, target_minor: str, as_of: str, *, whole: bool = True) -> bool:
    """Whether `build_pure_wheel` would have to read the sdist."""
    return dist.kind == "sdist" and known_wheel(_source_key(dist, target_minor, as_of), store, whole=whole) is None


def _source_key(dist: LockedDistribution, target_minor: str, as_of: str) -> str:
    return _key(dist.commit if dist.kind == "vcs" else dist.sha256, dist.subdirectory, as_of, target_minor)


def build_project_wheel(
    root: Path, store: Store, target_minor: str, as_of: str, *, reporter: Reporter = silent, whole: bool = True
) -> BuiltWheel:
    """The wheel of a project's directory, which may be a workspace's member; nothing is left in the directory. Raises BuildError.

    Built unless the store has the wheel of the same files. The history comes along for backends that take the version from it.
    """
    root = root.resolve()
    history = _wants_history(root)
    top = workspace_root(root) or root
    if history:
        top = repository_root(root) or top
    label = _label(root)
    key = _key(tree_digest(top, history=history), root.relative_to(top).as_posix(), as_of, target_minor)
    found = known_wheel(key, store, whole=whole)
    if found is None:
        with private_copy(top, history=history) as copy:
            job = _Job(copy / root.relative_to(top), label, target_minor, as_of, uv_settings(root))
            found = _build(job, store, key, reporter)
    return found


def _label(root: Path) -> str:
    data = read_toml(root / "pyproject.toml") if (root / "pyproject.toml").is_file() else {}
    name = data.get("project", {}).get("name") or data.get("tool", {}).get("poetry", {}).get("name")
    return f"the project {name or root.name}"


def _wants_history(root: Path) -> bool:
    """Whether the version may come from the repository."""
    path = root / "pyproject.toml"
    data = read_toml(path) if path.is_file() else {}
    asked = "version" in data.get("project", {}).get("dynamic", ()) or "project" not in data
    return asked and repository_root(root) is not None


def _key(*parts: str) -> str:
    text = "\0".join((_VERSION, uv.version(), str(source_date_epoch()), *parts))
    return hashlib.sha256(text.encode()).hexdigest()


def known_wheel(key: str, store: Store, *, whole: bool) -> BuiltWheel | None:
    """The wheel that was built under that key; with `whole` only one that was built here, and whose bytes the store has."""
    record = store.get("built", key) or (None if whole else store.get(_TOLD, key))
    if record is None:
        return None
    try:
        wheel = msgspec.json.decode(record, type=BuiltWheel)
    except msgspec.MsgspecError:
        return None  # written by another version
    return msgspec.structs.replace(wheel, key=key) if not whole or store.has(wheel.digest) else None


def tell_wheel(wheel: BuiltWheel, store: Store) -> None:
    """Remembers what came out of a build elsewhere: its digest never stands for bytes of this store."""
    store.put(_TOLD, wheel.key, msgspec.json.encode(wheel))


def _build(job: _Job, store: Store, key: str, reporter: Reporter) -> BuiltWheel:
    stage = f"build {job.label}"
    reporter(StageStarted(stage))
    # What is pure Python comes out of any interpreter; one of the target's version is not fetched for it.
    python = str(uv.local_python(job.minor) or sys.executable)
    limit = end_of_day(date.fromisoformat(job.as_of)) if job.as_of else None
    with _workshop(job) as (folder, env):
        try:
            wheel, said = uv.build_wheel(job.source, folder / "out", python, limit, cwd=folder, env=env, stop=store.closed)
        except uv.UvFailed as error:
            raise _failure(job, error, folder) from None
        _check(wheel.name, job, said)
        with store.writer() as blob:
            blob.write(wheel.read_bytes())
        built = BuiltWheel(wheel.name, blob.digest, blob.size, key)
    store.put("built", key, msgspec.json.encode(built))
    reporter(StageFinished(stage, built.filename))
    return built


@contextmanager
def _workshop(job: _Job) -> Iterator[tuple[Path, dict[str, str]]]:
    """A directory with uv's settings and an environment in which the same source gives the same wheel on every host."""
    import tomli_w

    with tempfile.TemporaryDirectory(prefix="shipwheel-") as name:
        folder = Path(name).resolve()
        stubs = folder / "no-compilers"
        stubs.mkdir()
        for compiler in _COMPILERS:
            stub = stubs / compiler
            stub.write_text(f'#!/bin/sh\necho "{_REFUSAL}" >&2\nexit 1\n')
            stub.chmod(0o755)
        settings = {key: job.settings[key] for key in _INDEX_SETTINGS if key in job.settings}
        (folder / "uv.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
        yield (
            folder,
            {
                **{variable: str(stubs / "cc") for variable in ("CC", "CXX", "FC", "F77", "F90", "LD", "RUSTC", "CARGO", "CMAKE")},
                "PATH": f"{stubs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "SOURCE_DATE_EPOCH": str(source_date_epoch()),
                "PYTHONHASHSEED": "0",
                "TZ": "UTC",
                "LC_ALL": "C.UTF-8",
                "LANGUAGE": "",
            },
        )


def _check(filename: str, job: _Job, said: str) -> None:
    """The wheel must serve every platform (binary distribution format: abi none, platform any)."""
    from packaging.utils import parse_wheel_filename

    tags = parse_wheel_filename(filename)[3]
    if not all(tag.platform == "any" and tag.abi == "none" for tag in tags):
        tried = " (it tried to compile)" if _REFUSAL in said else ""
        raise BuildError(f"{job.label} builds a platform wheel, {filename}{tried}", hint=_advice(job))


def _advice(job: _Job) -> str:
    own = job.label.startswith("the project ")
    return (
        "Projects that compile something come later; build a wheel of it for each platform elsewhere and require that."
        if own
        else f"For platform wheels: {_LATER}."
    )


def _failure(job: _Job, error: "uv.UvFailed", folder: Path) -> BuildError:
    if _REFUSAL in f"{error.failure.printed}\n{error.failure.text}":
        return BuildError(f"{job.label} needs a compiler, so it builds a platform wheel", hint=_advice(job))
    # uv shows what the backend printed as it comes, before its own error.
    text = "\n  ".join([error.failure.text.partition("\n\nhint: Build failures")[0], *error.failure.printed.splitlines()[-25:]])
    text = text.replace(f"{job.source.parent}/", "").replace(f"{folder}/", "")
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n  …\n{text[-_LONGEST // 2 :]}"
    return BuildError(
        f"{job.label} cannot be built: {text}",
        hint="Its own build failed, in isolation: what it says above is the reason. Try another version.",
    )


def _of_repository(
    dist: LockedDistribution, store: Store, minor: str, as_of: str, settings: Mapping[str, Any], reporter: Reporter
) -> BuiltWheel:
    key = _source_key(dist, minor, as_of)
    with tempfile.TemporaryDirectory(prefix="shipwheel-") as name:
        folder = Path(name).resolve() / "source"
        address = dist.urls[0] if dist.urls else str(dist.path)
        for command in (
            ["clone", "--quiet", "--", address, str(folder)],
            ["-C", str(folder), "checkout", "--quiet", "--detach", dist.commit],
        ):
            _git(command, dist.label)
        return _build(_Job(folder / dist.subdirectory, dist.label, minor, as_of, settings), store, key, reporter)


def _git(arguments: list[str], label: str) -> None:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False, env=env, timeout=900, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{label}: git cannot be run: {error}", hint="Install git; this requirement is a repository.") from None
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace").strip()[-500:]
        raise BuildError(
            f"{label}: its repository cannot be read: {text}", hint="Check the address, the network, and that you may read it."
        )
