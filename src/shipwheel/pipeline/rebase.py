"""Rebase: give an image in a registry another base. Our layers stay where they are, unread; only manifests and configs are new.

The manifest records what the image needs from its base. The new base is checked against that before anything is pushed.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base_directories import ANYWHERE, inherited_attributes, path_conflicts
from shipwheel.base.base_requirements import unmet_requirements
from shipwheel.base.image_facts import image_facts, numeric_user
from shipwheel.base.image_source import image_for_platform, open_images
from shipwheel.base.init import INIT_DIRECTORIES
from shipwheel.base.model import ImageFacts
from shipwheel.container.venv import VENV
from shipwheel.digest import Digest, as_digest, digest_of
from shipwheel.errors import FetchError, ImageError, ProofError, UsageError
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned
from shipwheel.oci.image import Image, ImageIndex, RemoteLayer, make_index
from shipwheel.oci.layer import ANNOTATION_KEY
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Index, Manifest, decode, encode
from shipwheel.oci.read.file_tree import FileTree, find_file_tree, read_file_tree
from shipwheel.pipeline.container import container_path
from shipwheel.pipeline.rebase_info import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME, RebaseInfo, read_rebase_info
from shipwheel.pipeline.rebased_image import NewBase, rebased_image
from shipwheel.pipeline.segment_metadata import ARTIFACT_TYPE
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.versions import minor_version

if TYPE_CHECKING:
    from shipwheel.registry.pull import RemoteImages
    from shipwheel.registry.push import Traffic
    from shipwheel.registry.repository import Document, Repository

__all__ = ["BaseName", "Rebased", "RebasedPlatform", "push_rebased", "rebase"]

_LAUNCHER = "opt/shipwheel"

_BUILD_AGAIN = "Build it again on that base: shipwheel build --base IMAGE --upgrade-base --push."


class BaseName(msgspec.Struct, frozen=True):
    """A base's name, empty for a layout, and the digest that the name stood for."""

    name: str
    digest: Digest


class RebasedPlatform(msgspec.Struct, frozen=True):
    """One platform before and after: the facts of both bases, their layers, and the image on each."""

    before: ImageFacts
    after: ImageFacts
    old_layers: tuple[Descriptor, ...]
    new_layers: tuple[Descriptor, ...]
    old: Image
    new: Image

    @property
    def own_layers(self) -> tuple[Descriptor, ...]:
        """The layers above the base, which stay."""
        return tuple(layer.descriptor for layer in self.old.layers[len(self.old_layers) :])


class Rebased(msgspec.Struct, frozen=True):
    """The result of a rebase, not yet pushed.

    `index` holds the new images, or the old ones if there is nothing to do: then `platforms` is empty. `digest` is what was rebased.
    `read` counts the bytes of the new base's layers that were read to examine its files.
    """

    digest: Digest
    before: BaseName
    after: BaseName
    platforms: tuple[RebasedPlatform, ...]
    index: ImageIndex
    read: int = 0


class _Current(msgspec.Struct, frozen=True):
    """An image of ours as it is now, with what it records about its base."""

    image: Image
    info: RebaseInfo
    base: BaseName


def rebase(
    repository: "Repository", reference: str, store: Store, reporter: Reporter, *, base: str = "", trust_config: bool = False
) -> Rebased:
    """Put the images of a tag or digest on `base`, by default on what the name of their base stands for now. Nothing is pushed.

    With `trust_config`, the new base's config is believed and its layers are not read. Raises UsageError for images without a base
    image, ProofError with everything that the new base lacks, ImageError, FetchError or IntegrityError.
    """
    from shipwheel.registry.pull import remote_images

    found = remote_images(repository, reference)
    label = f"{repository.name}:{reference}"
    images = [_current(image, label) for image in found.images]
    before = images[0].base
    name = base or _common_name(images, label)
    platforms = [current.image.platform for current in images]
    reporter(StageStarted("base"))
    index, digest = open_images(name, None, platforms, store, reporter, root=Path.cwd())
    after = BaseName(name, digest)
    if all(current.base.digest == digest and (current.base.name or name) == name for current in images):
        reporter(StageFinished("base", f"{name} is the base already"))
        return Rebased(found.digest, before, after, (), ImageIndex(found.images, found.document.data))
    _check_old_base(images, store, reporter)
    parents = {platform: image_for_platform(index, platform, name) for platform in platforms}
    read = 0 if trust_config else _read_layers(tuple(parents.values()), store, reporter)
    moves = _checked(images, parents, after, store, trust_config=trust_config)
    reporter(StageFinished("base", f"{name}, Python {', '.join(sorted({new.facts.python for _, new in moves}))}"))
    if trust_config:
        reporter(Warned(f"the libraries of {name} were not checked", "Leave out --trust-config to have them read and checked."))
    rebased = tuple(_rebased(current, new) for current, new in moves)
    return Rebased(found.digest, before, after, rebased, _index(found, [each.new for each in rebased]), read)


