"""A program that starts a container of an archive's image with an engine, and prints what it sees of it as JSON.

It runs in an engine's sandbox: `container_steps.py ENGINE ARCHIVE`.
"""

import json
import shlex
import sys
import time
from pathlib import Path

from shipwheel.container.path import ContainerPath as At
from shipwheel.engine.find import find
from shipwheel.engine.interface import Container, Engine, Mount, RunSpec
from shipwheel.errors import EngineError
from shipwheel.oci.archive import read_archive
from shipwheel.oci.image import make_index
from shipwheel.oci.reference import Reference
from shipwheel.store.store import Store, default_root

__all__ = ["steps"]

WRITES = """
import os, signal, socket, sys, time
for path in ("/app/made/deep", "/tmp/made", "/data/made"):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w")
    except OSError as error:
        print(f"cannot write {path}: {error.strerror}", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
server = socket.create_server(("127.0.0.1", 8123))
print("up", flush=True)
while True: time.sleep(0.05)
"""
LOOK = """
import json, os, socket
with socket.create_connection(("127.0.0.1", 8123), timeout=5) as found:
    print(json.dumps([os.getuid(), os.getcwd(), os.environ["MARK"], found.getpeername()[1]]))
"""


def wait_for(container: Container, text: str) -> None:
    """Wait until a container has printed a text. Raise EngineError if it ends before that."""
    while text not in container.logs():
        if not container.state().running and text not in container.logs():
            raise EngineError(f"it ended with {container.state().exit_code}: {container.logs()}")
        time.sleep(0.05)


def wait_end(container: Container) -> None:
    """Wait until a container has ended; whoever runs this program ends it if that never happens."""
    while container.state().running:
        time.sleep(0.05)


def seen(container: Container) -> dict[str, object]:
    """Return what an observer sees of a container from its start to its end."""
    wait_for(container, "up")
    found: dict[str, object] = {"running": container.state().running, "logs": container.logs()}
    look = container.exec(["python", "-c", LOOK])
    found["look"] = json.loads(look.stdout or "null") or look.stderr
    found["status"] = container.exec(["python", "-c", "raise SystemExit(5)"]).status
    found["missing"] = container.exec(["/no/such/program"]).status
    found["files"] = [word for word in shlex.split(container.commands.remove) if word.startswith("/")]
    found["stop"] = container.stop(grace=30)
    found["end"] = container.state().exit_code
    found["changes"] = container.changes()
    found["late logs"] = container.logs() == found["logs"]
    return found


def steps(engine: Engine, archive: Path) -> dict[str, object]:
    """Run the containers."""
    image = next(each for each in read_archive(archive).images().images if engine.host().matches(each.platform))
    index = make_index([image])
    name = engine.load(index, Store(default_root()), Reference.parse("steps:1"), lambda _event: None)

    def spec(name_of: str, **options: object) -> RunSpec:
        fields: dict[str, object] = {"image": name, "config": image.execution, "platform": image.platform, "name": name_of}
        fields |= {"args": ("python", "-c", WRITES), "env": {"MARK": "a=b c"}, "network": "none"}
        return RunSpec(**{**fields, **options})  # type: ignore[arg-type]

    found: dict[str, object] = {}
    for mode in ("read-only", "writable"):
        options = {"read_only": mode == "read-only", "user": "0:0" if mode == "writable" else None}
        with engine.start(spec(mode, no_privileges=mode == "read-only", mounts=(Mount("", At("/data")),), **options)) as container:
            found[mode] = seen(container)
    with engine.start(spec("ends", args=("python", "-c", "print('no config'); raise SystemExit(9)"))) as container:
        wait_end(container)
        found["ends"] = [container.state().exit_code, container.logs(), container.stop(), container.changes()]
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    with engine.start(spec("deaf", args=("python", "-c", deaf))) as container:
        wait_for(container, "up")
        found["killed"] = container.stop(grace=0.2)
    try:
        with engine.start(spec("missing", entrypoint=("/no/such/program",), args=())) as container:
            wait_end(container)
            found["missing"] = [container.state().exit_code, container.logs()]
    except EngineError as error:
        found["missing"] = error.message
    return found


if __name__ == "__main__":
    print(json.dumps(steps(find(sys.argv[1], print), Path(sys.argv[2]))))
