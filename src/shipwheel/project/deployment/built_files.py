"""Files that a Dockerfile's RUN instructions make from the project: the image lacks them unless they are made before the build."""

import posixpath
import re
from collections.abc import Iterator

from shipwheel.project.deployment.copied_files import CopiedFiles
from shipwheel.project.deployment.find_dockerfile import Dockerfile
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.deployment.stage import Copy, Stage

__all__ = ["built_file_notes"]

_NODE_IMAGE = re.compile(r"(^|/)(node|bun|deno|yarn|pnpm)\b")
_NODE_TOOLS = frozenset({"npm", "npx", "yarn", "pnpm", "bun", "bunx", "deno", "gulp", "grunt", "webpack", "vite"})
_BUILDS = re.compile(r"build|compile|bundle|generate|dist|prod|compress|webpack|vite|gulp|tailwind|collectstatic|assets")
_MAX_SHOWN = 3


def built_file_notes(dockerfile: Dockerfile) -> tuple[str, ...]:
    """Return a sentence for each place where the image that production uses has such files, and the project has none."""
    return tuple(dict.fromkeys((*_from_stages(dockerfile), *_from_own_runs(dockerfile))))


def _from_stages(dockerfile: Dockerfile) -> Iterator[str]:
    """Yield notes about what node stages make."""
    for copy in dockerfile.stage.copies:
        stage = copy.origin
        if stage is None or not _is_node(stage):
            continue
        path = _expected(copy, dockerfile.files)
        if path is None or _has_files(dockerfile.files, path):
            continue
        commands = [command for command in stage.runs if command.words[0] in _NODE_TOOLS and _BUILDS.search(" ".join(command.words))]
        shown = ", ".join(f"`{command.text}`" for command in commands[:_MAX_SHOWN]) or f"the stage of {stage.image}"
        yield (
            f"{dockerfile.name}, line {copy.line}: {path}, which {shown} makes, is not in the project, so the image lacks it."
            " Make it before the build, and name it in `include` if .gitignore excludes it."
        )


def _from_own_runs(dockerfile: Dockerfile) -> Iterator[str]:
    """Yield notes about what instructions of the stage itself make from the project's files."""
    for command in dockerfile.stage.runs:
        if not command.doubt and _makes_files(command, dockerfile.files):
            yield f"{command.place}: `{command.text}` does not run here. If the app needs what it makes, run it before the build."


def _makes_files(command: ShellCommand, files: CopiedFiles) -> bool:
    name, rest = posixpath.basename(command.words[0]), command.words[1:]
    if name in _NODE_TOOLS:
        return bool(_BUILDS.search(" ".join(rest)))
    script = rest[0] if rest and re.fullmatch(r"python[\d.]*", name) else command.words[0]
    own = files.project_path(posixpath.normpath(posixpath.join(command.directory or "/", script))) is not None
    # Django's static files have a way of their own.
    return (own or name in ("flask", "django-admin", "pybabel")) and bool(_BUILDS.search(" ".join(rest))) and "collectstatic" not in rest


def _is_node(stage: Stage) -> bool:
    return _NODE_IMAGE.search(stage.image) is not None or any(command.words[0] in _NODE_TOOLS for command in stage.runs)


def _expected(copy: Copy, files: CopiedFiles) -> str | None:
    """Return where in the project the copied files would be; None for a place outside it."""
    target = copy.target.rstrip("/") or "/"
    home = files.home
    if not home or not target.startswith(home.rstrip("/") + "/"):
        return None
    return posixpath.relpath(target, home)


def _has_files(files: CopiedFiles, path: str) -> bool:
    place = files.project / path
    return place.is_file() or (place.is_dir() and any(entry.name != ".gitkeep" for entry in place.iterdir()))
