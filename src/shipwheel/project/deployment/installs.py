"""Everything that a Dockerfile installs: the Python, requirements files, extras, groups, Python packages and Debian packages."""

import posixpath
import re
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.copied_files import CopiedFiles
from shipwheel.project.deployment.find_dockerfile import Dockerfile
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.deployment.shell_words import UNKNOWN
from shipwheel.project.deployment.stage import Stage
from shipwheel.project.deployment.system_packages import SystemPackages, find_system_packages
from shipwheel.versions import requirement_name

__all__ = ["OF_DEVELOPERS", "Installs", "find_installs"]

_PYTHON_IMAGE = lazy_pattern(r"(?:^|/)python:v?(3\.\d+)")
_PYTHON_TAG = lazy_pattern(r"python-?(3\.\d+)", re.IGNORECASE)
_PYTHON_PACKAGE = lazy_pattern(r"python3\.\d+")
_MADE_BY = frozenset({"pyenv", "uv", "conda", "mamba", "micromamba"})
"""Programs that bring a Python of their own, whatever the system's is."""
_MADE_PYTHON = lazy_pattern(r"(?:(?:--|c)?python[=-]{1,2})?(3\.\d+)(?:\.\d+)?")
_SYSTEM_IMAGE = lazy_pattern(r"(?:^|/)(?:ubuntu:([\w.]+)|debian:(\w+))")
_OF_SYSTEMS = {
    **dict.fromkeys(("18.04", "bionic"), "3.6"),
    **dict.fromkeys(("20.04", "focal"), "3.8"),
    **dict.fromkeys(("22.04", "jammy"), "3.10"),
    **dict.fromkeys(("24.04", "noble"), "3.12"),
    **dict.fromkeys(("10", "buster"), "3.7"),
    **dict.fromkeys(("11", "bullseye"), "3.9"),
    **dict.fromkeys(("12", "bookworm"), "3.11"),
    **dict.fromkeys(("13", "trixie"), "3.13"),
}
"""Release of Ubuntu or Debian -> the Python that its package python3 is."""
_TOOLS = frozenset(
    """
    pip setuptools wheel poetry poetry-core poetry-plugin-export uv pipx pipenv pdm hatch hatchling flit build virtualenv tox nox pip-tools
    twine cython setuptools-rust meson meson-python ninja maturin setuptools-scm cmake pyinstaller awscli ansible
    """.split()  # noqa: SIM905
)
"""Python packages that only build or install others."""
OF_DEVELOPERS = lazy_pattern(
    r"(^|[-_./])(dev|devel|development|tests?|testing|lint|linting|docs?|typing|ci|local|debug|build)([-_.]|$)", re.I
)
"""In the name of a requirements file, an extra or a group: it is for those who work on the project."""
_NAME = lazy_pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?\s*([<>=!~;].*)?", re.DOTALL)
_WITH_VALUE = frozenset(
    """
    -i --index-url --extra-index-url -f --find-links -t --target --prefix --root --cache-dir --default-timeout --timeout --retries -c
    --constraint --trusted-host --platform --python-version -w --wheel-dir --no-binary --only-binary --python -p --upgrade-strategy --proxy
    --progress-bar --src --implementation --abi --config-settings --use-feature --use-deprecated --index --index-strategy --build-option
    --global-option --log --exists-action --dest -d --root-user-action --report --group --build-constraint --keyring-provider --cert
    --client-cert --resume-retries -C --exclude-newer --link-mode --resolution --prerelease --python-platform --torch-backend --override
    --overrides --upgrade-package -P --refresh-package --reinstall-package --build-constraints -b --constraints --allow-insecure-host
    --extra --default-index --directory --project --config-file --color
    """.split()  # noqa: SIM905
)
"""Options of `pip install` and `uv pip install` that take a value, which is no package."""


