"""Workers of queues, and spiders."""

from pathlib import Path

import pytest
from support.project_tree import Layout, assert_command, launched

from shipwheel.errors import NoCommand

MAIN = "if __name__ == '__main__':\n    print(1)\n"
TEMPORAL = f"from temporalio.worker import Worker\nasync def run():\n    await Worker().run()\n{MAIN}"
LAYOUTS: dict[str, Layout] = {
    "celery": (
        {"tasks.py": "from celery import Celery\napp = Celery()\n"},
        "celery",
        ("celery", "-A", "tasks:app", "worker", "--loglevel", "INFO"),
    ),
    "arq": ({"worker.py": "class WorkerSettings:\n    functions = []\n"}, "arq", ("arq", "worker.WorkerSettings")),
    "dramatiq": ({"count.py": "import dramatiq\n@dramatiq.actor\ndef f(): ...\n"}, "dramatiq", ("dramatiq", "count")),
    "huey": ({"demo.py": "from huey import SqliteHuey\nq = SqliteHuey()\n"}, "huey", ("python", "-m", "huey.bin.huey_consumer", "demo.q")),
    "nameko": (
        {"shop.py": "from nameko.rpc import rpc\nclass Shop:\n    @rpc\n    def f(self): ...\n", "config.yml": ""},
        "nameko",
        ("nameko", "run", "--config", "config.yml", "shop"),
    ),
    "temporal": (
        {"run_worker.py": TEMPORAL, "start_workflow.py": MAIN},
        "temporalio",
        ("python", "run_worker.py"),
    ),
    "faststream": ({"app.py": "from faststream import FastStream\napp = FastStream(b)\n"}, "faststream", ("faststream", "run", "app:app")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


def test_hueys_consumer_gets_the_module_that_imports_the_tasks(tmp_path: Path) -> None:
    task = "from config import q\n@q.task()\ndef f(): ...\n"
    files = {
        "config.py": "from huey import SqliteHuey\nq = SqliteHuey()\n",
        "tasks.py": task,
        "main.py": "from config import q as queue\nimport tasks\n",
    }
    assert launched(tmp_path, files, "huey").command[-1] == "main.queue"


def test_faust_keeps_its_tables_on_a_volume(tmp_path: Path) -> None:
    launch = launched(tmp_path, {"hello.py": "import faust\napp = faust.App('hello')\n"}, "faust-streaming")
    assert launch.command[:3] == ("faust", "--datadir", "/data")
    assert launch.volumes == ("/data",)


def test_an_http_service_of_nameko_has_a_port(tmp_path: Path) -> None:
    service = "from nameko.web.handlers import http\nclass Web:\n    @http('GET', '/')\n    def get(self, request): ...\n"
    assert launched(tmp_path, {"web.py": service}, "nameko").ports == ("8000/tcp",)


def test_of_several_workers_none_is_chosen_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(NoCommand):
        launched(tmp_path, {"first.py": TEMPORAL, "second.py": TEMPORAL}, "temporalio")


def test_scrapy_crawls_its_only_spider(tmp_path: Path) -> None:
    spider = "import scrapy\nclass S(scrapy.Spider):\n    name = 'one'\n"
    files = {"scrapy.cfg": "[settings]\n", "q/__init__.py": "", "q/spiders/__init__.py": "", "q/spiders/a.py": spider}
    launch = launched(tmp_path, files, "scrapy")
    assert (launch.command, launch.is_program, launch.arguments) == (("scrapy",), True, ("crawl", "one"))
    launch = launched(tmp_path, {"q/spiders/b.py": spider.replace("one", "two")}, "scrapy")
    assert launch.arguments == ("list",)
    assert "one, two" in launch.reason


def test_a_script_with_a_usual_name_comes_before_one_that_is_a_worker(tmp_path: Path) -> None:
    worker = "import pika\nif __name__ == '__main__':\n    pika.BlockingConnection()\n"
    files = {"main.py": "if __name__ == '__main__':\n    print('x')\n", "publish.py": worker}
    assert launched(tmp_path / "a", files, "pika").command == ("python", "main.py")
    assert launched(tmp_path / "b", {**files, "main.py": worker}, "pika").reason == "main.py is the project's script, by its name."
    assert launched(tmp_path / "c", {**files, "main.py": "def helper(): ...\n"}, "pika").command == ("python", "publish.py")
