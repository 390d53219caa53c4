"""The flags that `build` and `plan` share: the same names as the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shipwheel.cli.interruption import Interruption
from shipwheel.errors import UsageError

__all__ = ["project_options", "request_from", "some_options"]

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("path", type=click.Path(path_type=Path), default="."),
    click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH[,…]", help="Platforms to build for [linux/amd64,linux/arm64]."),
    click.option("--python", metavar="VERSION", help="Python version, for example 3.11."),
    click.option("--python-builds", metavar="PLACE", help="Directory, file or mirror of standalone Pythons that Debian does not have."),
    click.option("--as-of", metavar="DATE", help="Resolve as of this day (YYYY-MM-DD): only what was on the package index then."),
    click.option("--command", metavar="WORDS", help="What the image runs; split like a shell would, run without one."),
    click.option("--env", multiple=True, metavar="NAME=VALUE", help="An environment variable of the image; can be repeated."),
    click.option("--port", "ports", multiple=True, metavar="PORT[/udp]", help="A port that the app listens on; can be repeated."),
    click.option("--volume", "volumes", multiple=True, metavar="PATH", help="A path that is a volume; can be repeated."),
    click.option("--user", metavar="UID[:GID]", help="Numeric user of the container [65532:65532]."),
    click.option("--package", "packages", multiple=True, metavar="NAME", help="A Debian package to add; can be repeated."),
    click.option("--extra", "extras", multiple=True, metavar="NAME", help="An extra of the project to install; can be repeated."),
    click.option("--group", "groups", multiple=True, metavar="NAME", help="A dependency group to install; can be repeated."),
    click.option("--requirements", multiple=True, metavar="FILE", help="A requirements file to use; can be repeated."),
    click.option("--accelerator", metavar="KIND", help="Builds of torch for cpu, cu126, …, auto, or cuda: the package index's own [cpu]."),
    click.option("--bytecode/--no-bytecode", default=None, help="Whether compiled bytecode is in the image [it is]."),
    click.option("--debian-mirror", metavar="URL", help="Where Debian packages come from; they are verified in any case."),
    click.option(
        "--base", metavar="IMAGE", help="An image with a Python to build upon: NAME:TAG, NAME@DIGEST or oci:DIR [Debian packages]."
    ),
    click.option("--upgrade-base", is_flag=True, help="Take the base as it is now, packages or image, instead of the locked one."),
    click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors alone."),
)


def project_options(function: F) -> F:
    """Adds the shared options, in their order."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def some_options(*names: str) -> Callable[[F], F]:
    """Adds those of the shared options whose parameters have these names, in the given order."""
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


def request_from(path: Path, flags: dict[str, Any], reporter: Any) -> Any:
    """The build's request: the project's settings with the flags over them. Raises UsageError, ProjectError."""
    from shipwheel.project.detect import find_settings
    from shipwheel.request import Request
    from shipwheel.settings import merge
    from shipwheel.store import Store, default_root

    upgrade = flags.pop("upgrade_base", False)
    settings = merge(find_settings(path.absolute()), _table(flags))
    store = Store(default_root())
    if (interruption := click.get_current_context().find_object(Interruption)) is not None:
        interruption.register(store.close)
    return Request(path, settings, store, reporter, upgrade_base=upgrade)


def _table(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags as a settings file would have them; what was not given is left out."""
    table = {key: list(value) if isinstance(value, tuple) else value for key, value in flags.items() if value not in (None, ())}
    if "platforms" in table:
        table["platforms"] = [part.strip() for value in table["platforms"] for part in value.split(",") if part.strip()]
    if "ports" in table:
        table["ports"] = [int(port) if port.isdigit() else port for port in table["ports"]]
    if "://" not in (place := str(table.get("python_builds", "://"))):
        table["python_builds"] = str(Path(place).absolute())
    if str(table.get("base", "")).startswith("oci:"):
        table["base"] = f"oci:{Path(str(table['base'])[4:]).absolute()}"
    if "env" in table:
        table["env"] = dict(_pair(value) for value in table["env"])
    return table


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--env {text}: a value is missing", hint=f"Write --env {text}=VALUE.")
    return name, value
