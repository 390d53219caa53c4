from shipwheel import push

print(push("shop.oci", "registry.example/team/shop:1.1"))
