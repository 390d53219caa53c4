"""`shipwheel plan`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import project_options, request_from
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.text import branches, layer_rows

if TYPE_CHECKING:
    from shipwheel.locking.selection import LeftOut
    from shipwheel.pipeline.plan import BuildPlan, PlatformPlan

__all__ = ["command", "left_out"]


@click.command(
    "plan",
    cls=Command,
    help="Show what would be built from the project at PATH, and why. Builds no image; writes the lock if needed.",
    examples=(
        "shipwheel plan .",
        "shipwheel plan . --all --platform linux/arm64",
    ),
)
@project_options
@option("--all", "everything", is_flag=True, help="List every Python and Debian package.")
def command(terminal: Terminal, path: Path, everything: bool, **flags: Any) -> None:
    """Print the plan as a tree, or as JSON."""
    from shipwheel.api import plan

    found = plan(request_from(path, flags, terminal.report))
    terminal.result(found.to_json, _tree(found, everything))


def _tree(plan: "BuildPlan", everything: bool) -> Iterator[str]:
    yield f"{plan.name} {plan.version}".strip() + f"  ({'a package, installed as a wheel' if plan.kind == 'package' else 'an app'})"
    yield f"├── command   {' '.join((*plan.command, *plan.arguments))}"
    yield f"│             {plan.command_reason}"
    yield f"│             {_argument_rule(plan)}"
    if plan.workers_variable:
        yield "├── workers   one per CPU of the container's limit, else one; WEB_CONCURRENCY sets another number"
    for step in plan.before_start:
        yield f"├── first     {' '.join(step)}  ({'at every start' if step in plan.every_start else 'once per volume'})"
    for front in plan.assets:
        node = front.image or f"node {front.node}"
        yield f"├── assets    {' '.join(front.run)} in {front.in_} → {front.to or front.shown_output}  ({node})"
    for program in plan.steps:
        yield f"├── step      {' '.join(program.run)}  (while the image is built{', with the network' if program.network else ''})"
    for name, words in plan.processes.items():
        if name != "web":
            yield f"├── process   {name}: {' '.join(words)}"
    if plan.ports:
        yield f"├── ports     {', '.join(plan.ports)}"
    if plan.volumes:
        yield f"├── volumes   {', '.join(plan.volumes)}"
    for target, source in plan.copies.items():
        yield f"├── copy      {source} → {target}"
    for name, value in sorted(plan.env.items()):
        yield f"├── env       {name}={value if len(value) <= 80 else value[:77] + '…'}"
    yield f"├── user      {plan.user}"
    yield f"├── Python    {plan.platforms[0].python}: {plan.python_reason}"
    yield f"├── lock      {plan.lock}, as of {plan.as_of} ({'written just now' if plan.lock_written else 'not changed'})"
    for note in plan.notes:
        yield f"├── note      {note}"
    for number, each in enumerate(plan.platforms):
        last = number == len(plan.platforms) - 1
        yield from _platform(each, "└── " if last else "├── ", "    " if last else "│   ", everything)


def _argument_rule(plan: "BuildPlan") -> str:
    """Return what the words of a user do. The rule is docker's: they replace the command, and follow an entrypoint."""
    words = "`shipwheel run . -- WORDS` and `docker run IMAGE WORDS`"
    if not plan.program:
        return f"{words} replace it."
    return f"{words} replace its arguments, {' '.join(plan.arguments)}." if plan.arguments else f"{words} append to it."


def _platform(each: "PlatformPlan", branch: str, indent: str, everything: bool) -> Iterator[str]:
    yield f"{branch}{each.platform}"
    count = f"{'' if each.complete else 'at least '}{len(each.packages)} packages"
    yield f"{indent}├── base      {each.base}, {each.libc}, {count}"
    if everything:
        yield from (f"{indent}│   {branch} {package}" for branch, package in branches(each.packages))
    for gone in each.left_out:
        yield f"{indent}├── left out  {left_out(gone)}"
    built = [item for item in each.distributions if item.kind != "wheel"]
    for item in built:
        if not any(line.startswith(f"{item.label}: ") for line in each.compiled):
            yield f"{indent}├── built     {item.label} from its {item.kind}"
    for line in each.compiled:
        yield f"{indent}├── compiled  {line}"
    yield f"{indent}├── packages  {len(each.distributions)} from the package index, {each.wheel_bytes / 1e6:.1f} MB to download at most"
    if everything:
        files = [f"{item.label}  {item.filename}" for item in each.distributions]
        yield from (f"{indent}│   {branch} {file}" for branch, file in branches(files))
    # Bytecode comes on top, and so do libraries that are not known yet.
    size, least = sum(layer.size for layer in each.layers), "" if all(layer.made for layer in each.layers) else "at least "
    yield f"{indent}└── layers    {len(each.layers)}, {least}{size / 1e6:.1f} MB"
    names, sizes = [layer.name for layer in each.layers], [layer.size for layer in each.layers]
    yield from (f"{indent}    {line}" for line in layer_rows(names, sizes, [layer.contents for layer in each.layers], everything=False))


def left_out(package: "LeftOut") -> str:
    """Return why a package is not in the image, and what required it."""
    required = f" (required by {', '.join(package.wanted_by)})" if package.wanted_by else ""
    return f"{package.name} {package.version}: {package.reason}{required}"
