"""Push to a real registry through a faulty proxy. Count correct pushes, clear errors, and tags of incomplete images.

    python benchmarks/faulty_pushes.py [--count 200] [--seed 1] [--json FILE]

Needs Debian's docker-registry. After every push, code that shares nothing with the client reads the registry without the proxy: every
image with a tag must be complete. The exit code is 1 if one is not, or if an error has no hint.
"""

import argparse
import base64
import json
import os
import random
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.engines import Registry

from shipwheel.digest import digest_of
from shipwheel.errors import ShipwheelError
from shipwheel.events import silent
from shipwheel.files.segment import source_date_epoch
from shipwheel.oci.image import ImageIndex, RemoteLayer, make_image, make_index
from shipwheel.oci.model import MEDIA_TYPE_LAYER_GZIP, ContainerConfig, Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.registry import upload
from shipwheel.registry.push import Push
from shipwheel.registry.repository import Repository
from shipwheel.store.store import Store
from shipwheel.testing.fault_proxy import FaultProxy

_VARIES = re.compile(r"sha256:[0-9a-f]+|127[.0-9]+:[0-9]+|/[a-z/]*app[0-9]+[^ ]*|uploads/[^ ]+")

RATES = (0.05, 0.1, 0.2, 0.35, 0.6)


def layer_of(data: bytes) -> RemoteLayer:
    """Return a layer of arbitrary bytes."""
    digest = digest_of(data)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(data), 1 << 16):
            yield data[start : start + (1 << 16)]

    return RemoteLayer(Descriptor(MEDIA_TYPE_LAYER_GZIP, digest, len(data)), digest, chunks)


def images(chance: random.Random) -> ImageIndex:
    """Make an image index of two platforms, each with small layers and one that is uploaded in chunks."""
    made = []
    for name in ("amd64", "arm64"):
        layers = [layer_of(chance.randbytes(size)) for size in (700, 60_000, 1_500_000)]
        made.append(make_image(layers, ContainerConfig(), Platform("linux", name), created=source_date_epoch()))
    return make_index(made)


def get(url: str) -> bytes | None:
    """Request a URL from the registry itself. Return None for a 404."""
    accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept})) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def incomplete(base: str, reference: str) -> list[str]:
    """Return the digests below a tag that the registry does not have; none for a missing tag."""
    data = get(f"{base}/manifests/{reference}")
    if data is None:
        return [] if ":" not in reference else [reference]
    document = json.loads(data)
    lacking = [lack for entry in document.get("manifests", ()) for lack in incomplete(base, entry["digest"])]
    for blob in (*document.get("layers", ()), *((document["config"],) if "config" in document else ())):
        found = get(f"{base}/blobs/{blob['digest']}")
        if found is None or digest_of(found) != blob["digest"]:
            lacking.append(blob["digest"])
    return lacking


def one(
    registry: Registry, proxy: FaultProxy, number: int, chance: random.Random, store: Store, errors: Counter[str]
) -> tuple[str, list[str]]:
    """Push once. Return the outcome ("right", "clear error" or a defect) and the missing digests of its tag. `errors` counts messages."""
    index = images(chance)
    base = f"{registry.url}/v2/bench/app{number}"
    try:
        with Repository(Reference.parse(f"{proxy.host}/bench/app{number}:1")) as repository, Push(repository, silent) as push:
            push.images(index, store)
            push.finish(index, ("1",))
        data = get(f"{base}/manifests/1") or b""
        outcome = "right" if digest_of(data) == index.digest else "WRONG"
    except ShipwheelError as error:
        outcome = "clear error" if error.message and error.hint else f"NO NEXT STEP: {error.message}"
        errors[
            re.sub(r"sha256:[0-9a-f]+|127[.0-9]+:[0-9]+|/[a-z/]*app[0-9]+[^ ]*|uploads/[^ ]+", "…", error.message).splitlines()[0][:160]
        ] += 1
    except Exception as error:
        outcome = f"CRASH: {type(error).__name__}: {error}"
    return outcome, incomplete(base, "1")


def main() -> int:
    """Run the pushes and print the counts as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    upload.CHUNK_SIZES = (400_000, 100_000)
    chance = random.Random(arguments.seed)
    outcomes: dict[float, Counter[str]] = {rate: Counter() for rate in RATES}
    faults: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    lies: list[str] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Registry() as registry:
        os.environ["DOCKER_CONFIG"] = folder
        store = Store(Path(folder, "store"))
        for number in range(arguments.count):
            rate = RATES[number % len(RATES)]
            with FaultProxy(registry.host, rate, arguments.seed * 10_000 + number) as proxy:
                # With credentials a 401 in the middle is something that can be answered.
                secret = {"auths": {proxy.host: {"auth": base64.b64encode(b"user:password").decode()}}} if number % 2 else {}
                Path(folder, "config.json").write_text(json.dumps(secret))
                outcome, lacking = one(registry, proxy, number, chance, store, errors)
            outcomes[rate][outcome] += 1
            faults.update(proxy.counts)
            lies += [f"app{number}: {digest}" for digest in lacking]
    total = sum(outcomes.values(), Counter())
    report = {
        "pushes": arguments.count,
        "outcomes": dict(total),
        "by-rate": {str(rate): dict(counter) for rate, counter in outcomes.items()},
        "requests": faults.pop("none", 0),
        "faults": dict(sorted(faults.items())),
        "errors": dict(errors.most_common()),
        "incomplete-tags": lies,
        "seconds": round(time.monotonic() - started, 1),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 1 if lies or set(total) - {"right", "clear error"} else 0


if __name__ == "__main__":
    sys.exit(main())