def _current(image: Image, label: str) -> _Current:
    manifest = decode(image.manifest, Manifest, image.digest)
    info = read_rebase_info(manifest.annotations)
    digest = as_digest(manifest.annotations.get(ANNOTATION_BASE_DIGEST, ""))
    is_ours = [ANNOTATION_KEY in layer.descriptor.annotations for layer in image.layers]
    if not any(is_ours):
        raise UsageError(f"{label} was not built by shipwheel, so its base's layers are not known", hint=_BUILD_AGAIN)
    if not digest:
        raise UsageError(
            f"{label} is built on Debian packages, not on a base image",
            hint="Renew the packages with: shipwheel build --upgrade-base --push.",
        )
    if info is None:
        raise UsageError(f"{label} was built by a version of shipwheel that did not record what it needs from its base", hint=_BUILD_AGAIN)
    if not 0 < info.layers < len(image.layers) or not all(is_ours[info.layers :]):
        raise ImageError(f"{label}: the record of its base for {image.platform} does not fit its layers", hint=_BUILD_AGAIN)
    return _Current(image, info, BaseName(manifest.annotations.get(ANNOTATION_BASE_NAME, ""), digest))


def _common_name(images: Sequence[_Current], label: str) -> str:
    names = sorted({current.base.name for current in images})
    if len(names) > 1 or not names[0]:
        what = f"the bases of {label} are {', '.join(names)}" if len(names) > 1 else f"{label} does not name its base"
        raise UsageError(what, hint="Name the new base with --base.")
    return names[0]


def _check_old_base(images: Sequence[_Current], store: Store, reporter: Reporter) -> None:
    """Raise ImageError if an image's lowest layers are not the old base's. A base that can no longer be read is not checked."""
    for name, digest in dict.fromkeys((current.base.name, current.base.digest) for current in images if current.base.name):
        same = [current for current in images if (current.base.name, current.base.digest) == (name, digest)]
        try:
            index, _ = open_images(name, digest, [current.image.platform for current in same], store, reporter, root=Path.cwd())
        except FetchError as error:
            reporter(Warned(f"the old base {name} cannot be read any more ({error.message}); the image's own record of its layers is used"))
            continue
        for current in same:
            expected = [layer.diff_id for layer in image_for_platform(index, current.image.platform, name).layers]
            if expected != [layer.diff_id for layer in current.image.layers[: current.info.layers]]:
                raise ImageError(
                    f"the lowest layers for {current.image.platform} are not those of {name}@{digest}, the base that the image names",
                    hint=_BUILD_AGAIN,
                )


def _read_layers(parents: Sequence[Image], store: Store, reporter: Reporter) -> int:
    """Bring the layers of base images that were never examined into the store. Return how many bytes that took."""
    from shipwheel.base.image_source import fetch_layers

    unknown = [parent for parent in parents if find_file_tree(parent, store) is None]
    layers = [layer.descriptor for parent in unknown for layer in parent.layers if isinstance(layer, RemoteLayer)]
    missing = {layer.digest: layer.size for layer in layers if not store.has(layer.digest)}
    fetch_layers(unknown, store, reporter)
    return sum(missing.values())


def _checked(
    images: Sequence[_Current], parents: Mapping[Platform, Image], name: BaseName, store: Store, *, trust_config: bool
) -> list[tuple[_Current, NewBase]]:
    """Return each image with its new base. Raises ProofError with every problem of every platform."""
    moves: list[tuple[_Current, NewBase]] = []
    problems: list[str] = []
    for current in images:
        platform = current.image.platform
        parent = parents[platform]
        tree = None if trust_config else read_file_tree(parent, store, name.name)
        try:
            facts = _facts(current.info.facts, parent, tree, name.name)
        except ImageError as error:
            problems.append(f"{platform}: {error.message}")
            continue
        problems += [f"{platform}: {problem}" for problem in _problems(current, parent, facts, tree)]
        keeps_proof = tree is not None and _lacks_all(tree, current.info.absent)
        moves.append((current, NewBase(name.name, name.digest, parent, facts, keeps_proof)))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ProofError(f"the image would not work on {name.name}:\n{lines}", hint=f"Choose another base. {_BUILD_AGAIN}")
    return moves


def _facts(before: ImageFacts, parent: Image, tree: FileTree | None, name: str) -> ImageFacts:
    """Return the new base's facts from its files, or without a tree from its config, with the rest as it was."""
    if tree is not None:
        return image_facts(parent, tree, name, minor_version(before.python))
    config = parent.execution
    env = config.environment
    version, user = env.get("PYTHON_VERSION", ""), config.user
    if not version:
        raise ImageError(f"the config of {name} does not set PYTHON_VERSION", hint="Leave out --trust-config.")
    number = numeric_user(user, {})
    if not number and user not in ("", "root", "0", "0:0", "root:root"):
        raise ImageError(f"the user {user!r} of {name} is not a number, and its files were not read", hint="Leave out --trust-config.")
    return msgspec.structs.replace(
        before, python=version, user=number, certificates=env.get("SSL_CERT_FILE", before.certificates), unpacked_size=0
    )


