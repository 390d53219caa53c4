"""Values that a program gives its application before it runs it."""

from pathlib import Path

import pytest
from support.project_tree import launched

_RUN = 'app.run(host="0.0.0.0", port=9000)\n'
_PAGES = "from shop import app\n@app.get('/')\ndef page():\n    return {}\n"


def _shop(root: Path, pages: str, program: str) -> tuple[str, ...]:
    files = {
        "shop/__init__.py": "from flask import Flask\napp = Flask(__name__)\n",
        "shop/pages.py": _PAGES.format(pages),
        "run.py": f"import sys\nfrom shop import app, pages\n{program}",
    }
    return launched(root, files, "flask").command


def _main(body: str) -> str:
    return f"def main(path):\n    {body}\n    {_RUN}\nif __name__ == '__main__':\n    main(sys.argv[1])\n"


@pytest.mark.parametrize(
    ("pages", "program"),
    [
        ('app.config["STORE"].get(1)', _main('app.config["STORE"] = open(path)')),
        ('app.config["STORE"]', f"if __name__ == '__main__':\n    app.config['STORE'] = sys.argv[1]\n    {_RUN}"),
        ("app.state.store", _main("app.state.store = open(path)")),
    ],
)
def test_an_application_without_what_its_program_gives_it_is_not_served(tmp_path: Path, pages: str, program: str) -> None:
    assert _shop(tmp_path, pages, program) == ("python", "run.py")


@pytest.mark.parametrize(
    ("pages", "program"),
    [
        ('app.config["DEBUG"]', _main('app.config["DEBUG"] = True')),
        ("1", _main('app.config["STORE"] = open(path)')),
        ('app.config.get("STORE")', _main('app.config["STORE"] = open(path)')),
        ('app.config["STORE"]', "app.config['STORE'] = open('a')\n" + _main("app.config['STORE'] = open(path)")),
        ('app.config["STORE"]', "def set_up(path):\n    app.config['STORE'] = open(path)\nset_up('a')\n" + _main("pass")),
    ],
)
def test_an_application_that_is_whole_without_its_program_is_served(tmp_path: Path, pages: str, program: str) -> None:
    assert _shop(tmp_path, pages, program)[0] == "gunicorn"


def test_no_other_command_serves_the_application_without_its_values(tmp_path: Path) -> None:
    program = _main('app.config["STORE"] = open(path)')
    files = {"shop/__init__.py": "from flask import Flask\napp = Flask(__name__)\n", "shop/pages.py": _PAGES.format('app.config["STORE"]')}
    launch = launched(tmp_path, {**files, "run.py": f"import sys\nfrom shop import app, pages\n{program}"}, "flask")
    assert (launch.application, launch.alternatives) == ((), ())
    assert launch.ports == ("9000/tcp",)
    assert "run.py gives its application STORE before it runs it (line 4)" in launch.reason
    assert "The pages of app read STORE, which only run.py sets" in " ".join(launch.notes)
