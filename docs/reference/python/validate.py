from pathlib import Path

from shipwheel import validate

for image in validate(Path("shop.oci")).images:
    print(image.platform, image.digest, image.layers, "layers")
