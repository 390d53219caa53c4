"""The file that a target gets is the one that pip and uv take for it. All 300 packages of docs/selection.md: benchmarks/selection.py."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from selection import compare, lock_of
from selection_index import PageIndex, upstream
from selection_peers import Peer, Pip, Uv, Where, newest_pip

pytestmark = pytest.mark.online

PACKAGES = (
    *("numpy", "markupsafe", "lxml", "cryptography", "pydantic-core"),  # of each Python; of the stable ABI
    *("ruff", "soundfile", "six"),  # of any Python, for a machine or for all
    *("tensorboard-data-server", "z3-solver"),  # of glibc 2.31, of 2.38
    *("pysqlite3-binary", "mysqlclient"),  # of amd64 alone; of none
)
TARGETS = (
    Where("x86_64", "3.9.2", (2, 31)),
    Where("aarch64", "3.11.2", (2, 36)),
    Where("x86_64", "3.13.5", (2, 41)),
    Where("aarch64", "3.14.0", (2, 41)),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageIndex]:
    with PageIndex(tmp_path_factory.mktemp("pages"), upstream()) as served:
        yield served


@pytest.fixture(scope="module")
def peers(index: PageIndex, tmp_path_factory: pytest.TempPathFactory) -> tuple[Peer, Peer]:
    cache = tmp_path_factory.mktemp("cache")
    return Pip([str(newest_pip(cache / "venv"))], index.simple, cache), Uv([uv.find_uv_bin()], index.simple, cache)


@pytest.mark.parametrize("where", TARGETS, ids=str)
def test_pip_and_uv_take_the_same_files(where: Where, index: PageIndex, peers: tuple[Peer, Peer], tmp_path: Path) -> None:
    lock = lock_of(PACKAGES, where.python.rpartition(".")[0], tmp_path, index.simple)
    answers = {answer.name: answer for answer in compare(lock, where, peers)}
    assert answers.keys() == set(PACKAGES)
    assert [answer for answer in answers.values() if not answer.agreed] == []
    # That all find nothing would be agreement too.
    assert answers["numpy"].ours.endswith(f"_{where.machine}.whl")
    assert answers["six"].ours.endswith("-py2.py3-none-any.whl")
    assert answers["mysqlclient"].ours == ""
    assert bool(answers["pysqlite3-binary"].ours) == (where.machine == "x86_64")
