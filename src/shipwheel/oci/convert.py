"""Images of docker's media types as images of OCI's: the same layers and config under other names (image-spec, media-types.md)."""

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
    """The image with OCI's media types; the very same one if it has them all. Mixed families fail in some engines.

    Raises ImageError for layers that registries do not hold (foreign, non-distributable) and for types that are no layers'.
    """
    manifest = decode(image.manifest, Manifest, image.digest)
    foreign = [layer.digest for layer in manifest.layers if layer.media_type in FOREIGN_LAYERS]
    if foreign:
        hint = "Take an image that carries its layers itself: these are somewhere else, under their vendor's terms."
        raise ImageError(f"{image.digest} has layers that registries do not hold: {', '.join(foreign)}", hint=hint)
    other = [f"{layer.digest} ({layer.media_type[:100]})" for layer in manifest.layers if layer.media_type not in OCI_LAYERS]
    if other:
        raise ImageError(f"{image.digest} has layers of unknown types: {', '.join(other)}", hint="Name an image, not another artifact.")
    converted = msgspec.structs.replace(
        manifest,
        schema_version=2,
        media_type=MEDIA_TYPE_MANIFEST,
        config=msgspec.structs.replace(manifest.config, media_type=MEDIA_TYPE_CONFIG),
        layers=tuple(_in_oci_type(layer) for layer in manifest.layers),
    )
    if image.manifest_media_type == MEDIA_TYPE_MANIFEST and msgspec.structs.replace(converted, media_type=manifest.media_type) == manifest:
        return image
    layers = tuple(msgspec.structs.replace(layer, descriptor=_in_oci_type(layer.descriptor)) for layer in image.layers)
    return msgspec.structs.replace(
        image,
        manifest=encode(converted),
        layers=layers,
        config_media_type=MEDIA_TYPE_CONFIG,
        manifest_media_type=MEDIA_TYPE_MANIFEST,
    )


def _in_oci_type(layer: Descriptor) -> Descriptor:
    return msgspec.structs.replace(layer, media_type=OCI_LAYERS.get(layer.media_type, layer.media_type))
