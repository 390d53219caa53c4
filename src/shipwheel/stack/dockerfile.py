"""A project's image as a Dockerfile for BuildKit, as far as BuildKit can: https://docs.docker.com/reference/dockerfile

The stages are `system` (the base with Debian packages), `builder` (the virtual environment), `development` and `production`. What the image
runs comes from the config that shipwheel gave it. `_LIMITS` is what gets lost on the way.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from shipwheel.container.venv import VENV
from shipwheel.made_files import head_for
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.platform import Platform
from shipwheel.settings.build import StepSettings

__all__ = ["FOLDER", "DockerProject", "dockerfile", "dockerignore"]

FOLDER = ".shipwheel"
"""The directory beside the Dockerfile with the files that it needs."""

_LIMITS = (
    "the same bytes twice: Debian packages are the newest of the day, and files have the time of the build",
    "another architecture without an emulator or a machine of that kind: every RUN is for the target",
    "layers that other projects share, or that stay when one package changes: all wheels are one layer",
    "a system without a shell, apt and pip, with the libraries alone that the app loads: it has what Debian's packages depend on",
    "a proof that every library and module is there before the image is pushed",
    "locked requirements of builds from source, and builds without a network",
)
"""The things that shipwheel does and a Dockerfile cannot."""

_PYTHON = f"/{VENV}/bin/python"
_DEFAULT_SIGNAL = "SIGTERM"
_INDENT = " \\\n    "
_SOURCE = "/build/source"


class DockerProject(msgspec.Struct, frozen=True):
    """A project and its image, as its Dockerfile needs it."""

    name: str
    base: str
    """Name of the base image, with its digest if that is known."""
    config: ExecutionConfig
    """The config of the image that shipwheel built."""
    health: tuple[str, ...]
    """Words of the health check; empty for none."""
    workdir: str
    packages: tuple[str, ...]
    """Debian packages of the image."""
    build_packages: tuple[str, ...]
    """Debian packages that builds from source need."""
    has_hashed: bool
    """True if there are requirements with hashes: FOLDER/requirements.txt."""
    sources: tuple[str, ...]
    """Requirements without hashes: repositories, and directories of the project as `./PATH`."""
    has_developer_requirements: bool
    """True if developers need more: FOLDER/requirements-dev.txt."""
    is_installed: bool
    """True if the project itself is installed as a package."""
    files: tuple[str, ...]
    """The files in the working directory, by their paths in the project; sorted."""
    left_out: tuple[str, ...]
    """Files and directories beside them that are not in the image."""
    context: tuple[str, ...]
    """The project's files that the build needs in addition."""
    copies: Mapping[str, str]
    """Absolute paths of the image -> paths in the project."""
    links: Mapping[str, str]
    """Paths of links in the image -> what they lead to."""
    import_paths: tuple[str, ...]
    """Absolute paths that are on the import path."""
    development_paths: tuple[str, ...]
    """Absolute paths that come first on the import path of developers: the mounted source, not what is installed."""
    site_packages: str
    """Absolute."""
    modules: tuple[str, ...]
    """Names of files that shipwheel adds to it, of those beside the Dockerfile."""
    has_launcher: bool
    steps: tuple[StepSettings, ...]
    """Programs that run in the finished image while it is built."""
    bytecode: bool
    platforms: tuple[Platform, ...]
    notes: tuple[str, ...] = ()
    """Differences of this project alone, a sentence each."""


def dockerfile(project: DockerProject) -> str:
    """Return the text of the Dockerfile."""
    stages = (_head(project), _system(project), _builder(project), _development(project), _production(project))
    return "\n".join("".join(f"{line}\n" for line in stage) for stage in stages)


def dockerignore(project: DockerProject) -> str:
    """Return the text of Dockerfile.dockerignore: nothing but what the build needs is sent, so no secret is."""
    tops = {path.partition("/")[0] for path in (*project.files, *project.context, *project.copies.values())}
    lines = [head_for("dockerfile").rstrip(), "*", f"!{FOLDER}", *(f"!{_pattern(top)}" for top in sorted(tops))]
    lines += ["**/__pycache__", "**/*.py[cod]", "**/.git", "**/.venv", "**/.env", "**/.env.*"]
    # Last: these lines decide.
    lines += [f"!{_pattern(path)}" for path in project.files if _is_hidden(path)]
    lines += [_pattern(path) for path in project.left_out]
    return "".join(f"{line}\n" for line in lines)


