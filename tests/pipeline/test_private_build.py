"""A whole build from a private index: nothing that is kept or said has the password in it, wherever the password came from."""

import base64
import hashlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shipwheel.locking.prune import without_credentials
from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, CommandResult, World

USER, PASSWORD, QUOTED = "bob", "s3cr3t-p@ss/word", "s3cr3t-p%40ss%2Fword"
WRONG = "wr0ng-p%40ssword"
TELLING = [
    PASSWORD.encode(),
    QUOTED.encode(),
    b"s3cr3t-p",
    b"wr0ng-p",
    base64.b64encode(f"{USER}:{PASSWORD}".encode()),
]

Set = Callable[[Path, str, str], dict[str, str]]


@pytest.fixture
def private(world: World) -> Iterator[PackageIndex]:
    """Has `corp`, for who knows the password; the public index has a higher version of it."""
    with PackageIndex() as served:
        wheel = SmallWheel("corp", "1.0", files={"corp.py": "VALUE = 1\n"}, requires=("tiny",))
        served.add(wheel.filename, wheel.content())
        served.fault("/*", Fault(login=f"{USER}:{PASSWORD}"))
        world.add(SmallWheel("corp", "9.9", files={"corp.py": "VALUE = 'stolen'\n"}))
        yield served


def signed(url: str, password: str) -> str:
    return url.replace("://", f"://{USER}:{password}@")


def pyproject(root: Path, more: str, dependencies: str = '["corp"]') -> None:
    (root / "pyproject.toml").write_text(f'[project]\nname = "shop"\nversion = "1"\ndependencies = {dependencies}\n{more}')


def raw(password: str) -> str:
    return password.replace("%40", "@").replace("%2F", "/")


def uv_address(root: Path, url: str, password: str) -> dict[str, str]:
    pyproject(root, f'[[tool.uv.index]]\nname = "in-house"\nurl = "{signed(url, password)}"\n')
    return {}


def uv_variables(root: Path, url: str, password: str) -> dict[str, str]:
    pyproject(root, f'[[tool.uv.index]]\nname = "in-house"\nurl = "{url}"\n')
    return {"UV_INDEX_IN_HOUSE_USERNAME": USER, "UV_INDEX_IN_HOUSE_PASSWORD": raw(password)}


def uv_index(root: Path, url: str, password: str) -> dict[str, str]:
    (root / "requirements.txt").write_text("corp\n")
    return {"UV_INDEX": signed(url, password)}


def requirements(root: Path, url: str, password: str) -> dict[str, str]:
    (root / "requirements.txt").write_text(f"--extra-index-url {signed(url, password)}\ncorp==1.0\n")
    return {}


def pip_conf(root: Path, url: str, password: str) -> dict[str, str]:
    """uv is told of no index; pip's settings have two."""
    public = (root.parent / "public").read_text()
    (root / "requirements.txt").write_text("corp\n")
    (root.parent / "pip.conf").write_text(f"[global]\nindex-url = {public}\nextra-index-url = {signed(url, password)}\n")
    return {"PIP_CONFIG_FILE": str(root.parent / "pip.conf"), "UV_DEFAULT_INDEX": ""}


def netrc(root: Path, url: str, password: str) -> dict[str, str]:
    pyproject(root, f'[[tool.uv.index]]\nurl = "{url}"\n')
    (root.parent / "rc").write_text(f"machine 127.0.0.1 login {USER} password {raw(password)}\n")
    return {"NETRC": str(root.parent / "rc")}


def keyring(root: Path, url: str, password: str) -> dict[str, str]:
    """The program is a small one with keyring's command line; the user is known."""
    pyproject(root, f'[[tool.uv.index]]\nname = "in-house"\nurl = "{url}"\n')
    program = root.parent / "bin" / "keyring"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\n[ "$1 $3" = "get {USER}" ] && echo "{raw(password)}" && exit 0\nexit 1\n')
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}{os.pathsep}{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.defpath}",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_INDEX_IN_HOUSE_USERNAME": USER,
    }


POETRY = (
    '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npython = ">=3.9"\ncorp = {{version = "*", source = "in-house"}}\n'
)
POETRY += '[[tool.poetry.source]]\nname = "in-house"\nurl = "{url}"\npriority = "explicit"\n'


def poetry_variables(root: Path, url: str, password: str) -> dict[str, str]:
    (root / "pyproject.toml").write_text(POETRY.format(url=url))
    return {"POETRY_HTTP_BASIC_IN_HOUSE_USERNAME": USER, "POETRY_HTTP_BASIC_IN_HOUSE_PASSWORD": raw(password)}


def poetry_file(root: Path, url: str, password: str) -> dict[str, str]:
    (root / "pyproject.toml").write_text(POETRY.format(url=url))
    (root.parent / "auth.toml").write_text(f'[http-basic.in-house]\nusername = "{USER}"\npassword = "{raw(password)}"\n')
    return {"POETRY_CONFIG_DIR": str(root.parent)}


def pdm_variables(root: Path, url: str, password: str) -> dict[str, str]:
    address = url.replace("://", "://${WHO}:${WORD}@")
    pyproject(root, f'[[tool.pdm.source]]\nname = "in-house"\nurl = "{address}"\n')
    return {"WHO": USER, "WORD": password}


def pipfile(root: Path, url: str, password: str) -> dict[str, str]:
    address = url.replace("://", "://$WHO:${WORD}@")
    (root / "Pipfile").write_text(
        '[[source]]\nname = "pypi"\nurl = "http://127.0.0.1:9/simple"\nverify_ssl = true\n'
        f'[[source]]\nname = "in-house"\nurl = "{address}"\nverify_ssl = false\n[packages]\ncorp = {{version = "*", index = "in-house"}}\n'
    )
    return {"WHO": USER, "WORD": password}


