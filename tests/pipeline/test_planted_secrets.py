"""Whole builds of projects with secrets in them: none gets into a blob of the image, and none into what is printed."""

import gzip
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.planted_secrets import private_key, secret_files, tokens
from support.project_tree import written

from shipwheel.testing.world import CommandResult, World

REQUIREMENTS = "small==1.0\n"
BACKEND = """
import pathlib, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "shop-1.0-py3-none-any.whl"
    files = [path for path in sorted(pathlib.Path("shop").rglob("*")) if path.is_file()]
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path in files:
            archive.write(path, path.as_posix())
        info = "shop-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n" + pathlib.Path("README").read_text())
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nshop = shop:main\\n")
        archive.writestr(f"{info}/RECORD", "".join(f"{path.as_posix()},,\\n" for path in files))
    return name
"""
PYPROJECT = """
[project]
name = "shop"
version = "1.0"
dependencies = ["small==1.0"]
[project.scripts]
shop = "shop:main"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def _contents(layout: Path) -> Iterator[bytes]:
    """Yield every blob of a layout, and every layer unpacked."""
    for path in sorted((layout / "blobs" / "sha256").iterdir()):
        data = path.read_bytes()
        yield data
        if data.startswith(b"\x1f\x8b"):
            yield gzip.decompress(data)


def _values(text: str) -> list[str]:
    """Return what makes a planted secret unique."""
    return re.findall(r"[A-Za-z0-9]{24}|[A-Za-z0-9+/]{64}", text) or [text]


def _assert_absent(values: list[str], layout: Path, ran: CommandResult) -> None:
    assert values
    for content in _contents(layout):
        assert not [value for value in values if value.encode() in content]
    assert not [value for value in values if value in ran.out + ran.err]


def test_no_planted_secret_gets_into_an_image(world: World) -> None:
    app = world.app(REQUIREMENTS)
    files = secret_files()
    in_tests = {f"tests/data/{number}.txt": f"a line\n{token}\n" for number, token in enumerate(tokens().values())}
    assert len(files) + len(in_tests) > 100
    written(app, {**files, **in_tests})
    ran = world.build(app)
    assert ran.code == 0, ran.err
    values = [value for text in files.values() for value in _values(text)] + list(tokens().values())
    _assert_absent(values, world.output(app), ran)
    assert "left out as secrets" in ran.err and "config/master.key" in ran.err and "tests/data/0.txt (line 2:" in ran.err
    assert any(b"main.py" in content for content in _contents(world.output(app)))


def test_tokens_in_the_apps_files_stop_the_build_before_anything_is_made(world: World) -> None:
    app = world.app(REQUIREMENTS)
    token = tokens()["GitHub"]
    written(app, {"shop/api.py": f"\nTOKEN = '{token}'\n", "conf.yaml": private_key()})
    (app / "conf.yaml").write_text("key: |\n  x\n" + private_key())
    assert world.run("plan", app).code == 3
    ran = world.build(app)
    assert ran.code == 3
    assert "shop/api.py, line 2: a GitHub token" in ran.err and "conf.yaml, line 3: a private key" in ran.err
    assert token not in ran.out + ran.err
    assert not world.output(app).exists()
    (app / "shipwheel.toml").write_text(
        (app / "shipwheel.toml").read_text()
        + 'exclude = ["conf.yaml"]\nallow-secrets = [{path = "shop/*.py", reason = "a test account"}]\n'
    )
    again = world.build(app)
    assert again.code == 0, again.err
    assert any(token.encode() in content for content in _contents(world.output(app)))


def test_a_token_in_the_config_stops_and_a_password_warns(world: World) -> None:
    token = tokens()["Stripe"]
    app = world.app(REQUIREMENTS, settings=f'[env]\nPAYMENT = "{token}"\n')
    ran = world.build(app)
    assert ran.code == 3 and "env.PAYMENT has a Stripe key" in ran.err and token not in ran.err
    other = world.app(REQUIREMENTS, "other")
    ran = world.run("plan", other, "--command", f"python main.py --key {token}")
    assert ran.code == 3 and "command has a Stripe key" in ran.err and token not in ran.err
    step = f'[[steps]]\nrun = ["fetch", "{token}"]\n[[assets]]\nrun = "build"\noutput = "dist"\n'
    ran = world.run("plan", world.app(REQUIREMENTS, "stepping", settings=step))
    assert ran.code == 3 and "steps has a Stripe key" in ran.err and token not in ran.err
    settings = '[env]\nDB_PASSWORD = "correct horse"\nDEBUG_TOKEN = "0"\nURL = "http://x/"\n'
    ran = world.run("plan", world.app(REQUIREMENTS, settings=settings))
    assert ran.code == 0, ran.err
    assert ran.err.count("looks like a password") == 1 and "env.DB_PASSWORD" in ran.err
    allowed = 'allow-secrets = [{path = "env.DB_PASSWORD", reason = "of the demo"}]\n' + settings
    assert "looks like" not in world.run("plan", world.app(REQUIREMENTS, settings=allowed)).err


def test_a_token_in_a_deployment_file_is_dropped(world: World) -> None:
    token = tokens()["Slack webhook"]
    app = world.app(REQUIREMENTS)
    (app / "shipwheel.toml").write_text((app / "shipwheel.toml").read_text().replace('command = ["python", "main.py"]\n', ""))
    (app / "Dockerfile").write_text(f'FROM python:3\nENV NOTIFY={token} MODE=fast\nCMD ["python", "main.py"]\n')
    ran = world.run("plan", app, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["env"].get("MODE") == "fast"
    assert token not in ran.out + ran.err


def _package(world: World, files: dict[str, str], readme: str = "") -> Path:
    root = world.root / "package"
    tool = tomllib.loads((world.app(REQUIREMENTS) / "shipwheel.toml").read_text())
    pyproject = f'{PYPROJECT}[tool.shipwheel]\npython = "{tool["python"]}"\n'
    return written(
        root, {"pyproject.toml": pyproject, "backend.py": BACKEND, "README": readme, "shop/__init__.py": "def main(): ...\n", **files}
    )


def test_the_wheel_of_the_project_loses_its_secrets(world: World) -> None:
    files = {f"shop/{path}": text for path, text in secret_files().items() if not path.startswith(("pip.conf", "requirements/"))}
    root = _package(world, {**files, "shop/tests/data.py": tokens()["GitLab"]})
    for _ in range(2):
        ran = world.build(root)
        assert ran.code == 0, ran.err
        values = [value for text in files.values() for value in _values(text)] + [tokens()["GitLab"]]
        _assert_absent(values, world.output(root), ran)
        assert "left out of shop-1.0-py3-none-any.whl as secrets" in ran.err and "shop/.env" in ran.err
    record = next(
        line for content in _contents(world.output(root)) for line in content.splitlines() if line.startswith(b"shop/__init__.py,")
    )
    assert record
    assert not any(b"shop/.env," in content for content in _contents(world.output(root)))


@pytest.mark.parametrize("place", ["shop/__init__.py", "README"])
def test_a_token_in_the_projects_wheel_stops_the_build(world: World, place: str) -> None:
    token = tokens()["Anthropic"]
    root = _package(world, {}, readme="\n")
    (root / place).write_text(f"def main(): ...\n# {token}\n")
    ran = world.build(root)
    assert ran.code == 3, ran.err
    assert "line" in ran.err and "an Anthropic key" in ran.err and token not in ran.out + ran.err


def test_a_key_in_the_wheel_may_be_allowed(world: World) -> None:
    root = _package(world, {"shop/demo.pem": private_key()})
    with (root / "pyproject.toml").open("a") as stream:
        stream.write('allow-secrets = [{path = "src/shop/demo.pem", reason = "public demo"}]\n')
    ran = world.build(root)
    assert ran.code == 0, ran.err
    assert "left out" not in ran.err
    contents = list(_contents(world.output(root)))
    assert any(private_key().encode() in content for content in contents)
    assert any(b'{"dir_info": {}, "url": "file:///shop"}' in content for content in contents), "direct_url.json"
    assert not any(str(world.root).encode() in content for content in contents)


@pytest.mark.parametrize("command", ["build", "plan", "lock"])
def test_the_home_directory_is_no_project_unless_the_user_says_so(world: World, command: str) -> None:
    app = world.app(REQUIREMENTS)
    home = {"HOME": str(app)}
    ran = world.run(command, app, env=home)
    assert ran.code == 2 and "your home directory" in ran.err and "--yes" in ran.err
    assert world.run(command, app.parent, env=home).code == 2
    assert world.run("plan", app, "--yes", env=home).code == 0
    assert "home directory" not in world.run("plan", app / "main.py", env=home).err
