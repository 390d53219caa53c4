"""An image's base swapped in its registry: our layers stay where they are and are not read, manifests and configs are written anew.

What the image needs of its base stands in its manifest; the new base is held against that before anything is pushed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base import ImageFacts
from shipwheel.base.base_requirements import in_the_way, unmet
from shipwheel.base.directories import EVERYWHERE, kept
from shipwheel.base.image import image_facts, image_for, numeric_user, open_base
from shipwheel.errors import FetchError, ImageError, ProofError, UsageError
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned
from shipwheel.oci.image import Image, ImageIndex, RemoteLayer, digest_of, make_index
from shipwheel.oci.layer import ANNOTATION_KEY
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Index, Manifest, decode, encode
from shipwheel.oci.read.tree import Tree, find_tree, read_tree
from shipwheel.pipeline.container import container_path
from shipwheel.pipeline.rebase_info import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME, Upon, read_upon
from shipwheel.pipeline.rebased import Ground, relaid
from shipwheel.pipeline.segment_metadata import ARTIFACT_TYPE
from shipwheel.store import Store
from shipwheel.venv import VENV
from shipwheel.versions import minor_version

if TYPE_CHECKING:
    from shipwheel.registry.pull import RemoteImages
    from shipwheel.registry.push import Traffic
    from shipwheel.registry.repository import Document, Repository

__all__ = ["BaseName", "Rebased", "Swapped", "push_rebased", "rebase"]

_LAUNCHER = "opt/shipwheel"

_ANEW = "Build it anew upon that base: shipwheel build --base IMAGE --upgrade-base --push."


class BaseName(msgspec.Struct, frozen=True):
    """A base as it was called, empty for a layout's in an image, and the digest that this stood for."""

    name: str
    digest: str


class Swapped(msgspec.Struct, frozen=True):
    """One platform: what is known of both bases, their layers, and the image as it was and as it is to be."""

    before: ImageFacts
    after: ImageFacts
    old_layers: tuple[Descriptor, ...]
    new_layers: tuple[Descriptor, ...]
    old: Image
    new: Image

    @property
    def kept(self) -> tuple[Descriptor, ...]:
        """The layers that are not touched."""
        return tuple(layer.descriptor for layer in self.old.layers[len(self.old_layers) :])


class Rebased(msgspec.Struct, frozen=True):
    """What a rebase comes to; nothing is pushed yet. `read` is how many bytes of the new base's layers were read to look at its files.

    `index` holds the images as they are to be, or as they are when there is nothing to do, which is when no platform is in `platforms`.
    """

    digest: str
    before: BaseName
    after: BaseName
    platforms: tuple[Swapped, ...]
    index: ImageIndex
    read: int = 0


class _Old(msgspec.Struct, frozen=True):
    """An image of ours with what it says of its base."""

    image: Image
    upon: Upon
    base: BaseName


def rebase(
    repository: "Repository", reference: str, store: Store, reporter: Reporter, *, base: str = "", trust_config: bool = False
) -> Rebased:
    """The images of a tag or digest upon `base`, else upon what their base's name stands for now; all problems are found before any push.

    With `trust_config`, what a base's config says is taken for true and its layers are not read. Raises UsageError for images that lie
    upon no other image, ProofError that lists what the new base lacks, ImageError, FetchError, IntegrityError.
    """
    from shipwheel.registry.pull import remote_images

    found = remote_images(repository, reference)
    olds = [_old(image, f"{repository.name}:{reference}") for image in found.images]
    before = olds[0].base
    name = base or _one_name(olds, f"{repository.name}:{reference}")
    platforms = [old.image.platform for old in olds]
    reporter(StageStarted("base"))
    index, digest = open_base(name, "", platforms, store, reporter, root=Path.cwd())
    after = BaseName(name, digest)
    if all(old.base.digest == digest and (old.base.name or name) == name for old in olds):
        reporter(StageFinished("base", f"{name} is the base already"))
        return Rebased(found.digest, before, after, (), ImageIndex(found.images, found.document.data))
    _check_old(olds, store, reporter)
    belows = [image_for(index, platform, name) for platform in platforms]
    read = 0 if trust_config else _bring(belows, store, reporter)
    grounds = _grounds(olds, belows, after, store, trust_config=trust_config)
    reporter(StageFinished("base", f"{name}, Python {', '.join(sorted({ground.facts.python for ground in grounds}))}"))
    if trust_config:
        reporter(Warned(f"the libraries of {name} were not looked at", "Leave out --trust-config to have them read and checked."))
    swapped = [_swapped(old, ground) for old, ground in zip(olds, grounds, strict=True)]
    return Rebased(found.digest, before, after, tuple(swapped), _index(found, [each.new for each in swapped]), read)


