from shipwheel import build, make_request

delivered = build(make_request("shop", tag="shop:1.0", output="shop.oci"))
print(delivered.path, delivered.built.index.digest)
for image in delivered.built.index.images:
    print(image.platform, image.digest, image.size)
