"""An image laid upon another base: the same layers of ours, the config that a build upon that base would give. Pure."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from shipwheel.base.base import ImageFacts
from shipwheel.oci.image import Image, LayerBlob, RemoteLayer, make_image
from shipwheel.oci.layer import ANNOTATION_KEY
from shipwheel.oci.model import ConfigFile, Manifest, decode
from shipwheel.pipeline.compose import ANNOTATION_PROOF
from shipwheel.pipeline.container import DEFAULT_USER, Run, container_config
from shipwheel.pipeline.proof_keys import proof_key, proved_key, start_key
from shipwheel.pipeline.rebase_info import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME, ANNOTATION_UPON, Upon

__all__ = ["Ground", "relaid"]

_MADE_BY = "shipwheel: "


class Ground(msgspec.Struct, frozen=True):
    """What an image is laid upon: `name` and `digest` are the base's as the user calls it, `below` is its image for the platform.

    `keeps_proof` says that it has been looked at as a build would look at it.
    """

    name: str
    digest: str
    below: Image
    facts: ImageFacts
    keeps_proof: bool


def relaid(image: Image, upon: Upon, ground: Ground) -> Image:
    """The image upon the ground. Raises ImageError for more layers than engines take."""
    config = image.config_file
    before = decode(image.manifest, Manifest, image.digest).annotations
    named = {ANNOTATION_BASE_NAME: ground.name} if not ground.name.startswith("oci:") else {}
    base = {**named, ANNOTATION_BASE_DIGEST: ground.digest}
    labels = {**base, **_labels(config, upon, before)}
    after = msgspec.structs.replace(
        upon, layers=len(ground.below.layers), manifest=ground.below.digest, facts=ground.facts, labels=tuple(sorted(labels))
    )
    below = ground.below.config_file
    run = container_config(_run(config, upon, ground.facts, labels), below.config)
    ours = tuple(_ours(image, upon, config))
    annotations = {key: value for key, value in before.items() if key not in (ANNOTATION_BASE_NAME, ANNOTATION_PROOF)}
    annotations |= {**base, ANNOTATION_UPON: after.annotation}
    # Only where the old image's own key comes out of what is known of it is the new one's a key that a build would find.
    if ground.keeps_proof and _proved(image, upon, config) == before.get(ANNOTATION_PROOF):
        laid = ConfigFile(config.architecture, config.os, config.rootfs, run)
        annotations[ANNOTATION_PROOF] = _proved(image, msgspec.structs.replace(after, layers=upon.layers), laid)
    created = int(datetime.fromisoformat(config.created).timestamp())
    layers = (*ground.below.layers, *ours)
    return make_image(layers, run, image.platform, created=created, annotations=annotations, below=below.history)


def _labels(config: ConfigFile, upon: Upon, annotations: dict[str, str]) -> dict[str, str]:
    """Ours, without what they say of the old base, unless the user says it."""
    theirs = {key: annotations.get(key) for key in (ANNOTATION_BASE_NAME, ANNOTATION_BASE_DIGEST)}
    mine = {key: value for key, value in config.config.labels.items() if key in upon.labels}
    return {key: value for key, value in mine.items() if key not in theirs or theirs[key] != value}


def _run(config: ConfigFile, upon: Upon, facts: ImageFacts, labels: dict[str, str]) -> Run:
    container = config.config
    env = container.environment
    return Run(
        command=container.cmd,
        program=False,
        arguments=(),
        ports=upon.ports,
        volumes=upon.volumes,
        env={name: env[name] for name in upon.env if name in env},
        user=upon.user or facts.user or DEFAULT_USER,
        workdir=container.working_dir,
        labels=labels,
        stop_signal=upon.stop_signal,
        launcher=container.entrypoint,
        certificates=facts.certificates,
    )


def _ours(image: Image, upon: Upon, config: ConfigFile) -> Iterator[LayerBlob]:
    """Our layers, with the names that the history has for them."""
    ours = image.layers[upon.layers :]
    lines = [line.created_by for line in config.history if not line.empty_layer][-len(ours) :] if ours else []
    names = lines if len(lines) == len(ours) else [""] * len(ours)
    for layer, line in zip(ours, names, strict=True):
        name = line.removeprefix(_MADE_BY) if line.startswith(_MADE_BY) else ""
        yield msgspec.structs.replace(layer, name=name) if isinstance(layer, RemoteLayer) else layer


def _proved(image: Image, upon: Upon, config: ConfigFile) -> str:
    """The key under which a build with these layers of ours upon `upon.manifest` remembers what it found to be true."""
    keys = [layer.descriptor.annotations.get(ANNOTATION_KEY, "") for layer in image.layers[upon.layers :]]
    run = config.config
    path = next((entry.removeprefix("PATH=") for entry in run.env if entry.startswith("PATH=")), "")
    proof = proof_key(image.platform, upon.absent, upon.manifest, keys)
    return proved_key(proof, start_key(upon.programs, run.working_dir, path, upon.volumes, upon.manifest, keys))