def _old(image: Image, label: str) -> _Old:
    manifest = decode(image.manifest, Manifest, image.digest)
    upon = read_upon(manifest.annotations)
    digest = manifest.annotations.get(ANNOTATION_BASE_DIGEST, "")
    keyed = [ANNOTATION_KEY in layer.descriptor.annotations for layer in image.layers]
    if not any(keyed):
        raise UsageError(f"{label} was not built by shipwheel: which layers are its base's is not known", hint=_ANEW)
    if not digest:
        raise UsageError(
            f"{label} lies upon Debian packages, and upon no other image",
            hint="Renew the packages with: shipwheel build --upgrade-base --push.",
        )
    if upon is None:
        raise UsageError(f"{label} was built by a shipwheel that did not note what it needs of its base", hint=_ANEW)
    if not 0 < upon.layers < len(image.layers) or not all(keyed[upon.layers :]):
        raise ImageError(f"{label}: what is noted of its base for {image.platform} does not fit its layers", hint=_ANEW)
    return _Old(image, upon, BaseName(manifest.annotations.get(ANNOTATION_BASE_NAME, ""), digest))


def _one_name(olds: Sequence[_Old], label: str) -> str:
    names = sorted({old.base.name for old in olds})
    if len(names) > 1 or not names[0]:
        what = f"the bases of {label} are {', '.join(names)}" if len(names) > 1 else f"{label} does not say what its base is called"
        raise UsageError(what, hint="Name the new one with --base.")
    return names[0]


def _check_old(olds: Sequence[_Old], store: Store, reporter: Reporter) -> None:
    """The lowest layers are those of the old base, where that can still be read; raises ImageError when they are not."""
    for base in dict.fromkeys((old.base.name, old.base.digest) for old in olds if old.base.name):
        some = [old for old in olds if (old.base.name, old.base.digest) == base]
        try:
            index, _ = open_base(base[0], base[1], [old.image.platform for old in some], store, reporter, root=Path.cwd())
        except FetchError as error:
            reporter(
                Warned(f"the old base {base[0]} cannot be read any more ({error.message}); the image's own word is taken for its layers")
            )
            continue
        for old in some:
            theirs = [layer.diff_id for layer in image_for(index, old.image.platform, base[0]).layers]
            if theirs != [layer.diff_id for layer in old.image.layers[: old.upon.layers]]:
                raise ImageError(
                    f"the lowest layers for {old.image.platform} are not those of {base[0]}@{base[1]}, which it is said to lie upon",
                    hint=_ANEW,
                )


def _bring(belows: Sequence[Image], store: Store, reporter: Reporter) -> int:
    """Reads the layers of images that were never looked at; returns their bytes."""
    from shipwheel.base.remote import bring

    unseen = [below for below in belows if find_tree(below, store) is None]
    layers = [layer.descriptor for below in unseen for layer in below.layers if isinstance(layer, RemoteLayer)]
    wanted = {layer.digest: layer.size for layer in layers if not store.has(layer.digest)}
    bring(unseen, store, reporter)
    return sum(wanted.values())


def _grounds(olds: Sequence[_Old], belows: Sequence[Image], name: BaseName, store: Store, *, trust_config: bool) -> list[Ground]:
    """What every platform would lie upon. Raises ProofError with all that is wrong, of all platforms."""
    found: list[Ground] = []
    problems: list[str] = []
    for old, below in zip(olds, belows, strict=True):
        tree = None if trust_config else read_tree(below, store, name.name)
        try:
            facts = _facts(old.upon.facts, below, tree, name.name)
        except ImageError as error:
            problems.append(f"{old.image.platform}: {error.message}")
            continue
        problems += [f"{old.image.platform}: {problem}" for problem in _problems(old, below, facts, tree)]
        found.append(Ground(name.name, name.digest, below, facts, tree is not None and _lacks(tree, old.upon.absent)))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ProofError(f"the image would not work upon {name.name}:\n{lines}", hint=f"Take another base. {_ANEW}")
    return found


def _facts(before: ImageFacts, below: Image, tree: Tree | None, name: str) -> ImageFacts:
    """The new base's, from its files, or from its config's word with the rest as it was."""
    if tree is not None:
        return image_facts(below, tree, name, minor_version(before.python))
    config = below.config_file
    env = config.config.environment
    version, user = env.get("PYTHON_VERSION", ""), config.config.user
    if not version:
        raise ImageError(f"the config of {name} does not say PYTHON_VERSION", hint="Leave out --trust-config.")
    number = numeric_user(user, {})
    if not number and user not in ("", "root", "0", "0:0", "root:root"):
        raise ImageError(f"the user {user!r} of {name} is not a number, and its files were not read", hint="Leave out --trust-config.")
    return msgspec.structs.replace(
        before, python=version, user=number, certificates=env.get("SSL_CERT_FILE", before.certificates), unpacked_size=0
    )


