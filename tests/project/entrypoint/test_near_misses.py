"""Projects without a command of their own: the error says what they are, and what to do."""

from pathlib import Path

import pytest
from support.project_tree import launched

from shipwheel.errors import NoCommand


@pytest.mark.parametrize(
    ("files", "dependencies", "reason", "hint"),
    [
        (
            {"src/shop.py": "def lambda_handler(event, context):\n    return {}\n"},
            "requests",
            "src/shop.py has a handler of AWS Lambda, lambda_handler",
            '"awslambdaric", "shop.lambda_handler"',
        ),
        ({"shop.py": "def handler(event: dict, _context: object) -> None: ...\n"}, "", "a handler of AWS Lambda", "shop.handler"),
        ({"host.json": "{}", "function_app.py": "x = 1\n"}, "azure-functions", "host.json describes Azure Functions", "that host"),
        ({"development.ini": "[app:main]\nuse = egg:shop\n"}, "pyramid", "there is no production.ini", "listen = *:6543"),
        ({"langgraph.json": "{}", "agent/graph.py": "x = 1\n"}, "langgraph", "LangGraph's own server", '"langgraph-cli[inmem]"'),
        ({"scrapy.cfg": "", "shop/spiders/a.py": "import scrapy\n"}, "", "do not name scrapy", 'dependencies = ["scrapy"]'),
    ],
    ids=["Lambda", "Lambda with types", "Azure Functions", "PasteDeploy", "LangGraph", "Scrapy"],
)
def test_the_error_says_what_the_project_is(tmp_path: Path, files: dict[str, str], dependencies: str, reason: str, hint: str) -> None:
    with pytest.raises(NoCommand, match="no command to start was found") as caught:
        launched(tmp_path, files, dependencies)
    assert reason in caught.value.message
    assert hint in caught.value.hint


def test_a_function_of_another_kind_is_no_handler(tmp_path: Path) -> None:
    with pytest.raises(NoCommand) as caught:
        launched(tmp_path, {"lib.py": "def handler(request): ...\ndef main(event): ...\n"})
    assert "Looked for a Procfile" in caught.value.message
