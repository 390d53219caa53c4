"""The Dockerfile of a project: there may be several, in several folders, and the one that production uses is not always in the root."""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.made_files import is_made
from shipwheel.project.deployment.copied_files import CopiedFiles
from shipwheel.project.deployment.dockerfile import Instruction, exec_form, parse_dockerfile
from shipwheel.project.deployment.stage import Copy, Stage, evaluate_stages
from shipwheel.user.files import UserFiles, table_at
from shipwheel.versions import normalized

__all__ = ["Build", "Dockerfile", "find_dockerfiles", "has_other_purpose", "project_names", "repository_folders"]

_FILE = lazy_pattern(r"(dockerfile|containerfile)([._-].+)?|.+\.(dockerfile|containerfile)", re.IGNORECASE)
_FOLDERS = frozenset(
    """
    docker container containers .docker dockerfiles deploy deployment deployments .deploy build ops infra infrastructure packaging images
    """.split()  # noqa: SIM905
)
_OTHER_PURPOSE = frozenset(
    """
    dev devel develop development devcontainer debug local test tests testing ci lint docs doc e2e cypress playwright example examples
    sandbox demo bench benchmark base builder build nginx caddy traefik proxy postgres postgresql mysql mariadb redis rabbitmq node
    frontend website ui client alpine windows dockerignore
    """.split()  # noqa: SIM905
)
"""Words in the name of a Dockerfile or stage that production does not use, or not for the app."""
_OF_FRONT_ENDS = frozenset("node frontend website ui client".split())  # noqa: SIM905
"""Words of these that a stage on Python may have in its name: it holds a front end too."""
_PRODUCTION = frozenset("prod production release runtime deploy final app web server backend api".split())  # noqa: SIM905
_EDITOR = "devcontainer"
"""The word of what only an editor builds: its tools are none of the app's."""
_FOR_PRODUCTION = frozenset({"prod", "production"})
_VERSION = lazy_pattern(r"v?\d+|latest|main|master")
_MAX_CHAIN = 5
_MAX_UP = 3
_MAX_DOWN = 3
_MAX_CANDIDATES = 12
_MAX_ENTRIES = 500
_MAX_BYTES = 1 << 20


class Build(msgspec.Struct, frozen=True):
    """A build of an image, as another file describes it."""

    dockerfile: Path
    context: Path
    target: str = ""
    """The name of a stage; empty for the last one."""
    arguments: Mapping[str, str] = msgspec.field(default_factory=dict)
    image: str = ""
    """The name that the image gets; empty if the file gives it none."""
    listens: bool = False
    """True if the file names a port of it: it is a server."""
    for_production: bool = True
    """False if the file may be that of the developers."""


class Dockerfile(msgspec.Struct, frozen=True):
    """The stage of a Dockerfile that production uses, and its files."""

    name: str
    """The path relative to the project, for messages."""
    stage: Stage
    files: CopiedFiles
    path: Path = Path()
    stages: tuple[Stage, ...] = ()
    """All stages of the file."""

    @property
    def has_python(self) -> bool:
        """True if the name of an image that it is made from is that of a Python."""
        return any("python" in each.image for each in (self.stage, *self.stage.origins))


def repository_folders(root: Path, files: UserFiles) -> tuple[Path, ...]:
    """Return the project's directory and those above it, up to the one of the repository.

    Outside of a repository, as in an unpacked archive, the directory that the user gave is the last one.
    """
    found = (root, *root.parents)[: _MAX_UP + 1]
    repositories = (folder for folder in found if (folder / ".git").exists())
    given = (folder for folder in found if files.top is not None and folder.resolve() == files.top)
    last = next(chain(repositories, given), root)
    return found[: found.index(last) + 1]


def find_dockerfiles(root: Path, files: UserFiles, builds: Sequence[Build] = ()) -> tuple[Dockerfile, ...]:
    """Return the Dockerfiles that put something of the project into an image, the likeliest one for production first.

    `builds` are those that other files name; they know the build context, the stage and the arguments.
    """
    folders = repository_folders(root, files)
    named = {build.dockerfile: build for build in reversed(builds)}
    candidates = {*_candidates(folders), *(path for path in named if path.is_file())}
    ordered = sorted(candidates, key=lambda path: (_rank(path, root)[0], path not in named, *_rank(path, root)))
    every = _Dockerfiles(root, folders, files, named, tuple(builds), tuple(ordered))
    found = [dockerfile for path in ordered[:_MAX_CANDIDATES] if (dockerfile := every.read(path)) is not None]

    plain = [it for it in found if it.path not in named or not named[it.path].for_production]

    def place(path: Path, dockerfile: Dockerfile) -> tuple[object, ...]:
        build = named.get(path)
        is_server = build is not None and build.listens and dockerfile.has_python
        is_other, ups, lacks_production, *_ = _rank(path, root)
        return is_other, build is None, ups, lacks_production, not is_server, path == dockerfile.path

    def order(dockerfile: Dockerfile) -> tuple[object, ...]:
        # One for production comes right before the one that it is a variant of, also if the developers' compose file names only that.
        # One without a Python, as on nginx, is no variant of one with it.
        alike = (it.path for it in plain if dockerfile.has_python or not it.has_python)
        variants = (path for path in alike if _is_production_of(dockerfile.path, path, root))
        return min(place(path, dockerfile) for path in (dockerfile.path, *variants))

    # Of those that are named, a worker's may come first by its name.
    return tuple(sorted(found, key=order))


