from shipwheel import copy

print(copy("registry.example/team/shop:1.0", "registry.example/production/shop:1.0"))
