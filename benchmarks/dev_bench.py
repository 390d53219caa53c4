"""From a saved file to the answer of the new code: `shipwheel dev` beside `docker compose watch`, in one docker, with one image below."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from measure import Cost, median
from ours import NATIVE
from supply import SHIPWHEEL, Supply, environment, fresh, relocked, shipwheel_env, warm
from support.engines import Dockerd, Sandbox, wait_until
from table import Section, ratio, seconds

from shipwheel.store.store import Store

__all__ = ["dev_section"]

HERE = Path(__file__).parent
IMAGE = "bench-app:1"
MARK = "saved"

DOCKERFILE = f"FROM {IMAGE}\nUSER 0\nCMD {{command}}\n"
COMPOSE = """services:
  web:
    build: .
    ports: ["127.0.0.1:{port}:8000"]
    # As in `shipwheel dev`: the image's bytecode is never compared with its source.
    environment: {{PYTHONPYCACHEPREFIX: /tmp/pycache, PYTHONDONTWRITEBYTECODE: ""}}
    develop:
      watch:
        - {{action: {action}, path: main.py, target: /app/main.py}}
"""
SERVE = '["/opt/venv/bin/uvicorn", "main:app", "--host", "0.0.0.0"]'
RELOAD = SERVE.replace("]", ', "--reload"]')

SAVE = """
import sys, time
from pathlib import Path
from urllib.request import urlopen

path, url, old, new = Path(sys.argv[1]), *sys.argv[2:]
text = path.read_text()
assert old in text
path.write_text(text.replace(old, new))
began = time.perf_counter()
while True:
    try:
        if new in urlopen(url, timeout=5).read().decode():
            break
    except Exception:
        pass
    time.sleep(0.005)
print(time.perf_counter() - began)
"""
"""Replaces a text in a file, and prints the seconds until a page has the new one."""


def dev_section(root: Path, runs: int, say: Callable[[str], None]) -> Section:
    """Save a line in turn in three running copies of the application, and wait until each answers with it."""
    root.mkdir(parents=True, exist_ok=True)
    with Supply() as supply, Dockerd() as docker:
        say("fetching what is needed; this is not measured")
        sandbox = docker.sandbox
        project, store = _prepared(root, supply, sandbox)
        docker.load(root / "app.tar")
        sandbox.environment |= {"DOCKER_HOST": docker.tool[-1].removeprefix("--host="), "DOCKER_CONFIG": str(sandbox.root / "cli")}
        # Not HOME: docker compose would write to this machine's.
        sandbox.environment |= {name: text for name, text in shipwheel_env(store, supply).items() if name not in environment()}
        sides = {
            "shipwheel dev": _dev(sandbox, project),
            "docker compose watch, sync, uvicorn --reload": _watch(sandbox, project, "reload", RELOAD, "sync", 8001),
            "docker compose watch, sync+restart": _watch(sandbox, project, "restart", SERVE, "sync+restart", 8002),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in sides}
        for number in range(runs + 1):
            for name, (main, url) in sides.items():
                say(f"{name}, {number} of {runs}")
                cost = _saved(sandbox, main, url, number)
                if number:  # the first one waits for the start
                    costs[name].append(cost)
    medians = {name: median(known) for name, known in costs.items()}
    ours = medians["shipwheel dev"].wall
    rows = [[name, seconds(cost).partition(" (")[0], ratio(cost.wall, ours)] for name, cost in medians.items()]
    notes = [f"The FastAPI application, whose start imports pandas; medians of {runs} saved files, with the least and the most."]
    return Section("From a saved file to its answer", ["", "s", "times ours"], rows, notes)


def _prepared(root: Path, supply: Supply, sandbox: Sandbox) -> tuple[Path, Path]:
    """Return a project whose two locks are made, and the store that has all of it. Write its image."""
    project, store = fresh(HERE / "app", root / "app"), root / "store"
    (project / "Dockerfile").unlink()
    (project / "main.py").write_text((project / "main.py").read_text().replace("module.__name__:", f'"{MARK} " + module.__name__:'))
    with (project / "pyproject.toml").open("a") as settings:
        settings.write(f'platforms = ["{NATIVE}"]\n')
    warm(project, store, root / "app.tar", "--tag", IMAGE)
    supply.add(project / "pylock.toml", Store(store))
    relocked(project, shipwheel_env(store, supply), root)
    for server in (supply.index, supply.mirror):
        sandbox.reach(server.url.partition("//")[2])
    return project, store


def _dev(sandbox: Sandbox, project: Path) -> tuple[Path, str]:
    """Start `shipwheel dev`. Return the file to save, and the URL."""
    log = sandbox.root / "dev.log"
    sandbox.spawn([*SHIPWHEEL, "dev", str(project), "--engine", "docker"], log)
    wait_until(lambda: "answers at" in log.read_text(), "the start of shipwheel dev")
    return project / "main.py", "http://127.0.0.1:8000/"


def _watch(sandbox: Sandbox, project: Path, name: str, command: str, action: str, port: int) -> tuple[Path, str]:
    """Start `docker compose watch` over a copy of the application, and return the same."""
    folder = sandbox.folder(name)
    shutil.copy(project / "main.py", folder)
    (folder / "Dockerfile").write_text(DOCKERFILE.format(command=command))
    (folder / "compose.yaml").write_text(COMPOSE.format(port=port, action=action))
    compose = ["docker-compose", "--project-directory", str(folder)]
    sandbox.run([*compose, "up", "--detach", "--build", "--wait"])
    log = folder / "log"
    sandbox.spawn([*compose, "watch", "--no-up"], log)
    wait_until(lambda: "watch" in log.read_text().lower(), "the start of docker compose watch")
    return folder / "main.py", f"http://127.0.0.1:{port}/"


def _saved(sandbox: Sandbox, main: Path, url: str, number: int) -> Cost:
    """Save the file with another text than before."""
    old, new = f"{MARK}-{number} " if number else f"{MARK} ", f"{MARK}-{number + 1} "
    return Cost(float(sandbox.run([sys.executable, "-I", "-c", SAVE, str(main), url, old, new]).stdout), 0.0)
