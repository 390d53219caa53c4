"""An image on another base: the same layers of ours, and the config that a build on that base would give. Pure."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from shipwheel.base.model import ImageFacts
from shipwheel.digest import Digest
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.oci.image import Image, ImageLayer, RemoteLayer, make_image
from shipwheel.oci.layer import ANNOTATION_KEY
from shipwheel.oci.layer_text import layer_texts
from shipwheel.oci.model import ConfigFile, Manifest, decode
from shipwheel.pipeline.compose import ANNOTATION_PROOF
from shipwheel.pipeline.container import DEFAULT_USER, ContainerOptions, container_config
from shipwheel.pipeline.proof import proof_key, proved_key, start_key
from shipwheel.pipeline.rebase_info import ANNOTATION_BASE_DIGEST, ANNOTATION_BASE_NAME, ANNOTATION_REBASE_INFO, RebaseInfo

__all__ = ["NewBase", "rebased_image"]


class NewBase(msgspec.Struct, frozen=True):
    """The base to put an image on: `name` and `digest` as the user knows it, `image` for the platform.

    `keeps_proof` says that its files were read, and that they still lack what nothing provided before.
    """

    name: str
    digest: Digest
    image: Image
    facts: ImageFacts
    keeps_proof: bool


def rebased_image(image: Image, info: RebaseInfo, base: NewBase) -> Image:
    """Return the image on its new base. Raises ImageError for more layers than engines accept."""
    config = image.config_file
    old_annotations = decode(image.manifest, Manifest, image.digest).annotations
    base_name = {ANNOTATION_BASE_NAME: base.name} if not base.name.startswith("oci:") else {}
    base_annotations = {**base_name, ANNOTATION_BASE_DIGEST: base.digest}
    labels = {**base_annotations, **_own_labels(config, info, old_annotations)}
    new_info = msgspec.structs.replace(
        info, layers=len(base.image.layers), manifest=base.image.digest, facts=base.facts, labels=tuple(sorted(labels))
    )
    base_config = base.image.config_file
    container = container_config(_container_options(image.execution, info, base.facts, labels), base.image.execution)
    annotations = {key: value for key, value in old_annotations.items() if key not in (ANNOTATION_BASE_NAME, ANNOTATION_PROOF)}
    annotations |= {**base_annotations, ANNOTATION_REBASE_INFO: new_info.annotation}
    # The new proof key is one that a build would find only if the old one can be computed from the same facts.
    if base.keeps_proof and _proved_key(image, info, config) == old_annotations.get(ANNOTATION_PROOF):
        new_config = ConfigFile(config.architecture, config.os, config.rootfs, container)
        annotations[ANNOTATION_PROOF] = _proved_key(image, msgspec.structs.replace(new_info, layers=info.layers), new_config)
    return make_image(
        (*base.image.layers, *_own_layers(image, info, config)),
        container,
        image.platform,
        created=int(datetime.fromisoformat(config.created).timestamp()),
        annotations=annotations,
        base_history=base_config.history,
    )


def _own_labels(config: ConfigFile, info: RebaseInfo, annotations: dict[str, str]) -> dict[str, str]:
    """Return our labels, without those about the old base that the user did not set."""
    old_base = {key: annotations.get(key) for key in (ANNOTATION_BASE_NAME, ANNOTATION_BASE_DIGEST)}
    own = {key: value for key, value in config.config.labels.items() if key in info.labels}
    return {key: value for key, value in own.items() if key not in old_base or old_base[key] != value}


def _container_options(container: ExecutionConfig, info: RebaseInfo, facts: ImageFacts, labels: dict[str, str]) -> ContainerOptions:
    env = container.environment
    return ContainerOptions(
        command=container.cmd,
        program=False,
        arguments=(),
        ports=info.ports,
        volumes=info.volumes,
        env={name: env[name] for name in info.env if name in env},
        user=info.user or facts.user or DEFAULT_USER,
        workdir=container.working_dir,
        labels=labels,
        stop_signal=info.stop_signal,
        launcher=container.entrypoint,
        certificates=facts.certificates,
    )


def _own_layers(image: Image, info: RebaseInfo, config: ConfigFile) -> Iterator[ImageLayer]:
    """Yield our layers, named as in the history."""
    texts = layer_texts(config, len(image.layers))
    for layer, text in zip(image.layers[info.layers :], texts[info.layers :], strict=True):
        yield msgspec.structs.replace(layer, name=text.name, contents=text.contents) if isinstance(layer, RemoteLayer) else layer


def _proved_key(image: Image, info: RebaseInfo, config: ConfigFile) -> str:
    """Return the key under which a build of these layers on `info.manifest` remembers its proofs."""
    keys = [layer.descriptor.annotations.get(ANNOTATION_KEY, "") for layer in image.layers[info.layers :]]
    container = config.config
    path = next((entry.removeprefix("PATH=") for entry in container.env if entry.startswith("PATH=")), "")
    proof = proof_key(image.platform, info.absent, info.manifest, keys)
    return proved_key(proof, start_key(info.programs, info.imports, container.working_dir, path, info.volumes, info.manifest, keys))
