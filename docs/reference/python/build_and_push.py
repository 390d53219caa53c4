from shipwheel import build, make_request

delivered = build(make_request("shop", tag="registry.example/team/shop:1.0"), push=True)
print(f"deploy registry.example/team/shop@{delivered.built.index.digest}")
