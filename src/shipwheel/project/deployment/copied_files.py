"""The files of the repository in the image that a Dockerfile builds: which path there is which path here."""

import glob
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cached_property
from itertools import islice
from pathlib import Path

import msgspec

from shipwheel.project.deployment.script import Script, ShellCommand, list_names
from shipwheel.project.deployment.stage import Copy, Stage
from shipwheel.user.files import UserFiles

__all__ = ["CopiedFiles", "Placed"]

_MAX_GLOB = 100
_MAX_DEPTH = 6
_MAX_SCRIPT = 1 << 18


class Placed(msgspec.Struct, frozen=True):
    """A file or directory of the build context in the image."""

    source: str
    """Relative to the context, normalised; "." for the context itself."""
    target: str
    """Absolute."""
    is_directory: bool
    line: int


class CopiedFiles(msgspec.Struct, frozen=True, dict=True):
    """The files of a stage that come from the repository.

    Args:
        stage: The stage.
        context: The build context, a directory on this machine.
        project: The project's directory, which is the context, above it or below it.
        repository: The directory of the repository that the project is in.
    """

    stage: Stage
    context: Path
    project: Path
    repository: Path
    files: UserFiles = msgspec.field(default_factory=UserFiles)

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """The files that the stage's instructions copy from the context, in their order, also by way of other stages."""
        return tuple(self._placed(self.stage, 0))

    @cached_property
    def covers_project(self) -> bool:
        """True if something of the project gets into the image."""
        return any(self._relation(item) is not None for item in self.placed)

    @cached_property
    def has_part_of_project(self) -> bool:
        """True if an instruction copies the project or a part of it, and not only a directory that holds more."""
        relations = (self._relation(item) for item in self.placed)
        return any(relation is not None and relation[0] in (None, ".") for relation in relations)

    @cached_property
    def home(self) -> str:
        """The directory of the image that is the project's; empty if there is none."""
        votes: Counter[str] = Counter()
        for item in self.placed:
            relation = self._relation(item)
            if relation is None:
                continue
            below_source, below_project = relation
            if below_source is not None and item.is_directory:
                votes[posixpath.normpath(posixpath.join(item.target, below_source))] += 100
            elif below_project and item.target.endswith(f"/{below_project}"):
                votes[item.target[: -len(below_project) - 1] or "/"] += 1
        if not votes:
            # Another Dockerfile's image has the project's packages: they keep their names.
            named = (copy.target.rstrip("/") for copy in self.stage.copies if copy.origin is not None or copy.image)
            votes.update(posixpath.dirname(path) for path in named if self._has(self.project / posixpath.basename(path) / "__init__.py"))
        return max(votes, key=lambda path: votes[path], default="")

    @cached_property
    def _builds(self) -> bool:
        """False for a Dockerfile that copies what is not there: it builds no image."""
        own = (copy for copy in self.stage.copies if copy.origin is None and not copy.image)
        return all(self._has(self.context / it.strip("/")) for copy in own for it in copy.sources if not glob.has_magic(it))

    @cached_property
    def _context_home(self) -> str:
        """The directory of the image in which what is copied has its paths in the context; empty if there is none."""
        if not self._builds:
            return ""
        kept = (it.target[: -len(it.source) - 1] or "/" for it in self.placed if it.source != "." and it.target.endswith(f"/{it.source}"))
        return next(kept, "")

    def is_copied(self, path: str) -> bool:
        """Return whether an absolute path of the image comes from the context, from inside the project or not."""
        return any(self._has(self.context / source) for source in self._sources(posixpath.normpath(path)))

    def has_copy_of(self, file: str) -> bool:
        """Return whether the image has a file of the project, wherever."""
        path = self.project / file
        return any(source == path or source in path.parents for source in (self.context / item.source for item in self.placed))

    def project_path(self, path: str) -> str | None:
        """Return the path in the project of an absolute path in the image; None for one that the project does not have."""
        if not path.startswith("/") or "\0" in path:
            return None
        path = posixpath.normpath(path)
        for source in self._sources(path):
            found = self._in_project(source)
            if found is not None and self._has(self.context / source) and not self._is_only_laid_over(path, source):
                return found
        # A volume holds data, and hides what an image has there.
        is_elsewhere = bool(self.placed) or self.stage.workdir in self.stage.volumes
        home = self.home or ("" if is_elsewhere else self.stage.workdir or "/")
        if not home and (start := self._context_home) and (path == start or path.startswith(start.rstrip("/") + "/")):
            found = self._in_project(posixpath.relpath(path, start))
            return found if found is not None and self._has(self.project / found) else None
        if home and (path == home or path.startswith(home.rstrip("/") + "/")):
            inside = posixpath.relpath(path, home)
            return inside if self._has(self.project / inside) else None
        return self._with_same_names(path) if not home and self._builds else None

    def place_in_copies(self, path: str) -> str | None:
        """Return where in the project a file would be that the image is to have at an absolute path; None for a place outside it.

        It need not be there: it would be in the directory that is copied to where the path leads.
        """
        path = posixpath.normpath(path)
        above = (it for it in reversed(self.placed) if it.is_directory and path.startswith(it.target.rstrip("/") + "/"))
        places = (self._in_project(posixpath.normpath(posixpath.join(it.source, posixpath.relpath(path, it.target)))) for it in above)
        return next((place for place in places if place is not None), None)

    def _with_same_names(self, path: str) -> str | None:
        """Return the project's directory whose directories are below `path` under their names: `/code` for src/app at `/code/app`."""
        items = (item for item in self.placed if item.is_directory and posixpath.dirname(item.target) == path)
        parents = {posixpath.dirname(it.source) for it in items if posixpath.basename(it.source) == posixpath.basename(it.target)}
        found = self._in_project(parents.pop() or ".") if len(parents) == 1 else None
        return found if found is not None and self._has(self.project / found) else None

    def read_script(self, path: str) -> Script | None:
        """See `ScriptFiles`."""
        if (written := dict(self.stage.written).get(path)) is not None:
            return Script(f"{self.stage.file} ({path})", written.encode())
        places = [(self.context / source, source) for source in self._sources(path)] if path.startswith("/") and "\0" not in path else []
        inside = self.project_path(path)
        if inside is not None:
            places.append((self.project / inside, inside))
        for file, name in places:
            try:
                if self.files.is_file(file):
                    data = self.files.read_start(file, _MAX_SCRIPT + 1)
                    return Script(name, data) if len(data) <= _MAX_SCRIPT else None
            except (OSError, ValueError):
                continue
        return None

    def exists(self, path: str) -> bool | None:
        """See `ScriptFiles`: only what the repository has is known."""
        if not path.startswith("/"):
            path = posixpath.join(self.stage.workdir or "/", path)
        return True if path in dict(self.stage.written) or self.project_path(path) is not None else None

    def names_in(self, path: str) -> tuple[str, ...]:
        """See `ScriptFiles`."""
        below = [posixpath.basename(item.target) for item in self.placed if posixpath.dirname(item.target) == path]
        below += [name for source in self._sources(path) for name in list_names(self.context / source)]
        return tuple(sorted(set(below)))

    def _sources(self, path: str) -> Iterator[str]:
        """Yield where a path of the image may come from in the context, the last copy first."""
        for item in reversed(self.placed):
            # A file that is copied to a directory of the image, such as somebody's home, keeps its name there.
            if path == item.target or (not item.is_directory and path == posixpath.join(item.target, posixpath.basename(item.source))):
                yield item.source
            elif item.is_directory and path.startswith(item.target.rstrip("/") + "/"):
                yield posixpath.normpath(posixpath.join(item.source, posixpath.relpath(path, item.target)))

    def _is_only_laid_over(self, path: str, source: str) -> bool:
        """Return whether a directory without code is copied over the project's own: that stays the project's."""
        return path == self.home and source != "." and not any((self.context / source).glob("*.py"))

    def _placed(self, stage: Stage, depth: int) -> Iterator[Placed]:
        yield from self._cloned(stage)
        for copy in stage.copies if depth < _MAX_DEPTH else ():
            if copy.origin is not None:
                inner = tuple(self._placed(copy.origin, depth + 1))
                sources = [name for source in copy.sources for name in self._matching(source, inner)]
                yield from (moved for item in inner for source in sources if (moved := self._moved(item, source, copy)))
            elif not copy.image:
                for source in copy.sources:
                    yield from self._from_context(source, copy)

    def _matching(self, source: str, placed: tuple[Placed, ...]) -> Iterator[str]:
        """Yield the paths of another stage that a source means: those in a directory whose names match, or itself."""
        folder, pattern = posixpath.split(source)
        if not glob.has_magic(source):
            yield source
        elif not glob.has_magic(folder):
            above = (it for it in placed if it.is_directory and f"{folder}/".startswith(it.target.rstrip("/") + "/"))
            places = [self.context / it.source / posixpath.relpath(folder, it.target) for it in above]
            names = {name for place in places for name in list_names(place) if fnmatch(name, pattern)}
            yield from (posixpath.join(folder, name) for name in sorted(names)[:_MAX_GLOB])

    def _cloned(self, stage: Stage) -> Iterator[Placed]:
        """Yield the clones of the repository itself, which some Dockerfiles make instead of copying it."""
        source = posixpath.relpath(self.repository.as_posix(), self.context.as_posix())
        for run in stage.runs:
            url, target = _clone_of(run)
            if target and self._is_own_clone(url, target, stage.workdir):
                yield Placed(source, target, True, run.line)

    def _is_own_clone(self, url: str, target: str, workdir: str) -> bool:
        """Return whether a clone is of this repository: it has the directory that the stage works in, or the same origin."""
        if workdir.startswith(f"{target}/") and self._has(self.repository / posixpath.relpath(workdir, target)):
            return True
        config = self.repository / ".git" / "config"
        path = "/".join(re.split(r"[/:]", url.removesuffix(".git"))[-2:])
        return self.files.is_file(config) and bool(re.search(rf"[/:]{re.escape(path)}(\.git)?\s", self.files.read_text(config)))

    def _from_context(self, source: str, copy: Copy) -> Iterator[Placed]:
        if "://" in source or "\0" in source:
            return
        relative = posixpath.normpath(source.strip("\"'").lstrip("/") or ".")
        names = [relative]
        if glob.has_magic(relative):
            try:
                found = [path.relative_to(self.context).as_posix() for path in islice(self.context.glob(relative), _MAX_GLOB)]
            except (ValueError, OSError, NotImplementedError):
                return
            names = sorted(found)
        for name in names:
            if name.startswith("..") or not self._has(self.context / name):
                continue
            is_directory = (self.context / name).is_dir()
            into = copy.target.endswith("/") or len(names) > 1
            target = posixpath.join(copy.target, posixpath.basename(name)) if into and not is_directory else copy.target
            yield Placed(name, posixpath.normpath(target), is_directory, copy.line)

    def _relation(self, item: Placed) -> tuple[str | None, str] | None:
        """Return (the project below the source, or None; the source below the project, or empty); None if they have nothing in common."""
        source, project = posixpath.normpath(posixpath.join(self.context.as_posix(), item.source)), self.project.as_posix()
        if project == source or project.startswith(source.rstrip("/") + "/"):
            return posixpath.relpath(project, source), ""
        return (None, posixpath.relpath(source, project)) if source.startswith(project.rstrip("/") + "/") else None

    def _in_project(self, source: str) -> str | None:
        path, project = posixpath.normpath(posixpath.join(self.context.as_posix(), source)), self.project.as_posix()
        inside = path == project or path.startswith(project.rstrip("/") + "/")
        return posixpath.relpath(path, project) if inside else None

    def _has(self, path: Path) -> bool:
        try:
            return path.exists()
        except (OSError, ValueError):
            return False

    def _moved(self, item: Placed, source: str, copy: Copy) -> Placed | None:
        """Return where a file of another stage is after a copy of `source`; None if that does not copy it."""
        source, target = posixpath.normpath(posixpath.join("/", source)), copy.target
        origin, end = item.source, ""
        if item.target.startswith(source.rstrip("/") + "/"):
            end = posixpath.relpath(item.target, source)
        elif item.is_directory and source.startswith(item.target.rstrip("/") + "/"):
            origin = posixpath.normpath(posixpath.join(item.source, posixpath.relpath(source, item.target)))
        elif item.target != source:
            return None
        is_directory = item.is_directory if origin == item.source else (self.context / origin).is_dir()
        if not end and not is_directory and target.endswith("/"):
            end = posixpath.basename(source)
        return Placed(origin, posixpath.normpath(posixpath.join(target, end)), is_directory, copy.line)


def _clone_of(run: ShellCommand) -> tuple[str, str]:
    """Return the URL and the absolute directory of a `git clone`; empty texts for another command."""
    if run.words[:2] != ("git", "clone"):
        return "", ""
    place = next((number for number, word in enumerate(run.words) if "://" in word or word.startswith("git@")), 0)
    if not place:
        return "", ""
    url = run.words[place].rstrip("/")
    name = run.words[place + 1] if place + 1 < len(run.words) else posixpath.basename(url).removesuffix(".git")
    return url, posixpath.normpath(posixpath.join(run.directory or "/", name))