class Installs(msgspec.Struct, frozen=True):
    """Everything that a Dockerfile installs. Each value comes with its place for messages."""

    python: str = ""
    """Minor version of the image's Python, empty if it is not known."""
    python_place: str = ""
    """The place that names it: "FROM in Dockerfile, line 1", or "Dockerfile, line 3"."""
    requirements: tuple[str, ...] = ()
    """Requirements files, relative to the project."""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Python packages by name, as requirements (PEP 508)."""
    system: SystemPackages = msgspec.field(default_factory=SystemPackages)
    project: bool = False
    """True if it installs the project itself."""
    place: str = ""
    """The place of the first of these."""
    notes: tuple[str, ...] = ()

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Sentences about what is not taken over."""
        return (*self.notes, *self.system.notes, *([self.system.left_out_note] if self.system.left_out else ()))


def find_installs(dockerfile: Dockerfile) -> Installs:
    """Return what a Dockerfile installs into the image that production uses, and into the stages that this one copies from."""
    found = _Installed()
    for stage in (*reversed(dockerfile.stage.origins), dockerfile.stage):
        files = replace(dockerfile.files, stage=stage)
        for command in stage.runs:
            if not command.background:
                _read(command, files, found)
    python, place = _python(dockerfile.stage)
    return Installs(
        python,
        place,
        _without_development([name for name in found.requirements if not _brings(name, found.managers, dockerfile.files)]),
        _without_development(found.extras),
        _without_development(found.groups),
        tuple(dict.fromkeys(found.packages)),
        find_system_packages(dockerfile.stage.runs),
        found.project or bool(found.managers),
        found.place,
        tuple(dict.fromkeys(found.notes)),
    )


def _brings(name: str, managers: set[str], files: CopiedFiles) -> bool:
    """Return whether a requirements file brings a project manager that the Dockerfile runs: it is the manager's, and not the project's."""
    lines = files.files.read_text(files.project / name).splitlines() if managers else ()
    return any(requirement_name(line) in managers for line in lines)


def _python(stage: Stage) -> tuple[str, str]:
    """Return (minor version, file and line) of the image's Python, or of a stage's that files are copied from."""
    for each in (stage, *stage.origins):
        if match := _PYTHON_IMAGE.search(each.image) or _PYTHON_TAG.search(each.image.rpartition("/")[2]):
            return match[1], f"FROM in {each.file}, line {each.line}"
    for command in (command for each in (stage, *stage.origins) for command in each.runs):
        made = map(_MADE_PYTHON.fullmatch, command.words) if posixpath.basename(command.words[0]) in _MADE_BY else ()
        if match := next(filter(None, made), None):
            return match[1], command.place
    for each in (stage, *stage.origins):
        names = {name: command.place for command in each.runs for name in _packages_of_apt(command)}
        if named := next((name for name in names if _PYTHON_PACKAGE.fullmatch(name)), None):
            return named.removeprefix("python"), names[named]
        if "python3" in names and (match := _SYSTEM_IMAGE.search(each.image)) and (own := _OF_SYSTEMS.get(match[1] or match[2])):
            return own, f"FROM in {each.file}, line {each.line}"
    return "", ""


def _packages_of_apt(command: ShellCommand) -> tuple[str, ...]:
    """Return the names in a command that installs Debian packages."""
    is_apt = posixpath.basename(command.words[0]) in ("apt-get", "apt") and "install" in command.words
    return command.words[1:] if is_apt else ()


def _without_development(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if not OF_DEVELOPERS.search(name))


class _Installed:
    """Collects what commands install."""

    def __init__(self) -> None:
        self.requirements: list[str] = []
        self.extras: list[str] = []
        self.groups: list[str] = []
        self.packages: list[str] = []
        self.notes: list[str] = []
        self.managers: set[str] = set()
        """The project managers that install from the project's own files."""
        self.project = False
        self.place = ""


