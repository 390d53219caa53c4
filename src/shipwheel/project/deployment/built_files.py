"""Files that a Dockerfile's RUN instructions make from the project: the image lacks them unless they are made before the build."""

import posixpath
import re
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.build_steps import is_build_step
from shipwheel.project.deployment.copied_files import CopiedFiles
from shipwheel.project.deployment.find_dockerfile import Dockerfile
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.deployment.stage import Copy, Stage

__all__ = ["BuiltFiles", "OwnBuild", "find_built_files", "find_own_builds", "missing_note", "own_run_notes"]

_NODE_IMAGE = lazy_pattern(r"(^|/)(node|bun|deno|yarn|pnpm)\b")
_NODE_TAG = lazy_pattern(r"(?:^|/)node:([\w.]+)")
_NODE_TOOLS = frozenset({"npm", "npx", "yarn", "yarnpkg", "pnpm", "bun", "bunx", "deno", "gulp", "grunt", "webpack", "vite"})
_BUILDS = lazy_pattern(r"build|compile|bundle|generate|dist|prod|compress|webpack|vite|gulp|tailwind|collectstatic|assets")
_ELSEWHERE = lazy_pattern(r"\s(?:--prefix|--cwd|--dir|-C)[ =]([\w./-]+)")
"""The option of npm, yarn or pnpm that names the directory with package.json."""
_LITERAL = lazy_pattern(r"(?:\*\*/|/)?[\w@.-]+(?:/[\w@.-]+)*/(?:[\w@.-]+/?|\w[\w@.*-]*\.(?:js|css)\*?)")
"""A line of .gitignore that names one path, at least in its last parts, or scripts and style sheets: bundle.js*, theme-*.css."""
_MAX_SHOWN = 3


class BuiltFiles(msgspec.Struct, frozen=True):
    """Files that a node stage makes and the app's image has. All paths are relative to the project."""

    place: str
    """The file and line that copies them."""
    path: str
    """The path where the app expects them."""
    commands: tuple[str, ...]
    """The commands that make them."""
    directory: str = ""
    """The directory to run that in; empty if it is not known."""
    made: str = ""
    """The path where that leaves them; empty if it is not known, or outside the project."""
    node: str = ""
    """The version of node in the tag of the stage's image: 22, 22.12.0, lts; empty if it has none."""
    is_there: bool = False
    """True if they are at `path`."""
    is_made: bool = False
    """True if they are at `made`."""

    @property
    def instruction(self) -> str:
        """The command line that makes them."""
        steps = " && ".join(self.commands)
        return f"cd {self.directory} && {steps}" if self.directory not in ("", ".") else steps

    @property
    def shown(self) -> str:
        """The command that makes them, for messages."""
        return f"`{self.commands[-1]}`" if self.commands else "a stage of node"


class OwnBuild(msgspec.Struct, frozen=True):
    """A front end that the stage itself builds from the project, beside the Python. What that makes is not known."""

    place: str
    """The file and line of the last command."""
    directory: str
    """The directory that should have a package.json, relative to the project; empty if it is not known."""
    commands: tuple[str, ...]
    """The commands that make it."""

    def note(self, *, is_known: bool) -> str:
        """Return a sentence about what the image lacks. `is_known` says that `init` knows the setting."""
        how = ("build it in [[tool.shipwheel.assets]], which `shipwheel init` writes, or " if is_known else "") + "run it before the build"
        return f"{self.place}: `{self.commands[-1]}` does not run here. If the app needs what it makes, {how}."


def missing_note(built: BuiltFiles, *, is_known: bool) -> str:
    """Return a sentence about files that the image of production has, and the project has not.

    `is_known` says that `init` knows the setting that makes them.
    """
    note = f"{built.place}: {built.path}, which {built.shown} makes, is not in the project, so the image lacks it."
    step = f": {built.instruction}" if built.commands else ""
    if is_known:
        return f"{note} Build it in [[tool.shipwheel.assets]], which `shipwheel init` writes, or make it before the build{step}"
    return f"{note} Make it before the build{step}"


def find_built_files(dockerfile: Dockerfile) -> tuple[BuiltFiles, ...]:
    """Return what node stages make for the image that production uses."""
    return tuple(_built(dockerfile))


def _built(dockerfile: Dockerfile) -> Iterator[BuiltFiles]:
    files = dockerfile.files
    for copy in dockerfile.stage.copies:
        stage = copy.origin
        path = _expected(copy, files) if stage is not None and _is_node(stage) else None
        if stage is None or path is None:
            continue
        commands = tuple(dict.fromkeys(command.text for command in stage.runs if command.words[0] in _NODE_TOOLS))[-_MAX_SHOWN:]
        ran_in = next((command.directory for command in stage.runs if command.words[0] in _NODE_TOOLS), "")
        inside = replace(files, stage=stage)
        directory = inside.project_path(ran_in) if ran_in else None
        made = _made(copy.sources, ran_in, directory)
        place = f"{copy.file or dockerfile.name}, line {copy.line}"
        is_made = bool(made) and _has_files(files, made) and not _lacks_ignored(files, made)
        is_there = _has_files(files, path) and not _lacks_ignored(files, path)
        node = match[1] if (match := _NODE_TAG.search(stage.image)) else ""
        yield BuiltFiles(place, path, commands, directory or "", made, node, is_there, is_made)


