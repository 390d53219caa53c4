"""The step that compiles gettext's catalogues (.po into .mo): where a Dockerfile, a Makefile or a script has it."""

from collections.abc import Iterator
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.find_dockerfile import Dockerfile
from shipwheel.user.files import UserFiles

__all__ = ["translation_step"]

_COMPILES = lazy_pattern(rb"\bcompilemessages\b|\bpybabel\b[^\n]*\bcompile\b|\bmsgfmt\b|\bcompile_catalog\b")
_FILES = ("Makefile", "makefile", "GNUmakefile", "justfile", "Justfile", "Taskfile.yml", "tasks.py", "fabfile.py", "Procfile", "tox.ini")
_FOLDERS = (".", "bin", "scripts", "docker", "deploy", "compose")
_MAX_BYTES = 1 << 18
_MAX_SCRIPTS = 50


def translation_step(root: Path, dockerfile: Dockerfile | None, files: UserFiles) -> str:
    """Return the file and line that compiles translations, for messages; empty if there is none."""
    if dockerfile is not None:
        stages = (dockerfile.stage, *dockerfile.stage.origins)
        found = next((it for stage in stages for it in stage.runs if _COMPILES.search(it.text.encode(errors="replace"))), None)
        if found is not None:
            return found.place
    return next((place for path in _candidates(root) if (place := _place(path, root, files))), "")


def _candidates(root: Path) -> Iterator[Path]:
    yield from (root / name for name in _FILES)
    for folder in _FOLDERS:
        yield from sorted((root / folder).glob("*.sh"))[:_MAX_SCRIPTS]


def _place(path: Path, root: Path, files: UserFiles) -> str:
    try:
        data = files.read_start(path, _MAX_BYTES) if files.is_file(path) else b""
    except (OSError, ValueError):
        return ""
    match = _COMPILES.search(data)
    if match is None:
        return ""
    line = data.count(b"\n", 0, match.start()) + 1
    return f"{path.relative_to(root).as_posix()}, line {line}"