def _problems(old: _Old, below: Image, facts: ImageFacts, tree: Tree | None) -> Iterator[str]:
    """What stands in the way of laying an image upon another base, a line each."""
    upon, before = old.upon, old.upon.facts
    if facts.musl != before.musl:
        kinds = ("glibc", "musl")
        yield f"its C library is {kinds[facts.musl]}, and the wheels are for {kinds[before.musl]}"
        return
    if facts.musl and facts.libc < before.libc:
        # musl's symbols have no versions that could be compared.
        yield f"its musl is {_dotted(facts.libc)}, older than the {_dotted(before.libc)} that was built for"
    if minor_version(facts.python) != minor_version(before.python):
        yield f"its Python is {facts.python}, and the wheels are for {minor_version(before.python)}"
    elif facts.interpreter != before.interpreter:
        yield f"its Python is {facts.interpreter}, and the virtual environment is for {before.interpreter}"
    if upon.packages and facts.codename != before.codename:
        suite = f"Debian {facts.codename}" if facts.codename else "no Debian that is known"
        yield f"it is {suite}, and {', '.join(upon.packages[:6])} of Debian {before.codename} were added"
    if upon.volumes and not upon.user and facts.user != before.user:
        yield f"its user is {facts.user or 'root'}, and the volumes belong to {before.user or 'the user of the old one'}"
    if before.temporary and not facts.temporary:
        yield "it has no /tmp"
    roots = EVERYWHERE if upon.packages else (VENV, _LAUNCHER, old.image.config_file.config.working_dir, *upon.volumes)
    if moved := sorted({path for path, _ in {*kept(before.directories, roots)} ^ {*kept(facts.directories, roots)}}):
        yield f"modes or owners of its {', '.join(f'/{path}' for path in moved[:6])} are others than the old one's, which the layers have"
    if tree is not None:
        mine = old.image.config_file.config.environment if "PATH" in upon.env else {}
        path = container_path(mine, below.config_file.config.environment.get("PATH", ""))
        yield from unmet(upon.needs, tree, path, old.image.platform)
        yield from in_the_way(tree, (old.image.config_file.config.working_dir, *upon.volumes))


def _lacks(tree: Tree, absent: Sequence[str]) -> bool:
    """Whether all that nothing provided is still not there."""
    there = {name for item in tree.segment.elf for name in (item.soname, item.path.rpartition("/")[2])}
    return there.isdisjoint(absent)


def _swapped(old: _Old, ground: Ground) -> Swapped:
    try:
        new = relaid(old.image, old.upon, ground)
    except ValueError as error:
        raise ImageError(f"the config of {old.image.digest} is not one of ours: {error}", hint=_ANEW) from None
    before, after = (tuple(layer.descriptor for layer in layers) for layers in (old.image.layers[: old.upon.layers], ground.below.layers))
    return Swapped(old.upon.facts, ground.facts, before, after, old.image, new)


def _index(found: "RemoteImages", images: Sequence[Image]) -> ImageIndex:
    root = found.document
    return make_index(images, decode(root.data, Index, found.digest).annotations if root.is_index else {})


def push_rebased(
    repository: "Repository", rebased: Rebased, tags: Sequence[str], watched: str, store: Store, reporter: Reporter
) -> "Traffic":
    """Brings the new base's layers, which are mounted where its registry is the same, then the documents, and points the tags at them.

    `watched` is the tag that must not have moved since it was read, empty for none. Raises FetchError, DamagedBlob.
    """
    from shipwheel.registry.push import Push

    records = list(_records(repository, rebased, reporter))
    with Push(repository, reporter) as push:
        push.images(rebased.index, store)
        push.bring(rebased.index)
        for record in records:
            push.document(record)
        if watched and repository.digest_of_tag(watched) not in ("", rebased.digest):
            raise FetchError(
                f"{repository.name}:{watched} was pushed anew meanwhile", hint="Run the command again: nothing has a name yet."
            )
        push.name(rebased.index, tags)
        push.done()
        return push.traffic


def _records(repository: "Repository", rebased: Rebased, reporter: Reporter) -> "Iterator[Document]":
    """What is known of our layers, beside the new images as it is beside the old ones."""
    from shipwheel.registry.repository import Document

    new = rebased.index.descriptor
    subject = Descriptor(new.media_type, new.digest, new.size)
    try:
        for entry in repository.referrers(rebased.digest, ARTIFACT_TYPE):
            manifest = decode(repository.manifest(entry.digest).data, Manifest, entry.digest)
            data = encode(msgspec.structs.replace(manifest, subject=subject))
            yield Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data)
    except (FetchError, ImageError) as error:
        reporter(Warned(f"what is known of the layers was not taken over: {error.message}"))


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