def _is_hidden(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name == ".env" or name.startswith(".env.")


def _pattern(path: str) -> str:
    """Return a pattern that matches a path alone (Go's filepath.Match). COPY would take `$` for a variable."""
    return "".join(f"[{each}]" if each in "*?[$" else each for each in path)


def _head(project: DockerProject) -> Iterator[str]:
    yield head_for("dockerfile").rstrip()
    yield "#"
    yield "# docker build --target production .        the image; --target development has the tools of developers, and no source:"
    yield "#   --build-arg USER_ID=$(id -u) --build-arg GROUP_ID=$(id -g), then mount the project at the working directory"
    yield "# --secret id=pip,src=$HOME/.config/pip/pip.conf      for another package index: no layer keeps the file"
    yield "#"
    yield "# shipwheel does what this file cannot:"
    yield from (f"# * {limit}" for limit in _LIMITS)
    yield from (f"# Note: {' '.join(note.splitlines())}" for note in project.notes)
    yield f"ARG BASE={project.base}"


def _system(project: DockerProject) -> Iterator[str]:
    # The person decides with BASE.
    yield "# hadolint ignore=DL3006"
    yield "FROM ${BASE} AS system"
    if project.packages:
        yield "ARG TARGETARCH"
        yield from _apt(project.packages)


def _apt(packages: Sequence[str]) -> Iterator[str]:
    # The archive keeps no old versions: a pinned one is gone after the next update.
    yield "# hadolint ignore=DL3008"
    caches = (_cache("apt", "/var/cache/apt"), _cache("apt-lists", "/var/lib/apt/lists"))
    commands = ("rm -f /etc/apt/apt.conf.d/docker-clean", "apt-get update", "apt-get install --yes --no-install-recommends")
    yield f"RUN {_INDENT.join((*caches, f'{_INDENT}&& '.join(commands)))}{_INDENT}    {f'{_INDENT}    '.join(packages)}"


def _cache(name: str, target: str) -> str:
    return f"--mount=type=cache,id={name}-${{TARGETARCH}},target={target},sharing=locked"


def _builder(project: DockerProject) -> Iterator[str]:
    yield "FROM system AS builder"
    yield "ARG TARGETARCH"
    if project.build_packages:
        yield from _apt(project.build_packages)
    yield f"RUN python3 -m venv --without-pip /{VENV}"
    if project.has_hashed:
        yield _install(f"--require-hashes --requirement {_SOURCE}/{FOLDER}/requirements.txt", _bind(f"{FOLDER}/requirements.txt"))
    if project.sources:
        yield "# Nothing to check these by: a repository has its commit, a directory is the project's own."
        words = " ".join(_quoted(it.replace("./", f"{_SOURCE}/", 1) if it.startswith("./") else it) for it in project.sources)
        yield _install(words, _bind())
    if project.bytecode and (project.has_hashed or project.sources):
        yield _compile(f"/{VENV}/lib")
    if project.is_installed:
        yield _install(_SOURCE, _bind())
    if project.import_paths:
        paths = " ".join(map(_quoted, project.import_paths))
        yield f"RUN printf '%s\\n' {paths} >{project.site_packages}/shipwheel.pth"
    for name in project.modules:
        yield f"COPY {_words((f'{FOLDER}/{name}', f'{project.site_packages}/'))}"


def _install(what: str, mount: str) -> str:
    configuration = "--mount=type=secret,id=pip,target=/etc/pip.conf"
    program = f"python3 -m pip --python /{VENV} install --no-deps --no-compile --disable-pip-version-check"
    return f"RUN {_INDENT.join((_cache('pip', '/root/.cache/pip'), configuration, mount, program))}{_INDENT}    {what}"


def _bind(path: str = "") -> str:
    """Return the mount of a file of the project, or of all that the build may see. Build backends write beside their source."""
    return f"--mount=type=bind,source={path},target={_SOURCE}/{path}" if path else f"--mount=type=bind,target={_SOURCE},rw"


def _compile(path: str) -> str:
    why = "# Packages may have files for other versions of Python, which do not compile."
    return f"{why}\nRUN {_PYTHON} -m compileall -q -j 0 --invalidation-mode unchecked-hash {path} || true"


def _development(project: DockerProject) -> Iterator[str]:
    yield "FROM builder AS development"
    if project.has_developer_requirements:
        path = f"{FOLDER}/requirements-dev.txt"
        yield _install(f"--require-hashes --requirement {_SOURCE}/{path}", _bind(path))
    variables = {**project.config.environment, "PYTHONPYCACHEPREFIX": "/tmp/pycache"}  # noqa: S108 - in the container
    if project.development_paths:
        variables["PYTHONPATH"] = ":".join(filter(None, (*project.development_paths, variables.get("PYTHONPATH", ""))))
    yield from _environment(variables)
    yield f"WORKDIR {project.workdir}"
    yield from _ports(project)
    yield "# By number: what it writes into the mounted source belongs to you."
    yield "ARG USER_ID=1000"
    yield "ARG GROUP_ID=1000"
    yield "USER ${USER_ID}:${GROUP_ID}"
    command = (*project.config.entrypoint, *project.config.cmd)
    yield f"CMD {_words(_without_launcher(command))}"


def _without_launcher(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command without the init and the launcher, which the stage has not."""
    words = tuple(command)
    while words and (words[0].rpartition("/")[2].startswith("tini") or words[0] == "--"):
        words = words[1:]
    ends = [number for number, word in enumerate(words) if word.endswith("/launcher.py")]
    return words[ends[0] + 1 :] if ends else words


def _production(project: DockerProject) -> Iterator[str]:
    config = project.config
    yield "FROM system AS production"
    yield f"COPY --from=builder /{VENV} /{VENV}"
    if project.has_launcher:
        yield f"COPY {_words((f'{FOLDER}/launcher.py', f'{FOLDER}/launch.json', '/opt/shipwheel/'))}"
    yield f"WORKDIR {project.workdir}"
    yield from _copied(project)
    user, _, _ = config.user.partition(":")
    commands = [f"install -d -m 0775 -o {user or 0} -g 0 {_quoted(volume)}" for volume in config.volumes]
    for path, target in project.links.items():
        commands += [f"mkdir -p {_quoted(path.rpartition('/')[0] or '/')}", f"ln -s {_quoted(target)} {_quoted(path)}"]
    if commands:
        yield f"RUN {f'{_INDENT}&& '.join(commands)}"
    if config.working_dir != project.workdir:
        yield f"WORKDIR {config.working_dir}"
    yield from _environment(config.environment)
    yield from map(_step, project.steps)
    yield from (f"LABEL {pair}" for pair in _pairs(config.labels))
    if config.volumes:
        yield f"VOLUME {_words(config.volumes)}"
    yield from _ports(project)
    if config.stop_signal != _DEFAULT_SIGNAL:
        yield f"STOPSIGNAL {config.stop_signal}"
    yield f"USER {config.user or '0:0'}"
    if project.health:
        yield f"HEALTHCHECK --interval=5s --timeout=10s --start-period=120s --retries=3 CMD {_words(project.health)}"
    if config.entrypoint:
        yield f"ENTRYPOINT {_words(config.entrypoint)}"
    if config.cmd:
        yield f"CMD {_words(config.cmd)}"


def _step(step: StepSettings) -> str:
    env = [f"{name}={value}" for name, value in sorted(step.env.items())]
    network = "" if step.network else "--network=none "
    return f"RUN {network}{_words((*(['env', *env] if env else []), *step.run))}"


def _copied(project: DockerProject) -> Iterator[str]:
    """Yield the lines that copy the project, a line for each directory at its top: .dockerignore alone decides what is in them."""
    own = [path for path in project.files if "/" not in path]
    if own:
        yield f"COPY {_words((*map(_pattern, own), './'))}"
    for folder in dict.fromkeys(path.partition("/")[0] for path in project.files if "/" in path):
        yield f"COPY {_words((f'{_pattern(folder)}/', f'./{folder}/'))}"
    for target, source in project.copies.items():
        yield f"COPY {_words((_pattern(source), target))}"
    if project.files and project.bytecode:
        yield _compile(".")


def _environment(values: Mapping[str, str]) -> Iterator[str]:
    if pairs := _pairs(values):
        yield f"ENV {_INDENT.join(pairs)}"


def _ports(project: DockerProject) -> Iterator[str]:
    if project.config.exposed_ports:
        yield f"EXPOSE {' '.join(f'{port.number}/{port.protocol}' for port in project.config.exposed_ports)}"


def _words(words: Sequence[str]) -> str:
    """Return the exec form: no shell takes part."""
    return json.dumps(list(words), ensure_ascii=False)


def _pairs(values: Mapping[str, str]) -> list[str]:
    """Return NAME="value" for ENV and LABEL, which replace `$NAME` in values and take a backslash for an escape.

    A line break ends the instruction, however it is quoted, so values with one are left out.
    """
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$"})
    return [f'{name}="{value.translate(escapes)}"' for name, value in sorted(values.items()) if "\n" not in value]


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
