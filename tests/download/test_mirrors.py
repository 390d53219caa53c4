"""Mirrors are measured side by side within the time that is given; the choice is kept, runs out, and is never trusted."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.download.mirrors import MIRRORS, PROJECT, Choice, Known, best, choose, forget, keep, kept, measure, named
from shipwheel.errors import UsageError
from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel

RELEASE = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: Debian\nDate: {}\n"


def served(
    stack: ExitStack, version: str = "6.2", uploaded: str = "2024-06-02T00:00:00Z", date: str = "Sun, 02 Jun 2024 08:00:00 UTC"
) -> PackageIndex:
    index = stack.enter_context(PackageIndex())
    for each in ("6.1", version):
        wheel = SmallWheel(PROJECT, each, files={f"{PROJECT}.py": "#" * 400_000})
        index.add(wheel.filename, wheel.content(), uploaded=uploaded)
    index.add("debian/dists/sid/InRelease", RELEASE.format(date).encode())
    return index


def known(name: str, index: PackageIndex) -> Known:
    return Known(name, index.simple.rstrip("/"), f"{index.url}/files/debian")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as running:
        yield running


def test_every_way_not_to_do(stack: ExitStack) -> None:
    good, slow, stale, lying, failing = (served(stack) for _ in range(5))
    stale = served(stack, "6.1.9", "2024-05-01T00:00:00Z", "Wed, 01 May 2024 08:00:00 UTC")
    slow.fault("/files/*", Fault(stall=3600))
    lying.fault("/files/*", Fault(data=b"something else"))
    failing.fault(f"/simple/{PROJECT}/", Fault(status=500))
    failing.fault("/files/*", Fault(status=500))
    closed = PackageIndex().start()
    closed.close()
    table = [
        known(*each)
        for each in (("good", good), ("slow", slow), ("stale", stale), ("lying", lying), ("failing", failing), ("closed", closed))
    ]
    # It ends although one mirror never answers. The time must be enough for the others on a busy machine.
    measured = measure(table, seconds=8.0)
    problems = {(it.name, it.kind): it.problem for it in measured}
    assert len(measured) == 12
    assert problems["good", "index"] == problems["good", "debian"] == ""
    assert problems["lying", "index"] == "gives other bytes than it says"
    assert problems["lying", "debian"] == "is no Debian archive"
    assert problems["stale", "index"] == "32 days behind"
    assert problems["stale", "debian"] == "32 days behind"
    assert problems["failing", "index"] == problems["failing", "debian"] == "answered 500"
    assert all(problems[name, kind] for name in ("slow", "closed") for kind in ("index", "debian"))
    assert best(measured, "index") == (good.simple.rstrip("/"),)
    assert best(measured, "debian") == (f"{good.url}/files/debian",)
    fine = next(it for it in measured if it.name == "good" and it.kind == "index")
    assert fine.first > 0
    assert fine.rate > 0
    assert fine.fresh == "2024-06-02T00:00:00Z"


def test_the_quickest_first(stack: ExitStack) -> None:
    quick, slow = served(stack), served(stack)
    slow.fault("/files/*", Fault(rate=2000))
    found = measure([known("slow", slow), known("quick", quick)], seconds=3)
    assert best(found, "index")[0] == quick.simple.rstrip("/")


def test_an_index_that_speaks_html_only(stack: ExitStack) -> None:
    html = served(stack)
    html.fault(f"/simple/{PROJECT}/", Fault(data=html.body(f"/simple/{PROJECT}/", "text/html")[1]))  # type: ignore[index]
    (found,) = measure([Known("html", html.simple.rstrip("/"))], seconds=3)
    assert (found.problem, found.fresh) == ("", "6.2")


def test_kept_until_it_runs_out(tmp_path: Path) -> None:
    choice = Choice(("https://a.example/simple",), ("https://b.example/debian",), "2024-06-08")
    keep(tmp_path / "new", choice)
    assert kept(tmp_path / "new", today="2024-06-08") == choice
    assert kept(tmp_path / "new", today="2024-06-09") == Choice()
    forget(tmp_path / "new")
    forget(tmp_path / "new")
    assert kept(tmp_path / "new", today="2024-06-08") == Choice()


@given(
    st.binary(max_size=200)
    | st.sampled_from([b"{}", b'{"until": "9999", "index": 3}', b"[]", b'{"until":"9","index":["file:///x"],"debian":[1]}'])
)
def test_what_is_damaged_is_no_choice(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "mirrors.json").write_bytes(data)
        found = kept(Path(folder), today="2024-01-01")
    assert not found.index
    assert not found.debian


def test_use(stack: ExitStack) -> None:
    assert choose("ustc", list).index == (named("USTC").index,)
    assert choose("https://x.example/pypi/simple/", list).index == ("https://x.example/pypi/simple",)
    assert choose("https://x.example/debian", list, before=Choice(("https://i.example/simple",))).index == ("https://i.example/simple",)
    with pytest.raises(UsageError, match="no mirror of the table"):
        choose("auto", lambda: measure([], seconds=1))
    assert choose("auto", lambda: measure([known("one", served(stack))], seconds=3)).index


@pytest.mark.parametrize(
    "wrong", ["nobody", "https://me:pw@x.example/simple", "ftp://x.example/simple", "https://x.example/what", "https://"]
)
def test_use_of_what_is_none(wrong: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(wrong, list)
    assert "pw" not in caught.value.message + caught.value.hint


def test_the_table() -> None:
    assert len({mirror.name for mirror in MIRRORS}) == len(MIRRORS)
    assert {"tsinghua", "ustc", "aliyun", "tencent", "huawei", "nju"} <= {mirror.name for mirror in MIRRORS}
    assert all(mirror.index.endswith("/simple") for mirror in MIRRORS if mirror.index)
    assert all(mirror.debian.endswith("/debian") for mirror in MIRRORS if mirror.debian)
