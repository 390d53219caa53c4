"""The options that several commands share. They have the same names as the settings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shipwheel.cli.allocator import give_memory_back
from shipwheel.cli.cache_limit import cache_limit, use_store
from shipwheel.cli.command import option
from shipwheel.errors import UsageError
from shipwheel.events import Reporter

if TYPE_CHECKING:
    from shipwheel.request import LockMode, Request

__all__ = ["BUILD_FLAGS", "project_options", "request_from", "some_options"]

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGES, _IMAGE, _BASE = "Python packages", "Image", "Base"
"""Headings in the help."""

_OPTIONS = (
    click.argument("path", type=click.Path(path_type=Path), default="."),
    option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH[,…]",
        help="Platforms to build for [linux/amd64,linux/arm64].",
        group=_IMAGE,
    ),
    option("--python", metavar="VERSION", help="Python version, for example 3.11.", group=_PACKAGES),
    option("--python-builds", metavar="PATH|URL", help="Directory, archive or mirror of standalone Python builds.", group=_BASE),
    option("--as-of", metavar="DATE", help="Ignore packages that were uploaded after this day (YYYY-MM-DD).", group=_PACKAGES),
    option("--command", metavar="WORDS", help="Command of the image; split into words as a shell does, run without a shell.", group=_IMAGE),
    option("--env", multiple=True, metavar="NAME=VALUE", help="Environment variable of the image; repeatable.", group=_IMAGE),
    option("--port", "ports", multiple=True, metavar="PORT[/udp]", help="Port that the app listens on; repeatable.", group=_IMAGE),
    option("--volume", "volumes", multiple=True, metavar="PATH", help="Path of a volume; repeatable.", group=_IMAGE),
    option("--user", metavar="UID[:GID]", help="Numeric user of the container [65532:65532].", group=_IMAGE),
    option("--package", "packages", multiple=True, metavar="NAME", help="Debian package to add; repeatable.", group=_BASE),
    option("--extra", "extras", multiple=True, metavar="NAME", help="Extra of the project to install; repeatable.", group=_PACKAGES),
    option("--group", "groups", multiple=True, metavar="NAME", help="Dependency group to install; repeatable.", group=_PACKAGES),
    option("--requirements", multiple=True, metavar="FILE", help="Requirements file to use; repeatable.", group=_PACKAGES),
    option(
        "--accelerator",
        metavar="KIND",
        help="Builds of torch: cpu, cu126, …, auto, or cuda for the package index's own [cpu].",
        group=_PACKAGES,
    ),
    option(
        "--bytecode",
        is_flag=False,
        flag_value="all",
        metavar="all|used|none",
        help="Modules to include bytecode of; used: those that `startup --record` found [all].",
        group=_IMAGE,
    ),
    option("--no-bytecode", is_flag=True, help="Include no bytecode, as with --bytecode none.", group=_IMAGE),
    option("--init/--no-init", default=None, help="Whether tini, a small init, is the container's first process [it is].", group=_IMAGE),
    option("--debian-mirror", metavar="URL", help="Mirror of the Debian archive; packages are verified in any case.", group=_BASE),
    option("--base", metavar="IMAGE", help="Base image with a Python: NAME:TAG, NAME@DIGEST or oci:DIR [Debian packages].", group=_BASE),
    option("--upgrade-base", is_flag=True, help="Update the base (Debian packages, Python build or image) in the lock.", group=_BASE),
    option("--locked", is_flag=True, help="Fail if the lock is not current, instead of updating it.", group=_PACKAGES),
    option("--frozen", is_flag=True, help="Take the lock as it is, without checking whether it is current.", group=_PACKAGES),
    option("--yes", is_flag=True, help="Accept your home directory, or one above it, as the project.", group=_PACKAGES),
)


BUILD_FLAGS = (
    *("python", "python_builds", "as_of", "accelerator", "extras", "groups", "requirements", "packages", "base"),
    *("locked", "frozen", "yes"),
)
"""Parameters that only a build uses, of the commands that also take what is built."""


def project_options(function: F) -> F:
    """Add all shared options to a command."""
    for add in reversed(_OPTIONS):
        function = add(function)
    return function


def some_options(*names: str) -> Callable[[F], F]:
    """Return a decorator that adds the shared options with these parameter names, in this order."""
    known = {_name(option): option for option in _OPTIONS}

    def add(function: F) -> F:
        for name in reversed(names):
            function = known[name](function)
        return function

    return add


def _name(option: Callable[[Callable[[], None]], Callable[[], None]]) -> str:
    def nothing() -> None:
        pass

    params: list[click.Parameter] = option(nothing).__click_params__  # type: ignore[attr-defined]
    return str(params[0].name)


def request_from(path: Path, flags: dict[str, Any], reporter: Reporter) -> "Request":
    """Return a request with the project's settings, overridden by the flags. Ctrl-C closes its store. Its end keeps the cache's limit.

    Raises UsageError for a wrong flag or setting and for the home directory, ProjectError for a file that cannot be read.
    """
    from shipwheel.api import make_request

    give_memory_back()
    if not flags.pop("yes", False):
        _reject_home(path)
    limit = cache_limit()
    upgrade, mode = flags.pop("upgrade_base", False), _lock_mode(flags.pop("locked", False), flags.pop("frozen", False))
    if upgrade and mode is not None:
        raise UsageError(f"--upgrade-base and --{mode.value} cannot be combined", hint="Updating the base changes the lock: leave out one.")
    request = make_request(path, reporter=reporter, upgrade_base=upgrade, lock_mode=mode, **_settings(flags))
    use_store(request.store, limit)
    return request


def _lock_mode(locked: bool, frozen: bool) -> "LockMode | None":
    from shipwheel.request import LockMode

    if locked and frozen:
        raise UsageError("--locked and --frozen cannot be combined", hint="--locked checks the lock, --frozen does not: leave out one.")
    return LockMode.LOCKED if locked else LockMode.FROZEN if frozen else None


def _reject_home(path: Path) -> None:
    """Raise UsageError for the home directory and the directories above it: nobody knows what all is in there."""
    from shipwheel.user.directories import home

    own, project = home(os.environ).resolve(), path.resolve()
    if project in (own, *own.parents):
        what = "your home directory" if project == own else "not a project's directory"
        raise UsageError(
            f"{project} is {what}: private files in it could get into the image", hint="Name the project's directory, or add --yes."
        )


def _settings(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags that were given, as a settings file would have them."""
    if flags.pop("no_bytecode", False):
        flags["bytecode"] = flags.get("bytecode") or "none"
    table = {key: list(value) if isinstance(value, tuple) else value for key, value in flags.items() if value not in (None, ())}
    if "platforms" in table:
        table["platforms"] = [part.strip() for value in table["platforms"] for part in value.split(",") if part.strip()]
    if "ports" in table:
        table["ports"] = [int(port) if port.isdigit() else port for port in table["ports"]]
    if "://" not in (builds := str(table.get("python_builds", "://"))):
        table["python_builds"] = str(Path(builds).absolute())
    if str(table.get("base", "")).startswith("oci:"):
        table["base"] = f"oci:{Path(str(table['base'])[4:]).absolute()}"
    if "env" in table:
        table["env"] = dict(_pair(value) for value in table["env"])
    return table


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--env {text}: the value is missing", hint=f"Write --env {text}=VALUE.")
    return name, value
