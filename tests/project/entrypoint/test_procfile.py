"""Commands of Procfiles."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.project_tree import launched

from shipwheel.project.deployment.procfile import parse_procfile
from shipwheel.settings import Settings


def test_reads_process_types(tmp_path: Path) -> None:
    types = parse_procfile("# web: no\nrelease: a\n\nweb:   b --x: y  \nweb: second\nnonsense\n")
    assert types == {"release": (2, "a"), "web": (4, "b --x: y")}
    launch = launched(tmp_path, {"Procfile": "release: migrate\nworker: python w.py\n", "w.py": ""})
    assert (launch.command, launch.ports, launch.env) == (("python", "w.py"), (), {})
    launch = launched(
        tmp_path, {"Procfile": "web: A=b gunicorn -b :$PORT app:app\n", "app.py": ""}, settings=Settings(env={"PORT": "9999"})
    )
    assert (launch.command[2], launch.ports, launch.env) == (":9999", ("9999/tcp",), {"PORT": "9999", "A": "b"})


@given(st.text(max_size=200))
def test_any_text_can_be_parsed(text: str) -> None:
    assert all(command for _, command in parse_procfile(text).values())
