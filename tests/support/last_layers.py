"""The last layer of each image in a layout."""

import gzip
import io
import json
import tarfile
from pathlib import Path


def last_layers(layout: Path) -> list[dict[str, bytes]]:
    """Return the files of the last layer of each platform, by their paths."""

    def blob(descriptor: dict[str, str]) -> bytes:
        return (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()

    index = json.loads((layout / "index.json").read_bytes())
    found = []
    top = json.loads(blob(index["manifests"][0]))
    for manifest in [json.loads(blob(image)) for image in top["manifests"]] if "manifests" in top else [top]:
        data = gzip.decompress(blob(manifest["layers"][-1]))
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found.append({item.name: archive.extractfile(item).read() for item in archive if item.isreg()})  # type: ignore[union-attr]
    return found
