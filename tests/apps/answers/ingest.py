"""Read the documents that are new. Wait for the model server."""

import os
import time
from pathlib import Path

import model
import store

store.create()
known = store.names()
new = [path for path in sorted(Path(os.environ["CHATCHAT_ROOT"], "documents").iterdir()) if path.name not in known]
for path in new:
    body = path.read_text()
    while True:
        try:
            vector = model.embed(body)
            break
        except OSError:
            print("waiting for the model server", flush=True)
            time.sleep(0.5)
    store.add(path.name, body, vector)
print(f"read {len(new)} documents", flush=True)
