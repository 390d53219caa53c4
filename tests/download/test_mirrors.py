"""Mirrors are measured in parallel within a time limit; the stored choice expires."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.download.mirrors import (
    MIRRORS,
    PROBE_PROJECT,
    Choice,
    Mirror,
    best_addresses,
    choose,
    delete_choice,
    find_mirror,
    is_index_mirror,
    load_choice,
    measure,
    save_choice,
)
from shipwheel.errors import UsageError
from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel

RELEASE = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: Debian\nDate: {}\n"


def served(
    stack: ExitStack, version: str = "6.2", uploaded: str = "2024-06-02T00:00:00Z", date: str = "Sun, 02 Jun 2024 08:00:00 UTC"
) -> PackageIndex:
    index = stack.enter_context(PackageIndex())
    for each in ("6.1", version):
        wheel = SmallWheel(PROBE_PROJECT, each, files={f"{PROBE_PROJECT}.py": "#" * 400_000})
        index.add(wheel.filename, wheel.content(), uploaded=uploaded)
    index.add("debian/dists/sid/InRelease", RELEASE.format(date).encode())
    return index


def mirror(name: str, index: PackageIndex) -> Mirror:
    return Mirror(name, index.simple.rstrip("/"), f"{index.url}/files/debian")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as running:
        yield running


def test_names_the_problem_of_every_unusable_mirror(stack: ExitStack) -> None:
    good, slow, stale, lying, failing = (served(stack) for _ in range(5))
    stale = served(stack, "6.1.9", "2024-05-01T00:00:00Z", "Wed, 01 May 2024 08:00:00 UTC")
    slow.fault("/files/*", Fault(stall=3600))
    lying.fault("/files/*", Fault(data=b"something else"))
    failing.fault(f"/simple/{PROBE_PROJECT}/", Fault(status=500))
    failing.fault("/files/*", Fault(status=500))
    closed = PackageIndex().start()
    closed.close()
    table = [
        mirror(*each)
        for each in (("good", good), ("slow", slow), ("stale", stale), ("lying", lying), ("failing", failing), ("closed", closed))
    ]
    # It ends although one mirror never answers. The time must be enough for the others on a busy machine.
    measured = measure(table, seconds=5.0)
    problems = {(it.name, it.kind): it.problem for it in measured}
    assert len(measured) == 12
    assert problems["good", "index"] == problems["good", "debian"] == ""
    assert problems["lying", "index"] == "sends files with wrong hashes"
    assert problems["lying", "debian"] == "not a Debian archive"
    assert problems["stale", "index"] == "32 days behind"
    assert problems["stale", "debian"] == "32 days behind"
    assert problems["failing", "index"] == problems["failing", "debian"] == "answered 500"
    assert all(problems[name, kind] for name in ("slow", "closed") for kind in ("index", "debian"))
    assert best_addresses(measured, "index") == (good.simple.rstrip("/"),)
    assert best_addresses(measured, "debian") == (f"{good.url}/files/debian",)
    fine = next(it for it in measured if it.name == "good" and it.kind == "index")
    assert fine.first > 0
    assert fine.rate > 0
    assert fine.fresh == "2024-06-02T00:00:00Z"


def test_prefers_the_fastest_mirror(stack: ExitStack) -> None:
    quick, slow = served(stack), served(stack)
    slow.fault("/files/*", Fault(rate=2000))
    found = measure([mirror("slow", slow), mirror("quick", quick)], seconds=3)
    assert best_addresses(found, "index")[0] == quick.simple.rstrip("/")


def test_measures_standalone_pythons(stack: ExitStack) -> None:
    path = "20240101/cpython-3.12.1%2B20240101-x86_64.tar.gz"
    good, wrong, behind = (stack.enter_context(PackageIndex()) for _ in range(3))
    good.add(f"pythons/{path.replace('%2B', '+')}", b"\x1f\x8b" + bytes(100_000))
    wrong.add(f"pythons/{path.replace('%2B', '+')}", b"<html>")
    table = [Mirror(name, pythons=f"{it.url}/files/pythons") for name, it in (("good", good), ("wrong", wrong), ("behind", behind))]
    found = {it.name: it for it in measure(table, seconds=5.0, python=path)}
    assert (found["good"].problem, found["good"].fresh) == ("", "20240101")
    assert found["wrong"].problem == "not a mirror of standalone Pythons"
    assert found["behind"].problem == "answered 404"
    assert best_addresses(tuple(found.values()), "pythons") == (f"{good.url}/files/pythons",)
    assert measure(table, seconds=1) == (), "only if it is known what they should have"


def test_measures_an_index_with_html_pages(stack: ExitStack) -> None:
    html = served(stack)
    html.fault(f"/simple/{PROBE_PROJECT}/", Fault(data=html.body(f"/simple/{PROBE_PROJECT}/", "text/html")[1]))  # type: ignore[index]
    (found,) = measure([Mirror("html", html.simple.rstrip("/"))], seconds=3)
    assert (found.problem, found.fresh) == ("", "6.2")


def test_a_choice_is_valid_until_it_expires(tmp_path: Path) -> None:
    choice = Choice(("https://a.example/simple",), ("https://b.example/debian",), "2024-06-08", ("https://c.example/pythons",))
    save_choice(tmp_path / "new", choice)
    assert load_choice(tmp_path / "new", today="2024-06-08") == choice
    assert load_choice(tmp_path / "new", today="2024-06-09") == Choice()
    delete_choice(tmp_path / "new")
    delete_choice(tmp_path / "new")
    assert load_choice(tmp_path / "new", today="2024-06-08") == Choice()


@given(
    st.binary(max_size=200)
    | st.sampled_from([b"{}", b'{"until": "9999", "index": 3}', b"[]", b'{"until":"9","index":["file:///x"],"debian":[1]}'])
)
def test_ignores_a_damaged_choice(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "mirrors.json").write_bytes(data)
        found = load_choice(Path(folder), today="2024-01-01")
    assert not found.index
    assert not found.debian


def test_chooses_by_name_url_or_measurement(stack: ExitStack) -> None:
    assert choose("ustc", list).index == (find_mirror("USTC").index,)
    assert choose("https://x.example/pypi/simple/", list).index == ("https://x.example/pypi/simple",)
    assert choose("https://x.example/debian", list, before=Choice(("https://i.example/simple",))).index == ("https://i.example/simple",)
    pythons = choose("https://x.example/astral-sh/python-build-standalone/", list, before=Choice(("https://i.example/simple",)))
    assert (pythons.index, pythons.pythons) == (("https://i.example/simple",), ("https://x.example/astral-sh/python-build-standalone",))
    with pytest.raises(UsageError, match="no mirror of the table"):
        choose("auto", lambda: measure([], seconds=1))
    assert choose("auto", lambda: measure([mirror("one", served(stack))], seconds=3)).index


@pytest.mark.parametrize(
    "wrong", ["nobody", "https://me:pw@x.example/simple", "ftp://x.example/simple", "https://x.example/what", "https://"]
)
def test_rejects_an_unknown_mirror(wrong: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(wrong, list)
    assert "pw" not in caught.value.message + caught.value.hint


def test_every_mirror_has_a_name_and_well_formed_urls() -> None:
    assert len({mirror.name for mirror in MIRRORS}) == len(MIRRORS)
    assert {"tsinghua", "ustc", "aliyun", "tencent", "huawei", "nju"} <= {mirror.name for mirror in MIRRORS}
    assert all(mirror.index.endswith("/simple") for mirror in MIRRORS if mirror.index)
    assert all(mirror.debian.endswith("/debian") for mirror in MIRRORS if mirror.debian)
    pythons = [mirror.pythons for mirror in MIRRORS if mirror.pythons]
    assert pythons and all(url.endswith("/python-build-standalone") and "/debian/" not in url for url in pythons)
    assert all(find_mirror(url).pythons == url for url in pythons)


def test_a_choice_of_an_earlier_version_has_no_pythons(tmp_path: Path) -> None:
    (tmp_path / "mirrors.json").write_text('{"format": 1, "until": "2024-06-08", "index": ["https://a.example/simple"], "debian": []}')
    assert load_choice(tmp_path, today="2024-06-08") == Choice(("https://a.example/simple",), (), "2024-06-08")


def test_an_index_beside_debians_archive_is_a_mirrors_too() -> None:
    with_both = next(mirror for mirror in MIRRORS if mirror.index and urlsplit(mirror.index).hostname != urlsplit(mirror.debian).hostname)
    host = urlsplit(with_both.debian).hostname
    assert is_index_mirror(f"https://{host}/pypi/web/simple")
    assert not is_index_mirror(f"https://{host}/pytorch/simple")
    only_debian = next(urlsplit(mirror.debian).hostname for mirror in MIRRORS if not mirror.index)
    assert not is_index_mirror(f"https://{only_debian}/pypi/simple")