def _candidates(folders: tuple[Path, ...]) -> Iterator[Path]:
    for folder in folders:
        yield from _in_folder(folder, _MAX_DOWN)


def _in_folder(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the Dockerfiles of a folder, and of those below it that usually have some."""
    try:
        with os.scandir(folder) as listed:
            entries = sorted(islice(listed, _MAX_ENTRIES), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if _EDITOR in _words(entry.name):
            continue
        if _FILE.fullmatch(entry.name) and entry.is_file():
            yield Path(entry.path)
        elif depth and (entry.name in _FOLDERS or depth < _MAX_DOWN) and entry.is_dir(follow_symlinks=False):
            yield from _in_folder(Path(entry.path), depth - 1)


def _words(path: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", path.lower())) - {"dockerfile", "containerfile", "docker", ""}


def has_other_purpose(path: str) -> bool:
    """Return whether words in the path of a Dockerfile say that production does not use it, or not for the app."""
    return not _words(path).isdisjoint(_OTHER_PURPOSE - {"build"})


def _is_production_of(path: Path, plain: Path, root: Path) -> bool:
    """Return whether the paths of two Dockerfiles differ by the word production: worker.prod.Dockerfile, worker.Dockerfile."""
    words, others = (_words(os.path.relpath(each, root)) for each in (path, plain))
    return words != others and words - _FOR_PRODUCTION == others


def _rank(path: Path, root: Path) -> tuple[object, ...]:
    relative = Path(os.path.relpath(path, root)).as_posix()
    words = _words(relative)
    ups = relative.count("../")
    # One inside a Python package is about that part of the project.
    is_of_part = path.parent != root and (path.parent / "__init__.py").is_file()
    is_other = has_other_purpose(relative) or is_of_part
    return (is_other, ups, not words & _PRODUCTION if words else False, relative.count("/"), relative)


class _Dockerfiles(msgspec.Struct, frozen=True):
    """The Dockerfiles of a repository, whose images may be made from each other's."""

    root: Path
    folders: tuple[Path, ...]
    files: UserFiles
    named: Mapping[Path, Build]
    builds: tuple[Build, ...]
    paths: tuple[Path, ...]

    def read(self, path: Path) -> Dockerfile | None:
        """Return the stage that production uses; None if it has nothing of the project."""
        instructions = self._instructions(path)
        build = self.named.get(path)
        context = self._context_of(path, instructions)
        name = self._name(path)

        def image_of(workdir: str = "") -> tuple[tuple[Stage, ...], CopiedFiles | None]:
            stages = self._stages(path, instructions, workdir, frozenset({path}))
            stage = _production_stage(stages, build.target if build else "")
            return stages, CopiedFiles(stage, context, self.root, self.folders[-1], self.files) if stage is not None else None

        stages, image = image_of()
        if image is not None and (workdir := _workdir_of_base(image)):
            stages, image = image_of(workdir)
        return Dockerfile(name, image.stage, image, path, stages) if image is not None and _is_about(image, path, self.root) else None

    def _name(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()

    def _instructions(self, path: Path) -> tuple[Instruction, ...]:
        try:
            data = self.files.read_bytes(path) if path.stat().st_size <= _MAX_BYTES else b""
        except OSError:
            return ()
        # What `export` wrote says nothing new, and must not outlive the settings that it was written from.
        return () if is_made(data) else parse_dockerfile(data)

    def _context_of(self, path: Path, instructions: tuple[Instruction, ...]) -> Path:
        build = self.named.get(path)
        return build.context if build else _context(instructions, path, self.root, self.folders)

    def _stages(self, path: Path, instructions: tuple[Instruction, ...], workdir: str, seen: frozenset[Path]) -> tuple[Stage, ...]:
        build, context = self.named.get(path), self._context_of(path, instructions)
        return evaluate_stages(
            instructions, self._name(path), build.arguments if build else None, workdir, lambda image: self._made_here(image, context, seen)
        )

    def _made_here(self, image: str, context: Path, seen: frozenset[Path]) -> Stage | None:
        """Return the stage of another Dockerfile that makes an image, with its files as they are in a context."""
        build = next((build for build in self.builds if build.image and _is_same_image(image, build.image)), None)
        path = build.dockerfile if build is not None else self._by_name(image)
        if path is None or path in seen or len(seen) > _MAX_CHAIN:
            return None
        instructions = self._instructions(path)
        stages = self._stages(path, instructions, "", seen | {path})
        target = build.target.lower() if build is not None else ""
        stage = next((stage for stage in stages if target and stage.name == target), stages[-1] if stages else None)
        return _moved(stage, self._context_of(path, instructions), context) if stage is not None else None

    def _by_name(self, image: str) -> Path | None:
        """Return the Dockerfile whose name is the part of an image's name that the project's is not: Dockerfile.base for shop-base."""
        parts = [part for part in re.split(r"[^a-z0-9]+", image.lower().rpartition("/")[2]) if part and not _VERSION.fullmatch(part)]
        names = project_names(self.root, self.files) | {normalized(self.folders[-1].name)}
        for path in self.paths:
            own = _words(self._name(path)) - _FOLDERS
            if own <= {*parts} and "-".join(part for part in parts if part not in own) in names:
                return path
        return None


def project_names(root: Path, files: UserFiles) -> frozenset[str]:
    """Return the normalized names that an image of the project may have: that of its directory, and that in pyproject.toml."""
    try:
        tables = files.read_tables(root)
        named = [table_at(tables, *keys).get("name") for keys in (("project",), ("tool", "poetry"))]
    except ProjectError:
        named = []
    return frozenset(normalized(each) for each in (root.resolve().name, *named) if isinstance(each, str) and each)


def _is_same_image(image: str, other: str) -> bool:
    """Return whether two names are of one image: equal, but for a registry or a tag that only one of them has."""
    (name, _, tag), (other_name, _, other_tag) = (
        each.partition("@")[0].rpartition("/")[2].partition(":") for each in (image.lower(), other.lower())
    )
    return name == other_name and (tag == other_tag or not tag or not other_tag)


def _moved(stage: Stage, base: Path, context: Path) -> Stage:
    """Return a stage whose files are copied from one context with their paths in another."""
    if base == context:
        return stage
    prefix = os.path.relpath(base, context)

    def moved(copy: Copy) -> Copy:
        if copy.origin is not None:
            return replace(copy, origin=_moved(copy.origin, base, context))
        return copy if copy.image else replace(copy, sources=tuple(posixpath.join(prefix, source.lstrip("/")) for source in copy.sources))

    return replace(stage, copies=tuple(map(moved, stage.copies)))


def _workdir_of_base(image: CopiedFiles) -> str:
    """Return the working directory that a base image must have: files that are copied to `./` are started at an absolute path."""
    words = (exec_form(image.stage.entrypoint) or exec_form(image.stage.command) or ("",)) if not image.stage.workdir else ("",)
    started = words[0]
    for item in image.placed if started.startswith("/") else ():
        name = posixpath.basename(started)
        holds = item.is_directory and (image.context / item.source / name).is_file()
        target = posixpath.join(item.target, name) if holds else item.target
        if (holds or not item.is_directory) and started.endswith(target) and started != target:
            return started.removesuffix(target)
    return ""


def _production_stage(stages: tuple[Stage, ...], target: str) -> Stage | None:
    """Return the stage with a name, or else the last one, unless its name says that it is for development."""
    if named := next((stage for stage in stages if target and stage.name == target.lower() and not _words(target) & _OTHER_PURPOSE), None):
        return named
    usable = [stage for stage in stages if not _other_purpose(stage)]
    return (usable or [*stages])[-1] if stages else None


def _other_purpose(stage: Stage) -> frozenset[str]:
    """Return the words in a stage's name that say that it is not for production, or not for the app."""
    return (_words(stage.name) & _OTHER_PURPOSE) - (_OF_FRONT_ENDS if "python" in stage.image else frozenset())


def _context(instructions: tuple[Instruction, ...], path: Path, root: Path, folders: tuple[Path, ...]) -> Path:
    """Return the directory that has most of the files that are copied: the project's, the Dockerfile's, or one above."""
    sources = {
        posixpath.normpath(word.lstrip("/"))
        for it in instructions
        if it.keyword in ("COPY", "ADD") and not it.flag("from") and not it.documents
        for word in it.text.strip("[] ").replace('"', "").replace(",", " ").split()[:-1]
        if "$" not in word and "*" not in word and "://" not in word and word.strip("./")
    }
    best, most = root, -1
    inside = (root,) if root in path.parents else ()
    for folder in dict.fromkeys((*inside, path.parent, *folders)):
        count = sum((folder / source).exists() for source in sources if "\0" not in source)
        if count > most:
            best, most = folder, count
    return best


def _is_about(image: CopiedFiles, path: Path, root: Path) -> bool:
    """Return whether an image is the project's: it holds its files, and not only as part of a larger repository."""
    if path.parent == root:
        return image.covers_project or not image.placed
    if not image.covers_project:
        return False
    if image.context == root or root in image.context.parents:
        return True
    return image.has_part_of_project or image.project_path(image.stage.workdir or "/") is not None