def _made(sources: tuple[str, ...], ran_in: str, directory: str | None) -> str:
    """Return where in the project a stage's only copied directory is made."""
    if directory is None or len(sources) != 1 or not sources[0].startswith(f"{ran_in.rstrip('/')}/"):
        return ""
    return posixpath.normpath(posixpath.join(directory, posixpath.relpath(sources[0], ran_in)))


def find_own_builds(dockerfile: Dockerfile) -> tuple[OwnBuild, ...]:
    """Return what the stage that production uses builds with node, one for each directory."""
    found: dict[str, OwnBuild] = {}
    for command, files in _own_runs(dockerfile):
        if command.doubt or command.words[0] not in _NODE_TOOLS or not _makes_files(command, files):
            continue
        below, text = _run_below(command)
        directory = files.project_path(below) if below else None
        known = "" if directory is None else directory or "."
        earlier = found[known].commands if known in found else ()
        found[known] = OwnBuild(command.place, known, (*earlier, text))
    return tuple(found.values())


def _own_runs(dockerfile: Dockerfile) -> Iterator[tuple[ShellCommand, CopiedFiles]]:
    """Yield the commands of the stage, and of one whose whole directory of the app it copies, with the files that they see."""
    home = dockerfile.files.home.rstrip("/")
    yield from ((command, dockerfile.files) for command in dockerfile.stage.runs)
    for copy in dockerfile.stage.copies:
        if (
            copy.origin is not None
            and home
            and [copy.target.rstrip("/"), *copy.sources] == [home, (copy.origin.workdir or "/").rstrip("/")]
        ):
            inside = replace(dockerfile.files, stage=copy.origin)
            yield from ((command, inside) for command in copy.origin.runs)


def _run_below(command: ShellCommand) -> tuple[str, str]:
    """Return the directory whose package.json a command reads, absolute in the image, and the command as it is written there."""
    if (option := _ELSEWHERE.search(command.text)) is None:
        return command.directory, command.text
    return posixpath.normpath(posixpath.join(command.directory, option[1])), command.text.replace(option[0], "", 1).strip()


def own_run_notes(dockerfile: Dockerfile) -> tuple[str, ...]:
    """Return sentences about what instructions of the stage itself make from the project's files, but for its front ends."""
    return tuple(dict.fromkeys(_own_run_notes(dockerfile)))


def _own_run_notes(dockerfile: Dockerfile) -> Iterator[str]:
    for command, files in _own_runs(dockerfile):
        # Steps of the stage itself run in the image, and translations are compiled without theirs.
        is_done = is_build_step(command.words) and files is dockerfile.files
        if not (command.doubt or is_done or command.words[0] in _NODE_TOOLS) and _makes_files(command, files):
            what = f"{command.place}: `{command.text}` does not run here"
            yield f"{what}. If the app needs what it makes, run it in the image, by [[tool.shipwheel.steps]]."


def _makes_files(command: ShellCommand, files: CopiedFiles) -> bool:
    name, rest = posixpath.basename(command.words[0]), command.words[1:]
    if name in _NODE_TOOLS:
        return rest[:1] not in (("install",), ("ci",)) and bool(_BUILDS.search(" ".join(rest)))
    script = rest[0] if rest and re.fullmatch(r"python[\d.]*", name) else command.words[0]
    own = files.project_path(posixpath.normpath(posixpath.join(command.directory or "/", script))) is not None
    return (own or name in ("flask", "django-admin")) and bool(_BUILDS.search(" ".join(rest))) and "compilemessages" not in rest


def _is_node(stage: Stage) -> bool:
    return _NODE_IMAGE.search(stage.image) is not None or any(command.words[0] in _NODE_TOOLS for command in stage.runs)


def _expected(copy: Copy, files: CopiedFiles) -> str | None:
    """Return where in the project the copied files would be; None for a place outside it."""
    target, home = copy.target.rstrip("/") or "/", files.home
    if home and target.startswith(home.rstrip("/") + "/"):
        return posixpath.relpath(target, home)
    return files.place_in_copies(target) if not home else None


def _has_files(files: CopiedFiles, path: str) -> bool:
    place = files.project / path
    return place.is_file() or (place.is_dir() and any(entry.name != ".gitkeep" for entry in place.iterdir()))


def _lacks_ignored(files: CopiedFiles, path: str) -> bool:
    """Return whether .gitignore names, in full, something below a directory that is not there: what a build adds to the files of git."""
    try:
        lines = (files.project / ".gitignore").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    named = (line.strip().removeprefix("**/").strip("/") for line in lines if _LITERAL.fullmatch(line.strip()))
    inside = (name.removeprefix(f"{top}/") for name in named for top in (path, posixpath.basename(path)) if name.startswith(f"{top}/"))
    return any(next((files.project / path).glob(name), None) is None for name in inside)
