"""The image builds that CI runs: build steps of GitHub workflows, and `docker build` in their scripts and in .gitlab-ci.yml."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from shipwheel.project.deployment.find_dockerfile import Build
from shipwheel.project.deployment.script import NoFiles, Script
from shipwheel.project.deployment.shell import run_shell
from shipwheel.project.deployment.shell_words import UNKNOWN, ShellState
from shipwheel.project.deployment.yaml_file import YamlTable, parse_yaml, yaml_list, yaml_table, yaml_text
from shipwheel.user.files import UserFiles

__all__ = ["find_ci_builds"]

_MAX_WORKFLOWS = 30
_MAX_BYTES = 1 << 18
_ACTION = "docker/build-push-action@"


def find_ci_builds(repository: Path, files: UserFiles) -> tuple[Build, ...]:
    """Return the builds that the workflows of a repository run, those that push an image first."""
    found: list[tuple[bool, Build]] = []
    for path in [*sorted((repository / ".github" / "workflows").glob("*.y*ml"))[:_MAX_WORKFLOWS], repository / ".gitlab-ci.yml"]:
        try:
            if files.is_file(path) and path.stat().st_size <= _MAX_BYTES:
                found += _builds(parse_yaml(files.read_bytes(path)), repository)
        except OSError:
            continue
    return tuple(build for _, build in sorted(found, key=lambda pair: not pair[0]))


def _builds(table: YamlTable, repository: Path) -> Iterator[tuple[bool, Build]]:
    """Yield (True if it pushes the image, the build)."""
    jobs = yaml_table(table.get("jobs"))
    for job in map(yaml_table, jobs.values() if jobs else table.values()):
        for step in map(yaml_table, yaml_list(job.get("steps"))):
            if yaml_text(step.get("uses")).startswith(_ACTION):
                options = yaml_table(step.get("with"))
                build = _build(repository, *(yaml_text(options.get(key)) for key in ("context", "file", "target", "tags")))
                if build is not None:
                    yield yaml_text(options.get("push")) not in ("", "false"), build
            yield from _from_script(yaml_text(step.get("run")), repository)
        for line in map(yaml_text, yaml_list(job.get("script"))):
            yield from _from_script(line, repository)


def _from_script(text: str, repository: Path) -> Iterator[tuple[bool, Build]]:
    if "docker" not in text or "build" not in text:
        return
    pushes = "push" in text
    for command in run_shell(Script("", text.encode()), ShellState({}, (), "/"), NoFiles()):
        words = command.words
        if words[0] in ("docker", "podman", "buildah") and "build" in words[1:3]:
            options, rest = _options(words[words.index("build") + 1 :])
            context = posixpath.normpath(posixpath.join(command.directory, rest[-1] if rest else ".")).lstrip("/")
            file = options.get("-f", options.get("--file", ""))
            build = _build(repository, context, file, options.get("--target", ""), options.get("-t", options.get("--tag", "")))
            if build is not None:
                yield pushes or "--push" in words, build


def _options(words: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Return (options with their values, other words) of `docker build`."""
    options: dict[str, str] = {}
    rest: list[str] = []
    pending = ""
    for word in words:
        if pending:
            options[pending], pending = word, ""
        elif word.startswith("-"):
            name, equals, value = word.partition("=")
            if equals:
                options[name] = value
            elif name not in _FLAGS:
                pending = name
        else:
            rest.append(word)
    return options, rest


_FLAGS = frozenset({"--push", "--load", "--pull", "--no-cache", "-q", "--quiet", "--rm", "--squash"})


def _build(repository: Path, context: str, file: str, target: str, tags: str) -> Build | None:
    """Return a build; None if one of its paths is not known, or is not in the repository.

    `tags` are names of the image, of which the first counts.
    """
    values: Mapping[str, str] = {"context": context or ".", "file": file}
    if any("$" in value or UNKNOWN in value or "://" in value or value.startswith(("/", "..")) for value in values.values()):
        return None
    where = repository / values["context"]
    # Docker looks for the file from where it is started, and in the context without one.
    path = repository / posixpath.normpath(file) if file else where / "Dockerfile"
    image = next((tag for tag in re.split(r"[\s,]+", tags) if tag and "$" not in tag and UNKNOWN not in tag), "")
    return Build(path, Path(posixpath.normpath(where)), target, image=image)
