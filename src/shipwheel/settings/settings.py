"""The user's settings: `[tool.shipwheel]` in pyproject.toml, or shipwheel.toml, with the same names as the flags.

All problems of a table are collected and raised together. An unknown key comes with the most similar known one.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from shipwheel.errors import UsageError
from shipwheel.settings.build import AssetSettings, BuildSettings, StepSettings, read_assets, read_build, read_steps
from shipwheel.settings.services import ServiceSettings, read_services
from shipwheel.settings.values import AllowedSecret, InvalidValue, setting_value
from shipwheel.user.files import UserFiles

__all__ = ["SITE_PACKAGES", "Settings", "added", "expand_env", "load_settings", "merge", "settings_from"]

_READERS: dict[str, Callable[[object], Any]] = {"services": read_services, "steps": read_steps, "assets": read_assets, "build": read_build}
"""Keys with tables that have keys of their own."""

SITE_PACKAGES = "{site-packages}"
"""Placeholder for the image's site-packages directory in the values of `env`."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Everything that a user can set. Each field is a key of the file, and many are flags as well."""

    name: str | None = None
    """Name of the project. Default: the name in its metadata, else that of its directory."""
    tag: str | None = None
    """Name of the image, as NAME:TAG."""
    platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64")
    """Platforms to build for. Each gets an image of its own in one image index."""
    python: str | None = None
    """Python version, for example "3.11". Default: what .python-version, runtime.txt or requires-python asks for."""
    as_of: datetime.date | None = None
    """Ignore Python packages that were uploaded to the package index after this day (YYYY-MM-DD)."""
    command: tuple[str, ...] = ()
    """Command to run, as a list of words or as one string. A string is split like in a shell, but no shell runs it."""
    entrypoint: tuple[str, ...] = ()
    """Program to run, written like `command`. If it is set, `command` holds its default arguments."""
    ports: tuple[str, ...] = ()
    """Ports that the app listens on, for example 8000 or "53/udp" (image-spec: ExposedPorts)."""
    volumes: tuple[str, ...] = ()
    """Absolute paths that hold data. The app's user owns them; the first one also records which `before-start` commands have run."""
    state: tuple[str, ...] = ()
    """Paths that the app writes, in addition to those that were found: absolute, or below the working directory. A directory ends in a
    slash and becomes a volume, "uploads/"; a file becomes a link into the volume /data, "db.sqlite3". Outside of the working directory,
    every path is a directory."""
    env: dict[str, str] = {}
    """Environment variables. `{site-packages}` in a value stands for the image's site-packages directory."""
    before_start: tuple[tuple[str, ...], ...] = ()
    """Commands to run once for each new volume, after those that deployment files declare. Each is a list of words."""
    steps: tuple[StepSettings, ...] | None = None
    """Commands that run in the finished image while it is built, in order: what they write becomes a layer. Each is a table
    `[[tool.shipwheel.steps]]` with `run`, and maybe `env` and `network`. Default: those that were found; `steps = []` runs none."""
    assets: tuple[AssetSettings, ...] = ()
    """Front ends that node builds, once for all platforms. Each is a table `[[tool.shipwheel.assets]]` with `run` and `output`, and maybe
    `in`, `to`, `env`, `packages` and `image`."""
    processes: dict[str, tuple[str, ...]] = {}
    """Further commands that the image can run, by name, each a list of words or one string: `worker = "celery -A shop worker"`. `web`
    stands for `command`. They are recorded as a label, and `shipwheel run --process NAME` runs them."""
    services: dict[str, ServiceSettings] = {}
    """Services that run together with the project: databases, other projects, and more about its own processes. Each is a table
    `[tool.shipwheel.services.NAME]` with keys of its own."""
    user: str | None = None
    """User to run as, as numeric "uid:gid" or "uid"; "0" is root. Default: the base image's user unless that is root, else 65532:65532."""
    workdir: str = "/app"
    """Working directory. An app that is not a package is copied here."""
    labels: dict[str, str] = {}
    """Labels of the image. All annotations become labels, too."""
    annotations: dict[str, str] = {}
    """Annotations of the images and of the image index (image-spec, annotations.md)."""
    packages: tuple[str, ...] = ()
    """Debian packages to add, together with the programs, data and libraries that they need."""
    extras: tuple[str, ...] = ()
    """Extras of the project to install."""
    groups: tuple[str, ...] = ()
    """Dependency groups (PEP 735) to install in addition to the project's dependencies."""
    include: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files to copy although they would be left out. Secrets need `allow-secrets`."""
    exclude: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files not to copy into the image."""
    copy: dict[str, str] = {}
    """Files and directories of the project to copy to places outside the working directory, in addition to those that a Dockerfile copies:
    `"/etc/shop/shop.toml" = "conf/shop.toml"`. They are taken even if .gitignore excludes them, and replace no file of a package or the
    base. An empty path leaves out what a Dockerfile copies there."""
    allow_secrets: tuple[AllowedSecret, ...] = ()
    """Files that look like secrets and are meant to be in the image: a list of `{path = "…", reason = "…"}`, with a pattern as in
    .gitignore and the reason. The path `env.NAME` stands for a variable of `env`."""
    dependencies: tuple[str, ...] = ()
    """Python packages to install in addition to the project's own, as requirements (PEP 508), for example "setuptools<81"."""
    replace: dict[str, str] = {}
    """Python packages to install in place of others, such as one that brings wheels: `uwsgi = "pyuwsgi"`. A requirement without a version
    gets the one that the project requires of the other. Not with a uv.lock."""
    install: Literal["wheel", "source"] | None = None
    """How a project that is a package gets into the image: as its wheel, or with its directory in the working directory as it is. Default:
    the wheel, and the source if that cannot be built while requirements are known without it."""
    ignore_imports: tuple[str, ...] = ()
    """Top-level modules that the proof of imports takes for granted, because the app finds them in its own way."""
    lock: str | None = None
    """Name of the lock, for a variant of the project beside its own: "pylock.NAME.toml" (PEP 751). Where the variant leaves versions open,
    it takes those of the project's lock. Default: "pylock.toml"."""
    requirements: tuple[str, ...] = ()
    """Requirements files to use instead of those that shipwheel finds, relative to the project."""
    build_network: tuple[str, ...] = ()
    """Names of packages, or of the project, whose builds from source may use the network. Builds have none otherwise."""
    build: BuildSettings | None = None
    """Additions to what shipwheel finds for compiling: `packages` are Debian packages, `env` is variables for build backends, and
    `constraints` limits the versions of build requirements, for example "cython<3". `max-minutes` (180) and `max-gigabytes` (20) bound what
    each step of a build from source may use. A table with the name of a package, `[tool.shipwheel.build.NAME]`, has `packages`, `env` and
    `constraints` for that one alone."""
    debian_mirror: str | None = None
    """URL of a Debian mirror. shipwheel verifies the signatures and hashes of what it sends."""
    accelerator: str | None = None
    """Accelerator that torch and related packages are built for: "cpu", a CUDA version such as "cu126", a ROCm version such as "rocm6.4",
    "xpu", "auto" for what uv detects on this machine, or "cuda" for the builds on the package index. Default: "cpu"."""
    accelerator_index: str | None = None
    """URL of a mirror of PyTorch's index of these builds, without the accelerator at its end."""
    base: str | None = None
    """Base image with a Python, in a registry (NAME:TAG or NAME@DIGEST) or in a layout ("oci:DIR"). Default: a base composed of Debian
    packages."""
    suite: str | None = None
    """Debian suite of the base, for example "bookworm". Default: the suite with the Python version."""
    python_builds: str | None = None
    """Source of standalone Pythons, for versions that no Debian suite has: an archive of python-build-standalone, a directory of them, or
    the URL of a mirror, as in uv's python-install-mirror. Default: what uv is configured to use."""
    bytecode: Literal["all", "used", "none"] = "all"
    """Modules to add compiled bytecode of, with which an app starts much faster. "used" takes those of packages that
    `shipwheel startup --record` found, and all of packages that came later, so the image is smaller. `true` is "all", `false` is "none"."""
    compression: str = "gzip"
    """Compression of layers: "gzip", or "zstd", which is a fifth smaller and unpacks faster, but takes longer to build and needs docker 23,
    containerd 1.5, or podman."""
    init: bool = True
    """Run Debian's tini as the first process of the container: it forwards signals and reaps orphans. Otherwise the command is the first
    process, and the kernel drops every signal that it does not handle."""
    stop_signal: str | None = None
    """Signal that stops a container, for example "SIGINT". Default: SIGTERM."""
    cache_repo: str | None = None
    """Repository in a registry that caches layers for all projects; `--push` reuses them instead of building them. Trust everyone who can
    write to it as much as everyone who can push the image."""
    records: bool = True
    """Attach records of the layers to a pushed image, as an artifact of about 0.2 MB that refers to it. With them, another machine that
    builds a changed image need not make or fetch the layers that stay."""
    output: str | None = None
    """Directory for an OCI image layout, or FILE.tar for an archive. Default: NAME.oci in the current directory."""