def _read(command: ShellCommand, files: CopiedFiles, found: _Installed) -> None:
    words = tuple(word for word in command.words if UNKNOWN not in word)
    name = posixpath.basename(words[0]) if words else ""
    if re.fullmatch(r"python[\d.]*", name) and words[1:2] == ("-m",):
        words, name = words[2:], words[2] if len(words) > 2 else ""
    if name == "uv" and words[1:2] == ("pip",):
        words, name = words[1:], "pip"
    if re.fullmatch(r"pip[\d.]*", name) and any(word in words for word in ("install", "wheel", "download")):
        _read_pip(command, words, files, found)
    elif name in _MANAGER_OPTIONS and words[1:2] and words[1] in ("sync", "install", "export"):
        found.managers.add(name)
        options = dict(_options(words[2:]))
        for option, kind in (*_MANAGER_OPTIONS[name].items(),):
            target = found.extras if kind == "extra" else found.groups
            target += [part for value in options.get(option, ()) for part in re.split(r"[\s,]+", value) if part]
    else:
        found.project |= posixpath.basename(words[1]) == "setup.py" if len(words) > 1 else False
        return
    found.place = found.place or command.place


_MANAGER_OPTIONS = {
    "uv": {"--extra": "extra", "--group": "group", "--only-group": "group"},
    "poetry": {"--extras": "extra", "-E": "extra", "--with": "group", "--only": "group"},
    "pdm": {"-G": "group", "--group": "group"},
    "pipenv": {},
}
"""Program -> its options that name extras and groups."""


def _options(words: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (option, values) of all options of a command."""
    values: dict[str, tuple[str, ...]] = {}
    for word, following in zip(words, (*words[1:], ""), strict=False):
        option, equals, value = word.partition("=")
        if option.startswith("-"):
            values[option] = (*values.get(option, ()), value if equals else following)
    yield from values.items()


def _read_pip(command: ShellCommand, words: tuple[str, ...], files: CopiedFiles, found: _Installed) -> None:
    rest = list(words[next(number for number, word in enumerate(words) if word in ("install", "wheel", "download")) + 1 :])
    while rest:
        word = rest.pop(0)
        option, equals, value = (word[:2], "=", word[2:]) if word[:2] in ("-r", "-e") else word.partition("=")
        if option in ("-r", "--requirement", "--requirements"):
            _add_file((value if equals and value else rest.pop(0) if rest else ""), command, files, found)
        elif option in ("-e", "--editable"):
            _add_target((value if equals and value else rest.pop(0) if rest else ""), command, files, found)
        elif word in _WITH_VALUE:
            del rest[:1]
        elif not word.startswith("-"):
            _add_target(word, command, files, found)


def _add_file(name: str, command: ShellCommand, files: CopiedFiles, found: _Installed) -> None:
    path = files.project_path(posixpath.join(command.directory or "/", name))
    if path is not None and (files.project / path).is_file():
        found.requirements.append(path)


def _add_target(target: str, command: ShellCommand, files: CopiedFiles, found: _Installed) -> None:
    """Add a requirement of pip's command line: the project itself with extras, another directory, or a package by name."""
    path, _, extras = target.partition("[")
    if path.startswith((".", "/")):
        path = posixpath.normpath(posixpath.join(command.directory or "/", path))
        inside = files.project_path(path)
        if inside == ".":
            found.project = True
            found.extras += [part.strip() for part in extras.rstrip("]").split(",") if part.strip()]
        elif "*" not in path and not path.endswith((".whl", ".gz", ".txt")) and (inside is not None or files.is_copied(path)):
            what = f"the project in {inside}" if inside is not None else "another project"
            more = f": build that directory, or require ./{inside}" if inside is not None else ""
            found.notes.append(f"{command.place}: `pip install {target}` installs {what}, which is not in the image{more}.")
    elif _NAME.fullmatch(target) and "://" not in target:
        name = requirement_name(target)
        if name not in _TOOLS and not target.endswith((".whl", ".txt")):
            found.packages.append(target)
