"""shipwheel selects the files that pip and uv select. benchmarks/selection.py compares all 300 packages of docs/selection.md."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uv

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from selection import compare, lock_of, versions_of
from selection_index import PageIndex, upstream
from selection_peers import Peer, Pip, Uv, Where, newest_pip

from shipwheel.locking.pylock import Lock

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

MADE_UP = {
    "made-up-build": ("1-py3-none-any", "2-py3-none-any", "py3-none-any"),
    "made-up-build-letters": ("1a-cp39-abi3-manylinux_2_17_M", "1b-cp39-abi3-manylinux_2_17_M", "10-cp39-abi3-manylinux_2_17_M"),
    "made-up-linux": ("cp39-abi3-linux_M", "py3-none-any"),
    "made-up-linux-beside-many": ("cp39-abi3-linux_M", "cp39-abi3-manylinux_2_17_M"),
    "made-up-linux-only": ("py3-none-linux_M",),
    "made-up-old-names": ("py3-none-manylinux_2_16_M", "py3-none-manylinux2014_M", "py3-none-manylinux2010_M"),
    "made-up-two-names": ("py3-none-manylinux_2_17_M", "py3-none-manylinux2014_M"),
    "made-up-old-order": ("py3-none-manylinux_2_16_M", "py3-none-manylinux2010_M"),
    "made-up-libcs": ("py3-none-manylinux_2_12_M.manylinux2010_M.musllinux_1_1_M", "py3-none-manylinux_2_37_M", "py3-none-musllinux_1_2_M"),
    "made-up-free-threaded": ("cp313-cp313t-manylinux_2_17_M", "cp314-cp314t-manylinux_2_17_M", "py3-none-any"),
    "made-up-stable": (
        "cp39-abi3-manylinux_2_17_M",
        "cp311-abi3-manylinux_2_17_M",
        "cp313-abi3-manylinux_2_17_M",
        "cp32-abi3-manylinux1_M",
    ),
    "made-up-stable-set": ("cp37.cp38.cp39.cp310.cp311-abi3-manylinux_2_17_M", "cp38-abi3-manylinux_2_28_M"),
    "made-up-stable-free-threaded": ("cp315-abi3t-manylinux_2_17_M", "cp39-abi3.abi3t-manylinux_2_28_M"),
    "made-up-stable-or-not": ("cp39-abi3-manylinux_2_36_M", "cp311-cp311-manylinux_2_17_M", "cp313-cp313-manylinux_2_28_M"),
    "made-up-no-abi": ("cp39-none-manylinux_2_17_M", "cp311-none-any", "cp313-none-manylinux_2_17_M", "py3-none-any"),
    "made-up-any-machine": ("cp39-cp39-any", "cp311-cp311-any", "cp313-cp313-any", "cp314-cp314-any"),
    "made-up-two-pythons": ("py3-none-any", "py2.py3-none-any"),
    "made-up-minors": ("py39-none-any", "py311-none-any", "py3-none-any", "py313-none-any"),
    "made-up-minor-or-machine": ("py3-none-manylinux_2_17_M", "cp39-none-any", "py39-none-any"),
    "made-up-major": ("cp3-none-any", "py3-none-any"),
    "made-up-old-abi": ("cp39-cp39m-manylinux_2_17_M", "py3-none-any"),
    "made-up-others": ("pp39-pypy39_pp73-manylinux_2_17_M", "pp311-pypy311_pp73-manylinux_2_28_M", "py3-none-any"),
    "made-up-another-glibc": ("py3-none-manylinux_3_1_M", "py3-none-manylinux_2_17_M"),
    "made-up-too-new": ("py3-none-manylinux_2_41_M", "py3-none-manylinux_2_36_M"),
    "made-up-yanked": ("cp39-abi3-manylinux_2_17_M yanked", "py3-none-any"),
    "made-up-bounded": ("cp39-abi3-manylinux_2_17_M <3.12", "py3-none-any"),
    "made-up-elsewhere": ("py3-none-win_amd64", "py3-none-macosx_11_0_arm64", "py3-none-linux_M"),
}
"""The tags of each package's wheels, with M for both machines; after a space, that a wheel is yanked, or its Requires-Python."""