def load_settings(root: Path, files: UserFiles | None = None) -> Settings:
    """Return the settings of a project directory, or the defaults if it has none.

    Raise UsageError for a wrong key or value and for settings in both files, ProjectError for a TOML syntax error.
    """
    files = files or UserFiles()
    pyproject, own = root / "pyproject.toml", root / "shipwheel.toml"
    tool = files.read_tables(root).get("tool")
    table = tool.get("shipwheel") if isinstance(tool, dict) else None
    if not own.is_file():
        return Settings() if table is None else settings_from(table, f"{pyproject} [tool.shipwheel]")
    if table is not None:
        raise UsageError(
            f"both {own} and [tool.shipwheel] in {pyproject} have settings",
            hint="Move all settings into one of the two files.",
        )
    return settings_from(files.read_toml(own), str(own))


def settings_from(table: object, origin: str) -> Settings:
    """Return the settings in a TOML table. `origin` names it in errors. Raise UsageError with all problems."""
    return _merge(Settings(), table, origin, by_flag=False)


def merge(settings: Settings, flags: Mapping[str, object]) -> Settings:
    """Return the settings with a table of flags applied. A flag that is None was not set.

    Flags win; `env`, `labels` and `annotations` are merged key by key. Keys of flags may have underscores. Raise UsageError with all
    problems.
    """
    return _merge(settings, flags, "command line", by_flag=True)


