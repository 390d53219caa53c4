"""Converting docker's media types to OCI's: the layers and the config stay the same (image-spec, media-types.md)."""

import msgspec

from shipwheel.errors import ImageError
from shipwheel.oci.image import Image
from shipwheel.oci.model import (
    FOREIGN_LAYERS,
    MEDIA_TYPE_CONFIG,
    MEDIA_TYPE_MANIFEST,
    OCI_LAYERS,
    Descriptor,
    Manifest,
    decode,
    encode,
)

__all__ = ["to_oci_media_types"]


def to_oci_media_types(image: Image) -> Image:
    """Return the image with OCI's media types only, because some engines reject a mixture. Return it unchanged if it has no others.

    Raise ImageError for layers that registries do not store (foreign, non-distributable), and for other artifacts.
    """
    manifest = decode(image.manifest, Manifest, image.digest)
    foreign = [layer.digest for layer in manifest.layers if layer.media_type in FOREIGN_LAYERS]
    if foreign:
        hint = "Use an image whose layers are all in the registry: these ones are distributed by their vendor only."
        raise ImageError(f"{image.digest} has layers that registries do not store: {', '.join(foreign)}", hint=hint)
    other = [f"{layer.digest} ({layer.media_type[:100]})" for layer in manifest.layers if layer.media_type not in OCI_LAYERS]
    if other:
        raise ImageError(
            f"{image.digest} has layers of unknown media types: {', '.join(other)}", hint="Name an image, not another artifact."
        )
    converted = msgspec.structs.replace(
        manifest,
        schema_version=2,
        media_type=MEDIA_TYPE_MANIFEST,
        config=msgspec.structs.replace(manifest.config, media_type=MEDIA_TYPE_CONFIG),
        layers=tuple(_to_oci(layer) for layer in manifest.layers),
    )
    if image.manifest_media_type == MEDIA_TYPE_MANIFEST and msgspec.structs.replace(converted, media_type=manifest.media_type) == manifest:
        return image
    layers = tuple(msgspec.structs.replace(layer, descriptor=_to_oci(layer.descriptor)) for layer in image.layers)
    return msgspec.structs.replace(
        image,
        manifest=encode(converted),
        layers=layers,
        config_media_type=MEDIA_TYPE_CONFIG,
        manifest_media_type=MEDIA_TYPE_MANIFEST,
    )


def _to_oci(layer: Descriptor) -> Descriptor:
    return msgspec.structs.replace(layer, media_type=OCI_LAYERS.get(layer.media_type, layer.media_type))
