"""`shipwheel rebase`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.cache_limit import limited_store
from shipwheel.cli.command import Command
from shipwheel.cli.remote import open_repository, remote_reference, tag_or_digest
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError
from shipwheel.events import format_size
from shipwheel.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from shipwheel.base.model import ImageFacts
    from shipwheel.oci.model import Descriptor
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.rebase import Rebased
    from shipwheel.registry.push import Traffic

__all__ = ["command"]

_TAG = lazy_pattern(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


@click.command(
    "rebase",
    cls=Command,
    help="Move the image REF from its base image to a newer or another one, inside the registry.",
    examples=(
        "shipwheel rebase registry.example/team/hello:1",
        "shipwheel rebase registry.example/team/hello:1 --base python:3.13-slim --dry-run",
    ),
)
@click.argument("ref")
@click.option("--base", default="", metavar="IMAGE", help="New base: NAME:TAG, NAME@DIGEST or oci:DIR [the old base's tag, as it is now].")
@click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="Tag of the result, in the same repository; repeatable [REF's].")
@click.option(
    "--trust-config",
    is_flag=True,
    help="Take the Python version from the new base's config instead of its layers; libraries are not checked.",
)
@click.option("--dry-run", is_flag=True, help="Check and show what would change; push nothing.")
def command(terminal: Terminal, ref: str, base: str, tags: tuple[str, ...], trust_config: bool, dry_run: bool) -> None:
    """Check and push; print the digest reference on standard output, everything else on standard error."""
    from shipwheel.pipeline.rebase import push_rebased, rebase

    reference = remote_reference(ref)
    names = _tags(reference, tags)
    store = limited_store()
    traffic = None
    reporter = terminal.report
    with open_repository(reference, reporter) as repository:
        rebased = rebase(repository, tag_or_digest(reference), store, reporter, base=base, trust_config=trust_config)
        if rebased.platforms and not dry_run:
            watched = reference.tag_or_latest if not reference.digest and reference.tag_or_latest in names else ""
            traffic = push_rebased(repository, rebased, names, watched, store, reporter)
        read = repository.transport.received
    result = f"{reference.name}@{rebased.index.digest if rebased.platforms else rebased.digest}"
    terminal.note("\n".join(_summary(rebased, traffic, read, dry_run)))
    printed = traffic is not None or not rebased.platforms
    terminal.result(lambda: _document(reference, result, rebased, names, traffic, read), [result] if printed else ())


def _tags(reference: "Reference", tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags of the result. Raise UsageError for an invalid tag, or if REF has a digest and no tag is given."""
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise UsageError(f"{tag!r} is not a tag", hint=f"The result stays in {reference.name}; copy it with shipwheel copy.")
    if not tags and reference.digest:
        raise UsageError(f"{reference} names a digest, and the result has a new one", hint="Name the result with --tag.")
    return tuple(dict.fromkeys(tags)) or (reference.tag_or_latest,)


def _document(
    reference: "Reference", result: str, rebased: "Rebased", tags: tuple[str, ...], traffic: "Traffic | None", read: int
) -> dict[str, Any]:
    return {
        "name": reference.name,
        "changed": bool(rebased.platforms),
        "digest": result.rpartition("@")[2],
        "reference": result,
        "old-digest": rebased.digest,
        "tags": list(tags) if traffic is not None else [],
        "old-base": {"name": rebased.before.name, "digest": rebased.before.digest},
        "new-base": {"name": rebased.after.name, "digest": rebased.after.digest},
        "images": [
            {
                "platform": str(each.new.platform),
                "old-digest": each.old.digest,
                "digest": each.new.digest,
                "old-python": each.before.python,
                "python": each.after.python,
                "old-libc": _libc(each.before),
                "libc": _libc(each.after),
                "removed": [layer.digest for layer in each.old_layers if layer.digest not in _digests(each.new_layers)],
                "added": [layer.digest for layer in each.new_layers if layer.digest not in _digests(each.old_layers)],
                "kept": len(each.own_layers),
            }
            for each in rebased.platforms
        ],
        "pushed": {**msgspec.to_builtins(traffic), "read": read, "base-layers-read": rebased.read} if traffic is not None else None,
    }


def _digests(layers: "tuple[Descriptor, ...]") -> set[str]:
    return {layer.digest for layer in layers}


def _libc(facts: "ImageFacts") -> str:
    return f"{'musl' if facts.musl else 'glibc'} {'.'.join(map(str, facts.libc))}"


def _summary(rebased: "Rebased", traffic: "Traffic | None", read: int, dry_run: bool) -> Iterator[str]:
    old, new = rebased.before, rebased.after
    if not rebased.platforms:
        fixed = " A name with a digest never changes: name a new base with --base." if "@" in new.name else ""
        yield f"The image is already on {new.name}, {new.digest}.{fixed}"
        return
    yield _table(rebased)
    yield f"base  {old.name or 'a layout'}@{old.digest}\n   →  {new.name}@{new.digest}"
    if rebased.read:
        yield f"read {format_size(rebased.read)} of the new base's layers to check its files"
    if traffic is not None:
        yield f"{traffic}; read {format_size(read)}"
        yield "The project's lock still names the old base. To update it: shipwheel build --upgrade-base"
    elif dry_run:
        yield "dry run: nothing was pushed"


def _table(rebased: "Rebased") -> str:
    """Return a block of lines for each platform: what changes is wider than a row of 80 columns."""
    lines = []
    for each in rebased.platforms:
        lines.append(str(each.new.platform))
        rows = (
            ("Python", _change(each.before.python, each.after.python)),
            ("libc", _change(_libc(each.before), _libc(each.after))),
            ("base", _change(_layers(each.old_layers), _layers(each.new_layers))),
            ("app", f"{_layers(each.own_layers)}, unchanged"),
        )
        lines += [f"  {name:<8} {value}" for name, value in rows]
    return "\n".join(lines)


def _layers(layers: "tuple[Descriptor, ...]") -> str:
    return f"{len(layers)} layer{'' if len(layers) == 1 else 's'} of {sum(layer.size for layer in layers) / 1e6:.1f} MB"


def _change(old: str, new: str) -> str:
    return new if old == new else f"{old} → {new}"