def _problems(current: _Current, parent: Image, facts: ImageFacts, tree: FileTree | None) -> Iterator[str]:
    """Yield a line for each reason why the image would not work on the new base."""
    info, before = current.info, current.info.facts
    if facts.musl != before.musl:
        kinds = ("glibc", "musl")
        yield f"its C library is {kinds[facts.musl]}, and the wheels are for {kinds[before.musl]}"
        return
    yield from _python_problems(facts, before)
    if info.packages and facts.codename != before.codename:
        suite = f"Debian {facts.codename}" if facts.codename else "not a known Debian suite"
        yield f"it is {suite}, and {', '.join(info.packages[:6])} of Debian {before.codename} were added"
    if info.volumes and not info.user and facts.user != before.user:
        yield f"its user is {facts.user or 'root'}, and the volumes belong to {before.user or 'the user of the old base'}"
    if before.has_tmp and not facts.has_tmp:
        yield "it has no /tmp"
    workdir = current.image.execution.working_dir
    init = INIT_DIRECTORIES if info.init else ()
    roots = ANYWHERE if info.packages else (VENV, _LAUNCHER, workdir, *info.volumes, *init)
    if changed := sorted(
        {path for path, _ in {*inherited_attributes(before.directories, roots)} ^ {*inherited_attributes(facts.directories, roots)}}
    ):
        paths = ", ".join(f"/{path}" for path in changed[:6])
        yield f"modes or owners of its {paths} differ from those of the old base, which the layers have"
    if tree is not None:
        own = current.image.execution.environment if "PATH" in info.env else {}
        path = container_path(own, parent.execution.environment.get("PATH", ""))
        yield from unmet_requirements(info.needs, tree, path, current.image.platform)
        yield from path_conflicts(tree, (workdir, *info.volumes, *init))


def _python_problems(facts: ImageFacts, before: ImageFacts) -> Iterator[str]:
    if facts.musl and facts.libc < before.libc:
        # musl's symbols have no versions that could be compared.
        yield f"its musl is {_dotted(facts.libc)}, older than the {_dotted(before.libc)} that the image was built for"
    if minor_version(facts.python) != minor_version(before.python):
        yield f"its Python is {facts.python}, and the wheels are for {minor_version(before.python)}"
    elif facts.interpreter != before.interpreter:
        yield f"its Python is {facts.interpreter}, and the virtual environment is for {before.interpreter}"


def _lacks_all(tree: FileTree, absent: Sequence[str]) -> bool:
    """Return whether the base still lacks every library that nothing provided before."""
    present = {name for elf in tree.segment.elf for name in (elf.soname, elf.path.rpartition("/")[2])}
    return present.isdisjoint(absent)


def _rebased(current: _Current, base: NewBase) -> RebasedPlatform:
    try:
        new = rebased_image(current.image, current.info, base)
    except ValueError as error:
        raise ImageError(f"the config of {current.image.digest} was not written by shipwheel: {error}", hint=_BUILD_AGAIN) from None
    old_layers = tuple(layer.descriptor for layer in current.image.layers[: current.info.layers])
    new_layers = tuple(layer.descriptor for layer in base.image.layers)
    return RebasedPlatform(current.info.facts, base.facts, old_layers, new_layers, current.image, new)


def _index(found: "RemoteImages", images: Sequence[Image]) -> ImageIndex:
    root = found.document
    return make_index(images, decode(root.data, Index, found.digest).annotations if root.is_index else {})


def push_rebased(
    repository: "Repository", rebased: Rebased, tags: Sequence[str], unmoved_tag: str, store: Store, reporter: Reporter
) -> "Traffic":
    """Bring the new base's layers, mounted where the registry is the same, then push the documents and move the tags.

    `unmoved_tag` must still stand for what was rebased; empty to skip that check. Raises FetchError or DamagedBlob.
    """
    from shipwheel.registry.push import Push

    metadata = list(_segment_metadata(repository, rebased, reporter))
    with Push(repository, reporter) as push:
        push.images(rebased.index, store)
        push.put_images(rebased.index)
        if unmoved_tag and repository.digest_of_tag(unmoved_tag) != rebased.digest:
            raise FetchError(
                f"{repository.name}:{unmoved_tag} was pushed again or deleted in the meantime",
                hint="Run the command again: no tag was moved.",
            )
        push.tag_images(rebased.index, tags)
        with push.optional():
            for document in metadata:
                push.document(document)
        push.report_finished()
        return push.traffic


def _segment_metadata(repository: "Repository", rebased: Rebased, reporter: Reporter) -> "Iterator[Document]":
    """Yield the metadata of our layers, attached to the new images instead of the old ones."""
    from shipwheel.registry.referrers import list_referrers
    from shipwheel.registry.repository import Document

    new = rebased.index.descriptor
    subject = Descriptor(new.media_type, new.digest, new.size)
    try:
        for entry in list_referrers(repository, rebased.digest, ARTIFACT_TYPE):
            manifest = decode(repository.manifest(entry.digest).data, Manifest, entry.digest)
            data = encode(msgspec.structs.replace(manifest, subject=subject))
            yield Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data)
    except (FetchError, ImageError) as error:
        reporter(Warned(f"the metadata of the layers was not carried over: {error.message}"))


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