def _merge(settings: Settings, table: object, origin: str, *, by_flag: bool) -> Settings:
    if not isinstance(table, Mapping):
        raise UsageError(f"{origin} is not a table", hint="Write `key = value` lines below a [tool.shipwheel] line.")
    fields = {field.encode_name: field for field in msgspec.structs.fields(Settings)}
    problems: list[str] = []
    hints: list[str] = []
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = name.replace("_", "-") if by_flag else name
        if value is None:
            continue
        if key not in fields:
            similar = _most_similar(key, list(fields))
            problems.append(f"unknown key {key!r}" + (f", did you mean {similar!r}?" if similar else ""))
            if key == "tool" and not by_flag:
                hints.append(
                    "A [tool.shipwheel] line belongs into pyproject.toml only: leave it out here, and write [env] for [tool.shipwheel.env]."
                )
                continue
            hints.append("" if similar else f"Known keys: {', '.join(sorted(fields))}.")
            continue
        try:
            field = fields[key]
            read = _READERS.get(key)
            values[field.name] = read(value) if read is not None else setting_value(key, value, field.type)
        except InvalidValue as error:
            problems.append(f"{key}: {error.message}")
            hints.append(error.hint)
    if problems:
        raise UsageError(f"{origin}: " + "; ".join(problems), hint=" ".join(dict.fromkeys(filter(None, hints))) or "Correct these keys.")
    for name in ("env", "labels", "annotations", "processes", "copy"):
        if name in values:
            values[name] = {**getattr(settings, name), **values[name]}
    return msgspec.structs.replace(settings, **values)


_IMPORT_PATH = "PYTHONPATH"


def added(settings: Settings, key: str, value: Any) -> Settings:
    """Return the settings with a value added: appended to a list, merged into a table, or in place of a value that is not set.

    A value that a person set stays; PYTHONPATH is a list itself. Raise UsageError for a wrong value.
    """
    name = key.replace("-", "_")
    before = getattr(settings, name)
    if name == "command":
        return _merge(settings, {key: value}, "the finding", by_flag=False)
    if isinstance(before, tuple):
        one = [value] if name == "before_start" else value
        new = [item for item in one if item not in before]
        return _merge(settings, {key: [*before, *new]}, "the finding", by_flag=False) if new else settings
    if isinstance(before, Mapping):
        if (path := before.get(_IMPORT_PATH)) and (more := value.get(_IMPORT_PATH)) and more not in path.split(":"):
            before = {**before, _IMPORT_PATH: f"{path}:{more}"}
        return _merge(settings, {key: {**value, **before}}, "the finding", by_flag=False)
    is_set = before not in (None, getattr(Settings(), name))
    return settings if is_set else _merge(settings, {key: value}, "the finding", by_flag=False)


def expand_env(env: Mapping[str, str], site_packages: str) -> dict[str, str]:
    """Return the environment with `{site-packages}` replaced. Other braces stay, because values may be JSON."""
    return {key: value.replace(SITE_PACKAGES, site_packages) for key, value in env.items()}


def _most_similar(key: str, known: list[str]) -> str:
    import difflib

    same = [name for name in known if name.replace("-", "") == re.sub(r"[-_ ]", "", key.lower())]
    return (same or difflib.get_close_matches(key.lower().replace("_", "-"), known, 1, 0.6) or [""])[0]