DIFFERENCES = {
    ("made-up-old-order", 0): [where for where in TARGETS if where.machine == "x86_64"],
    ("made-up-yanked", 0): list(TARGETS),
    ("made-up-bounded", 0): [where for where in TARGETS if where.python.startswith(("3.13", "3.14"))],
    ("made-up-too-new", 1): [where for where in TARGETS if where.glibc == (2, 41)],
}
"""The targets for which a peer (0 is pip, 1 is uv) selects another file. docs/selection.md explains why."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageIndex]:
    with PageIndex(tmp_path_factory.mktemp("pages"), upstream()) as served:
        yield served


@pytest.fixture(scope="module")
def locks(index: PageIndex, tmp_path_factory: pytest.TempPathFactory) -> dict[Where, Lock]:
    minors = {where: where.python.rpartition(".")[0] for where in TARGETS}
    made = {where: lock_of(PACKAGES, minor, tmp_path_factory.mktemp("project"), index.simple) for where, minor in minors.items()}
    index.narrow(versions_of(made.values()))
    return made


@pytest.fixture(scope="module")
def peers(index: PageIndex, tmp_path_factory: pytest.TempPathFactory) -> tuple[Peer, Peer]:
    cache = tmp_path_factory.mktemp("cache")
    return Pip([str(newest_pip(cache / "venv"))], index.simple, cache), Uv([uv.find_uv_bin()], index.simple, cache)


@pytest.mark.parametrize("where", TARGETS, ids=str)
def test_pip_and_uv_select_the_same_files(where: Where, locks: dict[Where, Lock], peers: tuple[Peer, Peer]) -> None:
    answers = {answer.name: answer for answer in compare(locks[where], where, peers)}
    assert answers.keys() == set(PACKAGES)
    assert [answer for answer in answers.values() if not answer.agreed] == []
    # Finding nothing would count as agreement.
    assert answers["numpy"].ours.endswith(f"_{where.machine}.whl")
    assert answers["six"].ours.endswith("-py2.py3-none-any.whl")
    assert answers["mysqlclient"].ours == ""
    assert bool(answers["pysqlite3-binary"].ours) == (where.machine == "x86_64")


def _file(text: str, number: int) -> dict[str, Any]:
    name, _, note = text.partition(" ")
    made: dict[str, Any] = {"filename": f"{name}.whl", "url": "", "size": 7, "hashes": {"sha256": f"{number:064x}"}}
    if note:
        made |= {"yanked": True} if note == "yanked" else {"requires-python": note}
    return made


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageIndex]:
    """An index of made-up packages for both machines, which asks no other index for their pages."""
    folder = tmp_path_factory.mktemp("made-up")
    for name, some in MADE_UP.items():
        tags = dict.fromkeys(re.sub(r"_M\b", f"_{machine}", tag) for tag in some for machine in ("x86_64", "aarch64"))
        files = [_file(f"{name.replace('-', '_')}-1.0-{tag}", number) for number, tag in enumerate(tags)]
        page = {"meta": {"api-version": "1.0"}, "name": name, "files": files}
        (folder / f"{name}.json").write_text(json.dumps(page))
    with PageIndex(folder, "http://127.0.0.1:9") as served:
        yield served


@pytest.mark.parametrize("where", TARGETS, ids=str)
def test_pip_and_uv_select_the_same_files_in_odd_cases(where: Where, made_up: PageIndex, peers: tuple[Peer, Peer], tmp_path: Path) -> None:
    lock = lock_of(tuple(MADE_UP), where.python.rpartition(".")[0], tmp_path, made_up.simple)
    answers = compare(lock, where, [type(peer)(peer.program, made_up.simple, peer.cache) for peer in peers])
    assert {answer.name for answer in answers} == MADE_UP.keys()
    different = {(answer.name, number) for answer in answers for number, file in enumerate(answer.theirs) if file != answer.ours}
    assert different == {key for key, targets in DIFFERENCES.items() if where in targets}
