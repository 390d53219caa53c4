"""The public API: what `import shipwheel` offers, what it costs, and the examples of its reference page."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import shipwheel
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import World

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "python.md"
EXAMPLE = re.compile(r"^```python\n((?:from|import) .*?)^```$", re.MULTILINE | re.DOTALL)

RUN_ALL = """
import runpy, sys
import shipwheel.debian.release
with open(sys.argv[1], "rb") as stream:
    keyring = stream.read()
shipwheel.debian.release.archive_keyring = lambda: keyring
for path in sys.argv[2:]:
    print(f"--- {path}")
    runpy.run_path(path, run_name="__main__")
"""
"""Run the examples one after the other, with the keyring of the test's Debian archive."""


def examples() -> list[str]:
    return EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_loads_nothing_else() -> None:
    assert run("import shipwheel, sys; print([name for name in sys.modules if name.startswith('shipwheel.')])") == "[]"


def test_every_public_name_resolves() -> None:
    for name in shipwheel.__all__:
        assert getattr(shipwheel, name) is not None
    assert set(shipwheel.__all__) <= set(dir(shipwheel))
    assert not hasattr(shipwheel, "no_such_name")


def test_type_checkers_see_the_same_names() -> None:
    body = ast.parse(Path(str(shipwheel.__file__)).read_text(encoding="utf-8")).body
    block = next(node for node in body if isinstance(node, ast.If))
    imported = {
        (str(node.module).removeprefix("shipwheel."), alias.name)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {(module, name) for module, names in shipwheel._MODULES.items() for name in names}
    assert {name for _, name in imported} | {"__version__"} == set(shipwheel.__all__)


def test_no_public_name_is_also_a_submodule() -> None:
    # Importing a submodule binds its name in the package, over the public name.
    folder = Path(str(shipwheel.__file__)).parent
    submodules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert not submodules & set(shipwheel.__all__)


def test_help_starts_with_an_example() -> None:
    text = run("import shipwheel; help(shipwheel)")
    assert text.index("delivered = build(") < text.index("PACKAGE CONTENTS") < text.index("CLASSES")
    assert "Lock the project for all platforms" in text


def test_the_reference_page_has_every_public_name() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(set(shipwheel.__all__) - {"__version__"})
    used = set(re.findall(r"\w+", " ".join(examples())))
    assert {"build", "copy", "lock", "make_request", "plan", "push", "validate", "ShipwheelError", "Store", "Event"} <= used


def test_the_examples_run(world: World, tmp_path: Path) -> None:
    project = world.app("small\n")
    with FakeRegistry() as registry:
        paths = []
        for number, text in enumerate(examples()):
            path = tmp_path / f"example_{number}.py"
            path.write_text(text.replace("registry.example", registry.host))
            paths.append(str(path))
        done = subprocess.run(
            [sys.executable, "-c", RUN_ALL, str(world.root / "keyring.pgp"), *paths],
            cwd=world.root,
            env=world.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "a function of the API prints nothing"
        outputs = dict(zip(paths, re.split(r"^--- .*$", done.stdout, flags=re.MULTILINE)[1:], strict=True))
        assert all(text.strip() for text in outputs.values()), "every example shows something"
        assert f"{registry.host}/production/shop@sha256:" in done.stdout
        assert "exit code 2: " in done.stdout
    assert (project / "pylock.toml").is_file()


def test_the_examples_are_typed(tmp_path: Path) -> None:
    for number, text in enumerate(examples()):
        (tmp_path / f"example_{number}.py").write_text(text)
    files = sorted(tmp_path.glob("*.py"))
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
