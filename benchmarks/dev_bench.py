"""From a saved file to the answer of the new code: `shipwheel dev` beside `docker compose watch`, in one docker, with one image below."""

import itertools
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
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
MARK = "MARK"
PANDAS = (HERE / "app" / "main.py").read_text().replace("module.__name__:", f'"{MARK}" + module.__name__:')
TUTORIAL = f"""from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def read_root() -> dict[str, str]:
    return {{"Hello": "{MARK}"}}
"""
APPS = {"a tutorial's app": TUTORIAL, "an app that imports pandas": PANDAS}
"""What is served -> the text of its file. The page has what the mark is replaced by."""

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

path, url, mark, text = Path(sys.argv[1]), *sys.argv[2:]
path.write_text(text)
began = time.perf_counter()
while True:
    try:
        if mark in urlopen(url, timeout=5).read().decode():
            break
    except Exception:
        pass
    time.sleep(0.02)
print(time.perf_counter() - began)
"""
"""Saves a text in a file, and prints the seconds until a page has its mark."""


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
        numbers = itertools.count(1)
        costs: dict[tuple[str, str], list[Cost]] = {(name, app): [] for app in APPS for name in sides}
        for app, number, name in itertools.product(APPS, range(runs + 1), sides):
            say(f"{name}, {app}, {number} of {runs}")
            cost = _saved(sandbox, *sides[name], APPS[app], f"saved-{next(numbers)} ")
            if number:  # the first one may wait for a start, and compiles what is imported
                costs[name, app].append(cost)
    return _section({key: median(known) for key, known in costs.items()}, tuple(sides), runs)


def _section(medians: Mapping[tuple[str, str], Cost], names: Sequence[str], runs: int) -> Section:
    ours = {app: medians[names[0], app].wall for app in APPS}
    rows = []
    for name in names:
        cells = ((seconds(cost).partition(" (")[0], ratio(cost.wall, ours[app])) for app in APPS if (cost := medians[name, app]))
        rows.append([name, *itertools.chain.from_iterable(cells)])
    head = ["", *itertools.chain.from_iterable((f"{app}, s", "times ours") for app in APPS)]
    notes = [
        f"Medians of {runs} saved files, with the least and the most. The first app is that of FastAPI's tutorial; the second imports",
        "pandas, numpy and SQLAlchemy too. A page is asked for every 20 ms.",
    ]
    return Section("From a saved file to its answer", head, rows, [" ".join(notes)])


def _prepared(root: Path, supply: Supply, sandbox: Sandbox) -> tuple[Path, Path]:
    """Return a project whose two locks are made, and the store that has all of it. Write its image."""
    project, store = fresh(HERE / "app", root / "app"), root / "store"
    (project / "Dockerfile").unlink()
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


def _saved(sandbox: Sandbox, main: Path, url: str, text: str, mark: str) -> Cost:
    """Save a text with a mark that the page does not have yet."""
    argv = [sys.executable, "-I", "-c", SAVE, str(main), url, mark, text.replace(MARK, mark)]
    return Cost(float(sandbox.run(argv).stdout), 0.0)
