"""The crates of a source in Rust: its own, or those of its Cargo.lock, fetched where nothing of the source can name a program."""

import errno
import hashlib
import io
import json
import os
import tarfile
import threading
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipwheel.builder import crates
from shipwheel.builder.crates import CrateFetch, CratesFailed, use_crates
from shipwheel.builder.sandbox_run import SandboxRun, bubblewrap_words, writable_directories
from shipwheel.builder.vendored_crates import (
    CRATE_RECORD,
    LockedCrate,
    fetched_archive,
    locked_crates,
    pack_crate,
    replacement,
    unpack_crates,
)
from shipwheel.digest import digest_of
from shipwheel.errors import ArchiveError, BuildError
from shipwheel.locking.process import Finished
from shipwheel.store.store import Store
from shipwheel.wheels.kept_requirements import KeptRequirements

FETCHED = '[source.crates-io]\nreplace-with = "vendored-sources"\n[source.vendored-sources]\ndirectory = "/build/crates/vendor"\n'


def tar_of(files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


LEAF = tar_of({"leaf-1.0/Cargo.toml": "[package]\n"})
LEAF_SUM = hashlib.sha256(LEAF).hexdigest()
OF_GIT = '[[package]]\nname = "twig"\nversion = "1.0"\nsource = "git+https://host/twig#1a2b"\n'


def locked(checksum: str = LEAF_SUM) -> str:
    """Return a lock file with one crate of cargo's default registry."""
    source = "registry+https://host/crates.io-index"
    return f'[[package]]\nname = "leaf"\nversion = "1.0"\nsource = "{source}"\nchecksum = "{checksum}"\n'


class Cargo:
    """Stands for cargo in the sandbox: keeps each command, and the configurations that it would find in its home.

    `failing` are commands; `look` is the one that looks for the source's own crates.
    """

    def __init__(self, *failing: str) -> None:
        self.ran: list[tuple[str, list[str], Mapping[str, str]]] = []
        self.configurations: list[str] = []
        self._failing = failing

    def __call__(self, run: SandboxRun, **_: Any) -> Finished:
        words, env = bubblewrap_words(run)
        command = words[words.index("--") + 1 :]
        name = "look" if command[1:3] == ["fetch", "--offline"] else command[1]
        self.ran.append((name, [*words], env))
        path = next(each / "config.toml" for each in writable_directories(run) if each.name == "cargo")
        self.configurations.append(path.read_text() if path.is_file() else "")
        if name == "fetch":
            (path.parent / "registry" / "cache" / "host-1a2b").mkdir(parents=True)
            (path.parent / "registry" / "cache" / "host-1a2b" / "leaf-1.0.crate").write_bytes(LEAF)
        if name == "vendor" and name not in self._failing:
            twig = run.binds["/build/crates"][0] / "vendor" / "twig-1.0"
            twig.mkdir(parents=True)
            (twig / "Cargo.toml").write_text("[package]\n")
        return Finished(1 if name in self._failing else 0, FETCHED if name == "vendor" else "", "no matching package")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / ".cargo"
    folder.mkdir(parents=True)
    monkeypatch.setenv("CARGO_HOME", str(folder))
    return folder


def fetch(
    folder: Path,
    cargo: Cargo,
    monkeypatch: pytest.MonkeyPatch,
    *,
    place: str = "place",
    files: Sequence[str] = (),
    below: str = ".",
    lock: str = "",
    kept: KeptRequirements | None = None,
) -> Any:
    monkeypatch.setattr(crates, "run_in_sandbox", cargo)
    for name in files or ("Cargo.toml", "Cargo.lock"):
        path = folder / place / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lock if path.name == "Cargo.lock" else "")
    return CrateFetch(folder / place, folder / "root", below, Store(folder / "store"), threading.Event(), kept=kept).run()


