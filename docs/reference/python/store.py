from pathlib import Path

from shipwheel import Store, build, make_request

store = Store(Path("store"))  # instead of the user's cache directory
build(make_request("shop", store=store, output="other.oci"))
print(len(list(store.root.iterdir())), "entries in", store.root)
