"""Images built from locks that the tools themselves wrote: they have the versions that each tool installs on Linux."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

import pytest
from support.lock_tools import ORIGINALS, environment, installed, make_places, repositories, run

from shipwheel.oci.read.image_files import open_image
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, World

pytestmark = pytest.mark.online


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the tools are installed."""
    known = os.environ.get("SHIPWHEEL_TEST_CACHE")
    folder = Path(known).absolute() / "packagers" if known else tmp_path_factory.mktemp("packagers")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def linked() -> Iterator[str]:
    """The URL of a wheel."""
    with PackageIndex() as index:
        yield index.url + index.add("acme_linked-3.0-py3-none-any.whl", SmallWheel("acme_linked", "3.0", files={"linked.py": ""}).content())


def in_image(layout: Path) -> dict[str, dict[str, str]]:
    """Return the versions in the virtual environment of each image of a layout, by architecture and name; editable packages are copied."""
    opened = open_image(layout)

    def blob(digest: str) -> bytes:
        file = opened.find(f"blobs/{digest.replace(':', '/')}")
        assert file is not None
        with file.open() as stream:
            return stream.read(file.size)

    index = json.loads((layout / "index.json").read_bytes())
    found: dict[str, dict[str, str]] = {}
    top = json.loads(blob(index["manifests"][0]["digest"]))
    for each in top["manifests"] if "manifests" in top else index["manifests"]:
        here = found.setdefault(each["platform"]["architecture"], {})
        copied = False
        for layer in json.loads(blob(each["digest"]))["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as tar:
                for member in tar:
                    assert not (member.name.endswith((".egg-link", ".pth")) and "acme" in member.name), "nothing leads out of the image"
                    copied = copied or member.name.endswith("site-packages/acme_git.py")
                    if member.name.endswith(".dist-info/METADATA"):
                        stream = tar.extractfile(member)
                        assert stream is not None
                        head = HeaderParser().parsestr(stream.read().decode())
                        here[head["Name"].lower().replace("_", "-").replace(".", "-")] = head["Version"]
        assert copied or "acme-git" not in here
    return found


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_image_has_the_versions_that_the_tool_installs(name: str, world: World, cache: Path, linked: str) -> None:
    how = ORIGINALS[name]
    root = world.root / "shop"
    places = make_places(root, linked)
    how.write(root, places)
    (root / "main.py").write_text("print('shop')\n")
    (root / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\npython = "{MINOR}"\n{how.settings}')
    git = repositories(world.root)
    env = {**environment(cache, how.tool), **git}
    for command in how.lock:
        run(*command, cwd=root, env=env)
    before = (root / how.lock_file).read_bytes()
    beside = root / "pylock.toml"
    ran = world.build(root, env={**outside(), **git, "UV_CACHE_DIR": str(cache / "uv")})
    assert ran.digest
    if how.lock_file != "pylock.toml":
        assert (root / how.lock_file).read_bytes() == before, "it is the user's"
    assert "does not match pyproject.toml" not in ran.err and "changed after" not in ran.err, ran.err
    assert beside.is_file()
    for command in how.install:
        run(*command, cwd=root, env=env)
    wanted = installed(root / ".venv")
    assert {"click", "httpx", "socksio", "acme-linked", "tabulate", "packaging"} <= set(wanted), "it did install"
    assert not {"pywin32", "appnope", "colorama", "tzdata", "tomli"} & set(wanted), "on Linux"
    assert in_image(world.output(root)) == {"amd64": wanted, "arm64": wanted}


PASSED = (
    "HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "UV_INDEX_URL",
    "UV_CONFIG_FILE",
)


def outside() -> dict[str, str]:
    """Return variables that select the machine's own package index instead of the world's."""
    return {"UV_DEFAULT_INDEX": os.environ.get("UV_DEFAULT_INDEX", ""), **{name: os.environ[name] for name in PASSED if name in os.environ}}