SETS = [
    uv_address,
    uv_variables,
    uv_index,
    requirements,
    pip_conf,
    netrc,
    keyring,
    poetry_variables,
    poetry_file,
    pdm_variables,
    pipfile,
]


def app(world: World, how: Set, url: str, password: str) -> tuple[Path, dict[str, str]]:
    root = world.root / "shop"
    root.mkdir(exist_ok=True)
    (world.root / "public").write_text(world.index.simple)
    (root / "main.py").write_text("import corp\n\nprint(corp.VALUE)\n")
    (root / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\npython = "{MINOR}"\n')
    return root, how(root, url, password)


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what they are when they are compressed: a gzip file or its beginning, a fragment of one, what is deflated, or zstd."""
    yield data
    if data[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        yield zstandard.ZstdDecompressor().decompressobj().decompress(data)
    for wbits in (31, zlib.MAX_WBITS, -zlib.MAX_WBITS):
        with suppress(zlib.error):
            yield zlib.decompressobj(wbits).decompress(data)


def telling(folder: Path) -> list[str]:
    """The files below a folder that have the password in them."""
    return [
        f"{path.relative_to(folder)}: {word!r}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for text in unpacked(path.read_bytes())
        for word in TELLING
        if word in text
    ]


def silent(ran: CommandResult) -> None:
    assert not [word for word in TELLING if word.decode() in ran.out + ran.err], ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("how", SETS)
def test_nothing_that_is_kept_or_said_has_it(how: Set, world: World, private: PackageIndex) -> None:
    root, env = app(world, how, private.simple, QUOTED)
    ran = world.build(root, env=env)
    assert ran.digest, ran.err
    silent(ran)
    for image in ran.document["images"]:
        assert image["distributions"]["corp"] == "1.0", "not the public one of that name"
    assert telling(world.output(root)) == []
    assert telling(world.cache) == []
    assert telling(world.root / "tmp") == []
    assert "bob" not in (root / "pylock.toml").read_text()
    silent(world.run("lock", root, "--explain", "corp", env=env))
    silent(world.run("plan", root, env=env))
    [asked] = {request.headers.get("authorization") for request in private.requests if request.sent > 100}
    assert asked is not None, "it was asked with it"


@pytest.mark.parametrize("how", SETS)
def test_errors_do_not_say_it(how: Set, world: World, private: PackageIndex) -> None:
    root, env = app(world, how, private.simple, WRONG)
    ran = world.build(root, env=env)
    assert ran.code != 0
    silent(ran)
    gone, env = app(world, how, "http://127.0.0.1:9/simple/", QUOTED)
    ran = world.build(gone, "-q", env=env)
    assert ran.code != 0, ran.err
    silent(ran)
    assert not (root / "pylock.toml").exists()
    assert telling(world.cache) == []
    assert telling(world.root / "tmp") == []


@pytest.mark.parametrize("how", [uv_address, requirements])
def test_a_file_of_the_app_with_it_stays_out_of_the_image_and_is_named(how: Set, world: World, private: PackageIndex) -> None:
    root, env = app(world, how, private.simple, QUOTED)
    name = "pyproject.toml" if how is uv_address else "requirements.txt"
    assert f"left out as secrets: {name}" in world.build(root, env=env).err


def test_the_address_of_a_single_file(world: World, private: PackageIndex) -> None:
    root = world.root / "shop"
    root.mkdir()
    path = next(path for path in private.paths if path.endswith(".whl"))
    (root / "requirements.txt").write_text(f"corp @ {signed(private.url + path, QUOTED)}\n")
    (root / "main.py").write_text("import corp\n")
    (root / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\npython = "{MINOR}"\n')
    ran = world.build(root)
    assert ran.digest
    silent(ran)
    assert telling(world.output(root)) + telling(world.cache) == []
    assert "s3cr3t" not in (root / "pylock.toml").read_text()


def test_another_tools_lock_with_it_in_its_addresses(world: World, private: PackageIndex) -> None:
    root = world.root / "shop"
    root.mkdir()
    path = next(path for path in private.paths if path.endswith(".whl"))
    digest = hashlib.sha256(private.data(path)).hexdigest()
    (root / "requirements.txt").write_text("corp\n")
    (root / "main.py").write_text("import corp\n")
    (root / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\npython = "{MINOR}"\n')
    (root / "pylock.toml").write_text(
        f'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "corp"\nversion = "1.0"\n'
        f'index = "{signed(private.simple, QUOTED)}"\n'
        f'wheels = [{{url = "{signed(private.url + path, QUOTED)}", hashes = {{sha256 = "{digest}"}}}}]\n'
    )
    ran = world.build(root)
    assert ran.digest
    silent(ran)
    assert telling(world.output(root)) + telling(world.cache) == []
    assert "s3cr3t" not in (root / "pylock.shipwheel.toml").read_text()


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://bob:pw@host.example/a.git", "https://host.example/a.git"),
        ("https://token@host.example/a.git", "https://host.example/a.git"),
        ("ssh://git@host.example/a.git", "ssh://git@host.example/a.git"),
        ("ssh://git:pw@host.example/a.git", "ssh://git@host.example/a.git"),
        ("https://host.example/a@v1/b", "https://host.example/a@v1/b"),
    ],
)
def test_addresses_in_the_lock(url: str, clean: str) -> None:
    [package] = without_credentials([{"name": "a", "vcs": {"type": "git", "url": url, "commit-id": "0"}, "index": url}])
    assert package["vcs"]["url"] == package["index"] == clean
