"""Web applications that a larger program runs in a thread or process beside its own work."""

from pathlib import Path

import pytest
from support.project_tree import launched

PAGE = "from flask import Flask\nfrom threading import Thread\napp = Flask('')\n"
AWAKE = PAGE + "def run():\n    app.run(host='0.0.0.0', port=8080)\ndef keep_alive():\n    Thread(target=run).start()\n"
BOT = "import discord\nfrom awake import keep_alive\nclient = discord.Client()\nkeep_alive()\nclient.run('x')\n"
JOBS = (
    "from multiprocessing import Process\nfrom web import app\nclass Jobs:\n    def api(self):\n        app.run('0.0.0.0', 5555)\n"
    "    def run(self):\n        Process(target=self.api).start()\n"
)
RUN = "from jobs import Jobs\nif __name__ == '__main__':\n    Jobs().run()\n"
BENCH = "from main import app\nThread(target=lambda: app.run(host='0.0.0.0', port=80)).start()\nmeasure()\n"
MAIN = "if __name__ == '__main__':\n    app.run(port=80)\n"
SCRIPT = "if __name__ == '__main__':\n    Thread(target=work).start()\n    app.run()\n"


@pytest.mark.parametrize(
    ("files", "command", "ports"),
    [
        ({"main.py": BOT, "awake.py": AWAKE}, ("python", "main.py"), ("8080/tcp",)),
        ({"main.py": BOT, "other.py": BOT, "awake.py": AWAKE}, ("python", "main.py"), ("8080/tcp",)),
        ({"run.py": RUN, "jobs.py": JOBS, "web.py": PAGE}, ("python", "run.py"), ("5555/tcp",)),
        ({"bot.py": PAGE + "Thread(target=lambda: app.run(host='0.0.0.0', port=80)).start()\n"}, ("python", "bot.py"), ("80/tcp",)),
        ({"bot.py": PAGE + "Thread(target=app.run, kwargs={'host': '0.0.0.0'}).start()\nloop()\n"}, ("python", "bot.py"), ()),
    ],
    ids=["a bot that keeps itself awake", "a usual name", "a collector with an interface", "lambda", "method"],
)
def test_the_program_around_an_application_is_started(
    tmp_path: Path, files: dict[str, str], command: tuple[str, ...], ports: tuple[str, ...]
) -> None:
    launch = launched(tmp_path, files, "flask discord-py gunicorn")
    assert (launch.command, launch.ports) == (command, ports)
    assert "beside its own work" in launch.reason


@pytest.mark.parametrize(
    "files",
    [
        {"main.py": BOT, "awake.py": AWAKE.replace("host='0.0.0.0', port=8080", "")},
        {"main.py": BOT, "awake.py": AWAKE, "web.py": PAGE},
        {"one.py": BOT, "other.py": BOT, "awake.py": AWAKE},
        {"app.py": PAGE + "Thread(target=work).start()\n"},
        {"app.py": PAGE, "desktop.py": "from app import app\nThread(target=lambda: app.run(port=80)).start()\nwebview.start()\n"},
        {"app.py": PAGE, "main.py": "from app import app\nThread(target=app.run, kwargs={'port': 80}).start()\nloop()\n"},
        {"main.py": PAGE, "bench.py": BENCH},
        {"web.py": PAGE + MAIN, "bench.py": BENCH.replace("main", "web")},
    ],
    ids=[
        "on the loopback interface",
        "another application",
        "two programs",
        "only other work in a thread",
        "a window of the desktop",
        "a method with a port alone",
        "a benchmark of the main file",
        "a benchmark of a program",
    ],
)
def test_other_applications_are_served_by_a_server(tmp_path: Path, files: dict[str, str]) -> None:
    assert launched(tmp_path, files, "flask discord-py gunicorn").command[0] == "gunicorn"


def test_a_program_with_a_runner_of_its_own_is_run_by_it(tmp_path: Path) -> None:
    files = {"main.py": BOT.replace("import discord", "import streamlit").replace("client", "streamlit"), "awake.py": AWAKE}
    assert launched(tmp_path, files, "flask streamlit").command[:3] == ("streamlit", "run", "main.py")


def test_a_deployment_file_decides(tmp_path: Path) -> None:
    files = {"main.py": BOT, "awake.py": AWAKE, "Procfile": "web: gunicorn awake:app\n"}
    assert launched(tmp_path, files, "flask discord-py gunicorn").command[0] == "gunicorn"


def test_what_a_server_does_not_start_is_said(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"app.py": PAGE + SCRIPT}, "flask gunicorn")
    assert launch.command[0] == "gunicorn"
    assert [note for note in launch.notes if note.startswith("app.py, line 5: what is started there") and '["python", "app.py"]' in note]
    timer = {"app.py": PAGE + SCRIPT.replace("Thread(target=work)", "Timer(1, browse)")}
    assert not launched(tmp_path / "timer", timer, "flask gunicorn").notes
