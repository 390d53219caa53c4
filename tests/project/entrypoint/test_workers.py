"""Workers of queues, and spiders."""

from pathlib import Path

import pytest
from support.project_tree import Layout, assert_command, launched

LAYOUTS: dict[str, Layout] = {
    "celery": (
        {"tasks.py": "from celery import Celery\napp = Celery()\n"},
        "celery",
        ("celery", "-A", "tasks:app", "worker", "--loglevel", "INFO"),
    ),
    "arq": ({"worker.py": "class WorkerSettings:\n    functions = []\n"}, "arq", ("arq", "worker.WorkerSettings")),
    "dramatiq": ({"count.py": "import dramatiq\n@dramatiq.actor\ndef f(): ...\n"}, "dramatiq", ("dramatiq", "count")),
    "huey": ({"demo.py": "from huey import SqliteHuey\nq = SqliteHuey()\n"}, "huey", ("huey_consumer", "demo.q")),
    "faststream": ({"app.py": "from faststream import FastStream\napp = FastStream(b)\n"}, "faststream", ("faststream", "run", "app:app")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_the_command(tmp_path: Path, layout: str) -> None:
    assert_command(tmp_path, LAYOUTS[layout])


def test_scrapy_crawls_its_only_spider(tmp_path: Path) -> None:
    spider = "import scrapy\nclass S(scrapy.Spider):\n    name = 'one'\n"
    files = {"scrapy.cfg": "[settings]\n", "q/__init__.py": "", "q/spiders/__init__.py": "", "q/spiders/a.py": spider}
    launch = launched(tmp_path, files, "scrapy")
    assert (launch.command, launch.is_program, launch.arguments) == (("scrapy",), True, ("crawl", "one"))
    launch = launched(tmp_path, {"q/spiders/b.py": spider.replace("one", "two")}, "scrapy")
    assert launch.arguments == ("list",)
    assert "one, two" in launch.reason