def test_crates_that_the_source_has_are_taken_without_a_network(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo()
    assert fetch(tmp_path, cargo, monkeypatch) is None
    assert [(name, "--share-net" in words) for name, words, _ in cargo.ran] == [("look", False)]


def test_what_fetches_crates_does_not_read_the_sources_configuration(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text('[source.mirror]\nregistry = "sparse+http://host/"\n[build]\nrustc-wrapper = "sccache"\n')
    (home / "credentials.toml").write_text('[registry]\ntoken = "secret"\n')
    monkeypatch.setenv("CARGO_REGISTRIES_OWN_TOKEN", "secret")
    monkeypatch.setenv("MY_SECRET", "1")
    cargo = Cargo("look")
    assert fetch(tmp_path, cargo, monkeypatch) is not None
    (_, offline, first), (name, online, second) = cargo.ran
    assert (name, "--share-net" in offline, "--share-net" in online) == ("fetch", False, True)
    source = str(tmp_path / "place" / "source")
    assert (source in offline, online[online.index(source) - 1]) == (False, "--ro-bind"), "what looks for crates gets a copy"
    home_of = [words[words.index("/build/cargo") - 1] for words in (offline, online)]
    assert home_of[0] != home_of[1], "the source's programs may have changed the first"
    assert online[online.index("--chdir") + 1] == "/build/cargo", "not the source's directory, above which cargo looks for configurations"
    assert "--locked" in online
    assert tomllib.loads(cargo.configurations[1]) == {"source": {"mirror": {"registry": "sparse+http://host/"}}}
    assert [str(home / "credentials.toml") in words for words in (offline, online)] == [False, True]
    assert ["CARGO_REGISTRIES_OWN_TOKEN" in env for env in (first, second)] == [False, True]
    assert "MY_SECRET" not in second


def test_archives_of_a_registry_are_unpacked_without_cargo(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "own"\n[source.own]\nregistry = "sparse+http://user:secret@host/"\n'
    )
    cargo = Cargo("look")
    directory = fetch(tmp_path, cargo, monkeypatch, lock=locked()).path
    assert [name for name, _, _ in cargo.ran] == ["look", "fetch"]
    crate = directory / "vendor" / "leaf-1.0"
    assert sorted(path.name for path in crate.iterdir()) == [".cargo-checksum.json", "Cargo.toml"]
    assert json.loads((crate / ".cargo-checksum.json").read_text()) == {"files": {}, "package": LEAF_SUM}
    assert tomllib.loads((directory / "config.toml").read_text()) == {
        "source": {
            "crates-io": {"replace-with": "fetched-crates"},
            "fetched-crates": {"directory": "/build/crates/vendor"},
        }
    }


@pytest.mark.parametrize("source", ["registry+https://host/index", "sparse+https://host/index/"])
def test_another_registry_is_replaced_by_its_address(source: str) -> None:
    found = replacement([LockedCrate("leaf", "1.0", source, LEAF_SUM)], "/crates")["source"]
    assert found[source] == {"registry": source.removeprefix("registry+"), "replace-with": "fetched-crates"}


def test_a_crate_with_another_checksum_is_not_taken(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo("look", "vendor")
    with pytest.raises(CratesFailed):
        fetch(tmp_path, cargo, monkeypatch, lock=locked("0" * 64))
    assert [name for name, _, _ in cargo.ran] == ["look", "fetch", "vendor"]
    assert not [*(tmp_path / "place" / "vendor").iterdir()]


def test_crates_of_a_bundle_need_no_network(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptRequirements(Store(tmp_path / "here" / "store"), "3.13")
    assert fetch(tmp_path / "here", Cargo("look"), monkeypatch, lock=locked() + OF_GIT, kept=kept) is not None
    assert [digest == digest_of(LEAF) for digest in kept.crates.values()] == [True, False]
    there = Store(tmp_path / "there" / "store")
    for key, digest in kept.crates.items():
        there.add(kept.store.read(digest))
        there.put(CRATE_RECORD, key, msgspec.json.encode(digest))
    cargo = Cargo("look", "fetch")
    found = fetch(tmp_path / "there", cargo, monkeypatch, lock=locked() + OF_GIT).path
    assert [name for name, _, _ in cargo.ran] == ["look"]
    assert [(found / "vendor" / name / "Cargo.toml").read_text() for name in ("leaf-1.0", "twig-1.0")] == ["[package]\n"] * 2
    assert json.loads((found / "vendor" / "twig-1.0" / ".cargo-checksum.json").read_text()) == {"files": {}, "package": None}
    with pytest.raises(CratesFailed):
        fetch(tmp_path / "there", Cargo("look", "fetch"), monkeypatch, lock=locked() + OF_GIT.replace("1a2b", "1a2c"))
    again = KeptRequirements(kept.store, "3.13")
    assert fetch(tmp_path / "here", Cargo("look"), monkeypatch, place="other", lock=locked() + OF_GIT, kept=again) is not None
    assert again.crates == kept.crates, "also when they are fetched already"


@pytest.mark.parametrize(
    ("version", "query", "expected"),
    [
        (3, "", {}),
        (3, "?rev=1a2b", {"rev": "1a2b"}),
        (3, "?branch=a%2Fb+c", {"branch": "a%2Fb+c"}),
        (4, "?branch=a%2Fb%23c%2Bd", {"branch": "a/b#c+d"}),
        (4, "?tag=v1", {"tag": "v1"}),
    ],
)
def test_a_repository_is_replaced_by_its_address_and_reference(tmp_path: Path, version: int, query: str, expected: dict[str, str]) -> None:
    lock = tmp_path / "Cargo.lock"
    lock.write_text(f"version = {version}\n{OF_GIT.replace('#', f'{query}#')}")
    (crate,) = locked_crates([lock])
    (found,) = (table for table in replacement([crate], "/crates")["source"].values() if "git" in table)
    assert found == {"git": "https://host/twig", **expected, "replace-with": "fetched-crates"}


def test_the_same_files_are_packed_to_the_same_bytes(tmp_path: Path) -> None:
    crate, store, found = LockedCrate("twig", "1.0", "git+https://host/twig#1a2b", ""), Store(tmp_path / "store"), []
    for number, mask in enumerate((0o022, 0o077)):
        before = os.umask(mask)
        for name in ("b/c", "a", "ä" * 99) if number else ("ä" * 99, "a", "b/c"):
            file = tmp_path / str(number) / "twig-1.0" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name * 1000)
            os.utime(file, (number, number))
        os.umask(before)
        (tmp_path / str(number) / "twig-1.0" / "a").chmod(0o700 + number)
        found.append(pack_crate(crate, tmp_path / str(number), store))
    assert found[0] == found[1]
    assert unpack_crates([crate], lambda _: store.path(found[0]), tmp_path / "out")
    out = tmp_path / "out" / "twig-1.0"
    assert (out / ("ä" * 99)).read_text() == "ä" * 99_000
    assert [bool((out / name).stat().st_mode & 0o100) for name in ("a", "b/c")] == [True, False]


@pytest.mark.parametrize("strange", ["link", "folder", "pipe", "nothing", "outside"])
def test_what_no_crate_has_is_not_packed(tmp_path: Path, strange: str) -> None:
    folder = tmp_path / "vendor" / "twig-1.0"
    folder.mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("")
    if strange == "link":
        (folder / "a").symlink_to(tmp_path / "secret" / "file")
    elif strange == "folder":
        (folder / "a").symlink_to(tmp_path / "secret")
    elif strange == "pipe":
        os.mkfifo(folder / "a")
    name = "../vendor/twig" if strange == "outside" else "twig"
    with pytest.raises(ArchiveError, match=rf"{name} 1\.0"):
        pack_crate(LockedCrate(name, "1.0", "git+https://host/twig#1a2b", ""), tmp_path / "vendor", Store(tmp_path / "store"))


def test_checksums_of_the_oldest_lock_files_count(tmp_path: Path) -> None:
    source = "registry+https://host/index"
    text = f'[[package]]\nname = "leaf"\nversion = "1.0"\nsource = "{source}"\n[metadata]\n"checksum leaf 1.0 ({source})" = "{LEAF_SUM}"\n'
    (tmp_path / "Cargo.lock").write_text(text)
    assert locked_crates([tmp_path / "Cargo.lock"] * 2) == (LockedCrate("leaf", "1.0", source, LEAF_SUM),)


def test_a_hostile_crate_is_refused(tmp_path: Path) -> None:
    archive = tar_of({"leaf-1.0/Cargo.toml": "", "../../evil": ""})
    (tmp_path / "registry" / "cache" / "host").mkdir(parents=True)
    (tmp_path / "registry" / "cache" / "host" / "leaf-1.0.crate").write_bytes(archive)
    crate = LockedCrate("leaf", "1.0", "registry+https://host/index", hashlib.sha256(archive).hexdigest())
    with pytest.raises(ArchiveError, match=r"leaf 1\.0"):
        unpack_crates([crate], lambda it: fetched_archive(it, tmp_path), tmp_path / "vendor")
    outside = LockedCrate("../evil", "1.0", crate.source, crate.checksum)
    assert not unpack_crates([outside], lambda _: None, tmp_path / "other")


def test_what_copies_crates_has_no_passwords_and_no_network(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crate of git can have a link to /proc/self/environ, or to cargo's files, and cargo copies what is behind it for the build."""
    (home / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "sparse+http://user:secret@host/"\n'
        '[registries.own]\nindex = "sparse+http://host/"\ntoken = "secret"\n'
        '[registry]\ndefault = "own"\ntoken = "secret"\n[http]\nproxy = "http://user:secret@host"\n'
    )
    (home / "credentials.toml").write_text('[registry]\ntoken = "secret"\n')
    for name in ("CARGO_REGISTRIES_OWN_TOKEN", "CARGO_REGISTRY_TOKEN", "CARGO_HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("CARGO_REGISTRIES_OTHER_INDEX", "sparse+http://other/")
    cargo = Cargo("look")
    fetch(tmp_path, cargo, monkeypatch, lock=locked() + OF_GIT)
    (_, _, variables), (name, words, left) = cargo.ran[1:]
    assert [*variables.values()].count("secret") == 4
    assert (name, "--share-net" in words, "--offline" in words) == ("vendor", False, True)
    assert "secret" not in left.values()
    assert left["CARGO_REGISTRIES_OTHER_INDEX"] == "sparse+http://other/"
    assert str(home / "credentials.toml") not in words
    assert tomllib.loads(cargo.configurations[2]) == {
        "source": {"crates-io": {"replace-with": "fetched-crates"}, "fetched-crates": {"directory": "/build/vendor"}},
        "registries": {"own": {"index": "sparse+http://host/"}},
    }
    assert words[words.index("/build/vendor") - 2] == "--ro-bind"


def test_the_store_may_be_on_another_file_system(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def within(source: str | Path, target: str | Path) -> None:
        if Path(source).is_relative_to(tmp_path / "store") != Path(target).is_relative_to(tmp_path / "store"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    monkeypatch.setattr(os, "rename", within)
    cargo = Cargo("look")
    assert fetch(tmp_path, cargo, monkeypatch, lock=locked() + OF_GIT) is not None
    assert [path.name for path in (tmp_path / "place" / "vendor").iterdir()] == ["leaf-1.0"]


def test_a_mirror_that_is_a_directory_is_there_while_crates_are_fetched(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.toml").write_text('[source.crates-io]\nreplace-with = "own"\n[source.own]\ndirectory = "crates"\n')
    cargo = Cargo("look")
    fetch(tmp_path, cargo, monkeypatch, lock=locked("0" * 64))
    assert [name for name, _, _ in cargo.ran] == ["look", "fetch", "vendor"]
    for (_, words, _), text in zip(cargo.ran[1:], cargo.configurations[1:], strict=True):
        inside = words[words.index(str(home.parent / "crates")) + 1]
        sources = tomllib.loads(text)["source"]
        assert (sources["crates-io"], sources["own"]) == ({"replace-with": "own"}, {"directory": inside})


def test_crates_are_fetched_once_for_a_lock_file(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo("look")
    first = fetch(tmp_path, cargo, monkeypatch)
    second = fetch(tmp_path, cargo, monkeypatch, place="other")
    assert first.path == second.path
    assert [name for name, _, _ in cargo.ran] == ["look", "fetch", "look"]


@pytest.mark.parametrize(
    ("files", "failing", "message"),
    [
        (("Cargo.toml",), ("look",), "neither its crates nor a Cargo.lock"),
        ((), ("look", "fetch"), "cannot be fetched"),
        ((), ("look", "vendor"), "cannot be fetched"),
    ],
)
def test_says_why_there_are_no_crates(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, files: Sequence[str], failing: Sequence[str], message: str
) -> None:
    with pytest.raises(CratesFailed, match=message) as failed:
        fetch(tmp_path, Cargo(*failing), monkeypatch, files=files, lock=OF_GIT)
    assert "no matching package" in failed.value.output


@pytest.mark.parametrize("lock", ["package = [1]", "package = 'leaf'", "metadata = 1", f"a = {'[' * 9999}", "[[package]]\nversion = '1'"])
def test_says_that_a_lock_file_is_broken(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, lock: str) -> None:
    with pytest.raises(CratesFailed, match=r"its Cargo\.lock cannot be read"):
        fetch(tmp_path, Cargo("look"), monkeypatch, lock=lock)


def test_takes_the_lock_files_that_are_nearest_to_the_top(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo()
    names = ("Cargo.toml", "src/a/Cargo.toml", "src/a/Cargo.lock", "src/b/Cargo.toml", "src/b/Cargo.lock")
    fetch(tmp_path, cargo, monkeypatch, files=(*names, "vendor/c/Cargo.toml", "vendor/c/Cargo.lock", "src/a/test/Cargo.lock"))
    manifests = [words[words.index("--manifest-path") + 1] for _, words, _ in cargo.ran]
    assert manifests == ["/build/source/src/a/Cargo.toml", "/build/source/src/b/Cargo.toml"]


def test_the_lock_file_of_a_workspace_is_above_its_members(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo("look")
    names = ("Cargo.toml", "Cargo.lock", "python/Cargo.toml")
    assert fetch(tmp_path, cargo, monkeypatch, files=names, below="python") is not None
    _, words, _ = cargo.ran[-1]
    assert words[words.index("--manifest-path") + 1] == "/build/source/python/Cargo.toml"


def test_fetched_crates_replace_the_servers_that_a_source_names(tmp_path: Path) -> None:
    fetched, source = tmp_path / "crates", tmp_path / "source"
    fetched.mkdir()
    (fetched / "config.toml").write_text(FETCHED)
    (source / ".cargo").mkdir(parents=True)
    (source / ".cargo" / "config.toml").write_text('[source.crates-io]\nreplace-with = "mirror"\n[build]\nrustflags = ["-g"]\n')
    use_crates(source, fetched)
    expected = {"build": {"rustflags": ["-g"]}, "source": tomllib.loads(FETCHED)["source"]}
    assert tomllib.loads((source / ".cargo" / "config.toml").read_text()) == expected
    kept = tmp_path / "kept.toml"
    kept.write_text("[own]\n")
    (source / ".cargo" / "config.toml").unlink()
    (source / ".cargo" / "config.toml").symlink_to(kept)
    use_crates(source, fetched)
    assert tomllib.loads((source / ".cargo" / "config.toml").read_text()) == {"source": expected["source"]}
    assert kept.read_text() == "[own]\n", "a link of the source leads nowhere"


@pytest.mark.parametrize("text", ["[", "a = " + "[" * 100_000, None, ""])
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    fetched, source = tmp_path / "crates", tmp_path / "source"
    fetched.mkdir()
    (fetched / "config.toml").write_text(FETCHED)
    file = source / ".cargo" / "config.toml"
    (file.parent if text else source).mkdir(parents=True)
    if text is None:
        file.mkdir(parents=True)
    elif text:
        file.write_text(text)
    else:
        file.parent.write_text("a file in place of the directory")
    with pytest.raises(BuildError, match=r"\.cargo/config\.toml cannot be read"):
        use_crates(source, fetched)
