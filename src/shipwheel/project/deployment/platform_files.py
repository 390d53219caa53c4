"""The files of hosting platforms: app.yaml, fly.toml, render.yaml, railway.toml, nixpacks.toml, heroku.yml, and those in .ebextensions."""

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.project.deployment.container_settings import ContainerSettings
from shipwheel.project.deployment.find_dockerfile import Build
from shipwheel.project.deployment.process import BUILD, RELEASE, DeploymentFile, Process, ProjectFiles
from shipwheel.project.deployment.script import list_names
from shipwheel.project.deployment.secrets import is_secret
from shipwheel.project.deployment.stage import parse_port
from shipwheel.project.deployment.yaml_file import parse_yaml, yaml_list, yaml_table, yaml_text
from shipwheel.user.files import UserFiles, table_at

__all__ = ["Hosting", "read_hosting"]

_OF_NIXPACKS = "NIXPACKS_"
"""Before the names of variables for the build alone."""


class Hosting(msgspec.Struct, frozen=True):
    """The contents of one platform's file."""

    processes: tuple[Process, ...] = ()
    settings: tuple[ContainerSettings, ...] = ()
    builds: tuple[Build, ...] = ()
    python: str = ""
    """Minor version of Python, empty if the file names none."""
    place: str = ""


class _Described(msgspec.Struct):
    """Collects what a file says about one service."""

    file: str
    files: ProjectFiles
    line: int = 1
    commands: dict[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    """Process -> (command, line)."""
    variables: dict[str, str | None] = msgspec.field(default_factory=dict)
    ports: list[str] = msgspec.field(default_factory=list)
    volumes: list[str] = msgspec.field(default_factory=list)
    health: str = ""
    python: str = ""
    dockerfile: str = ""
    directory: str = ""

    def hosting(self) -> Hosting:
        """Return what was collected as frozen values."""
        known = {name: value for name, value in self.variables.items() if value and not is_secret(name, value)}
        ports = tuple(dict.fromkeys(self.ports))
        home = posixpath.normpath(posixpath.join(self.files.home, self.directory))
        processes = tuple(
            Process(DeploymentFile.PLATFORM, name, self.file, line, self.files, text, (), (), home, known, ports if name == "web" else ())
            for name, (text, line) in self.commands.items()
        )
        withheld = tuple(name for name in self.variables if name not in known)
        settings = ContainerSettings(
            f"{self.file}, line {self.line}", self.files, "", known, withheld, tuple(self.volumes), (), ports, (), self.health
        )
        root = self.files.project
        builds = (Build(root / self.dockerfile, root),) if self.dockerfile else ()
        return Hosting(processes, (settings,), builds, self.python, f"{self.file}, line {self.line}")


def read_hosting(root: Path, files: UserFiles) -> tuple[Hosting, ...]:
    """Return what the files of hosting platforms in a project's directory say; nothing for files that are malformed."""
    found: list[Hosting] = []
    extensions = (f"{_BEANSTALK}/{name}" for name in sorted(list_names(root / _BEANSTALK)) if name.endswith(".config"))
    for name, read in (*_READERS.items(), *((name, _elastic_beanstalk) for name in extensions)):
        path = root / name
        try:
            if files.is_file(path):
                found += read(path, name, files)
        except (OSError, ProjectError):
            continue
    return tuple(found)


def _fly(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield what fly.toml says: [build], [env], [processes], [deploy], [http_service], [[services]], [mounts]."""
    tables = files.read_toml(path)
    text = files.read_text(path)
    found = _Described(name, ProjectFiles(path.parent, files=files))
    for process, command in table_at(tables, "processes").items():
        if isinstance(command, str) and command:
            found.commands["web" if process in ("app", "web") else process] = (command, _line(text, process))
    if isinstance(release := table_at(tables, "deploy").get("release_command"), str):
        found.commands[RELEASE] = (release, _line(text, "release_command"))
    found.variables |= _variables(table_at(tables, "env"))
    found.dockerfile = str(table_at(tables, "build").get("dockerfile") or "")
    services = [table_at(tables, "http_service"), *_tables(tables.get("services"))]
    for service in services:
        found.ports += filter(None, [parse_port(str(service.get("internal_port") or ""))])
        for check in (*_tables(service.get("http_checks")), *_tables(service.get("checks"))):
            found.health = found.health or str(check.get("path") or "")
    mounts = tables.get("mounts") or tables.get("mount")
    found.volumes += [str(mount["destination"]) for mount in _tables(mounts) if mount.get("destination")]
    yield found.hosting()


def _tables(value: object) -> list[Mapping[str, Any]]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, Mapping)]


def _line(text: str, key: str) -> int:
    """Return the line of a key in a TOML or JSON file; 1 where it does not begin a line."""
    match = re.search(rf"^[ \t]*\"?{re.escape(key)}\"?[ \t]*[=:]", text, re.MULTILINE)
    return text.count("\n", 0, match.end()) + 1 if match else 1


def _render(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield what render.yaml says of the services that start a command."""
    for service in map(yaml_table, yaml_list(parse_yaml(files.read_bytes(path)).get("services"))):
        kind = yaml_text(service.get("type"))
        runtime = yaml_text(service.get("runtime")) or yaml_text(service.get("env"))
        if kind not in ("web", "worker", "pserv", "cron") or runtime not in ("python", "docker", ""):
            continue
        directory = posixpath.normpath(yaml_text(service.get("rootDir")) or ".")
        found = _Described(name, ProjectFiles(path.parent, files=files), service.line, directory=directory)
        process = "web" if kind in ("web", "pserv") else yaml_text(service.get("name")) or kind
        named = {"startCommand": process, "dockerCommand": process, "preDeployCommand": RELEASE}
        for key, command_name in (*named.items(), *([("buildCommand", BUILD)] if process == "web" else ())):
            if text := yaml_text(service.get(key)):
                found.commands[command_name] = (text, service.line_of(key))
        for item in map(yaml_table, yaml_list(service.get("envVars"))):
            if key := yaml_text(item.get("key")):
                found.variables[key] = yaml_text(item.get("value")) or None
        version = re.match(r"3\.\d+", found.variables.get("PYTHON_VERSION") or "")
        found.python = version[0] if version else ""
        found.health = yaml_text(service.get("healthCheckPath"))
        found.volumes += filter(None, [yaml_text(yaml_table(service.get("disk")).get("mountPath"))])
        found.dockerfile = yaml_text(service.get("dockerfilePath")).removeprefix("./") if process == "web" else ""
        yield found.hosting()


def _railway(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield what railway.toml or railway.json says: build and deploy."""
    text = files.read_text(path)
    table = parse_yaml(text.encode()) if path.suffix == ".json" else files.read_toml(path)
    build, deploy = table_at(table, "build"), table_at(table, "deploy")
    found = _Described(name, ProjectFiles(path.parent, files=files))
    before = deploy.get("preDeployCommand")
    release = " && ".join(map(str, before)) if isinstance(before, list) else before
    start, made = deploy.get("startCommand"), build.get("buildCommand")
    for process, key, command in (("web", "startCommand", start), (RELEASE, "preDeployCommand", release), (BUILD, "buildCommand", made)):
        if isinstance(command, str) and command:
            found.commands[process] = (command, _line(text, key))
    found.health = str(deploy.get("healthcheckPath") or "")
    found.dockerfile = str(build.get("dockerfilePath") or "").removeprefix("./").lstrip("/")
    yield found.hosting()


def _nixpacks(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield what nixpacks.toml says: [start], [variables]."""
    tables = files.read_toml(path)
    found = _Described(name, ProjectFiles(path.parent, files=files))
    if isinstance(command := table_at(tables, "start").get("cmd"), str) and command:
        found.commands["web"] = (command, _line(files.read_text(path), "cmd"))
    variables = _variables(table_at(tables, "variables"))
    version = re.match(r"3\.\d+", variables.get(f"{_OF_NIXPACKS}PYTHON_VERSION", ""))
    found.python = version[0] if version else ""
    found.variables |= {key: value for key, value in variables.items() if not key.startswith(_OF_NIXPACKS)}
    yield found.hosting()


def _heroku(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield what heroku.yml says: the Dockerfile of the web process, [run] and the release's command, each a text or a list."""
    table = parse_yaml(files.read_bytes(path))
    found = _Described(name, ProjectFiles(path.parent, files=files), table.line_of("build"))
    run, release = yaml_table(table.get("run")), yaml_table(table.get("release"))
    for process, value, line in (*((key, value, run.line_of(key)) for key, value in run.items()), (RELEASE, release, release.line)):
        words = [word for item in yaml_list(yaml_table(value).get("command") or value) if (word := yaml_text(item))]
        # A list has commands, or the words of one, as an option shows: [bash, -c, "…"].
        are_commands = any(" " in word for word in words) and not any(word.startswith("-") for word in words)
        joined = " && ".join(words) if are_commands else " ".join(shlex.quote(word) if " " in word else word for word in words)
        if joined:
            found.commands[process] = (joined, line)
    found.dockerfile = yaml_text(yaml_table(yaml_table(table.get("build")).get("docker")).get("web"))
    yield found.hosting()


def _variables(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables in a table of TOML, as the platform sets them: `true`, not Python's `True`."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in table.items()}


def _app_engine(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield what the app.yaml of App Engine says of a Python runtime."""
    table = parse_yaml(files.read_bytes(path))
    runtime = yaml_text(table.get("runtime"))
    if not runtime.startswith("python"):
        return
    found = _Described(name, ProjectFiles(path.parent, files=files), table.line_of("runtime"))
    if text := yaml_text(table.get("entrypoint")):
        found.commands["web"] = (text, table.line_of("entrypoint"))
    found.variables |= {key: yaml_text(value) or None for key, value in yaml_table(table.get("env_variables")).items()}
    version = re.fullmatch(r"python(3)(\d+)", runtime)
    found.python = f"3.{version[2]}" if version else yaml_text(yaml_table(table.get("runtime_config")).get("runtime_version"))
    found.health = yaml_text(yaml_table(table.get("readiness_check")).get("path"))
    yield found.hosting()


def _app_platform(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield what the app.yaml of App Platform says of its services, workers and jobs."""
    table = parse_yaml(files.read_bytes(path))
    for kind in ("services", "workers", "jobs"):
        for item in map(yaml_table, yaml_list(table.get(kind))):
            found = _Described(name, ProjectFiles(path.parent.parent, files=files), item.line)
            found.directory = yaml_text(item.get("source_dir")).strip("/") or "."
            process = {"services": "web", "jobs": RELEASE}.get(kind, yaml_text(item.get("name")) or "worker")
            if text := yaml_text(item.get("run_command")):
                found.commands[process] = (text, item.line_of("run_command"))
            for variable in map(yaml_table, (*yaml_list(table.get("envs")), *yaml_list(item.get("envs")))):
                secret = yaml_text(variable.get("type")) == "SECRET" or "${" in yaml_text(variable.get("value"))
                found.variables[yaml_text(variable.get("key"))] = None if secret else yaml_text(variable.get("value")) or None
            found.variables.pop("", None)
            found.ports += filter(None, [parse_port(yaml_text(item.get("http_port")))])
            found.health = yaml_text(yaml_table(item.get("health_check")).get("http_path"))
            found.dockerfile = yaml_text(item.get("dockerfile_path")) if process == "web" else ""
            yield found.hosting()


def _elastic_beanstalk(path: Path, name: str, files: UserFiles) -> Iterator[Hosting]:
    """Yield the environment that a file of Elastic Beanstalk sets: option_settings as a table of namespaces, or as a list of options.

    What has a path of its machines, or another variable, is theirs and left out.
    """
    table = parse_yaml(files.read_bytes(path))
    options = table.get("option_settings")
    found = _Described(name, ProjectFiles(path.parent.parent, files=files), table.line_of("option_settings"))
    named = dict(yaml_table(yaml_table(options).get(_ENVIRONMENT)))
    for item in map(yaml_table, yaml_list(options)):
        if yaml_text(item.get("namespace")) in ("", _ENVIRONMENT):
            named[yaml_text(item.get("option_name"))] = item.get("value")
    values = {key: yaml_text(value) for key, value in named.items() if key}
    found.variables |= {key: value or None for key, value in values.items() if "/opt/" not in value and "$" not in value}
    if found.variables:
        yield found.hosting()


_BEANSTALK = ".ebextensions"
_ENVIRONMENT = "aws:elasticbeanstalk:application:environment"
_READERS = {
    "fly.toml": _fly,
    "render.yaml": _render,
    "app.yaml": _app_engine,
    ".do/app.yaml": _app_platform,
    "railway.toml": _railway,
    "railway.json": _railway,
    "nixpacks.toml": _nixpacks,
    "heroku.yml": _heroku,
}
"""File -> its reader, in order of precedence."""
