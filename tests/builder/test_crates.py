"""The crates of a source in Rust: its own, or those of its Cargo.lock, fetched where nothing of the source can name a program."""

import threading
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shipwheel.builder import crates
from shipwheel.builder.crates import CrateFetch, CratesFailed, use_crates
from shipwheel.errors import BuildError
from shipwheel.locking.process import Finished
from shipwheel.store import Store

FETCHED = '[source.crates-io]\nreplace-with = "vendored-sources"\n[source.vendored-sources]\ndirectory = "/build/crates/vendor"\n'


class Cargo:
    """Stands for cargo in the sandbox: keeps each command, and the configuration that it would find in its home."""

    def __init__(self, *failing: str) -> None:
        self.ran: list[tuple[str, list[str], Mapping[str, str]]] = []
        self.configuration = ""
        self._failing = failing

    def __call__(self, words: Sequence[str], *, env: Mapping[str, str], directories: Sequence[Path], **_: Any) -> Finished:
        command = words[words.index("--") + 1 :]
        self.ran.append((command[1], [*words], env))
        path = directories[-1] / "config.toml"
        self.configuration = path.read_text() if path.is_file() else ""
        return Finished(1 if command[1] in self._failing else 0, FETCHED if command[1] == "vendor" else "", "no matching package")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / ".cargo"
    folder.mkdir(parents=True)
    monkeypatch.setenv("CARGO_HOME", str(folder))
    return folder


def fetch(folder: Path, cargo: Cargo, monkeypatch: pytest.MonkeyPatch, *, place: str = "place", files: Sequence[str] = ()) -> Any:
    monkeypatch.setattr(crates, "run_bounded", cargo)
    for name in files or ("Cargo.toml", "Cargo.lock"):
        path = folder / place / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return CrateFetch(folder / place, folder / "root", ".", Store(folder / "store"), threading.Event()).run()


def test_crates_that_the_source_has_are_taken_without_a_network(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo()
    assert fetch(tmp_path, cargo, monkeypatch) is None
    assert [(name, "--share-net" in words) for name, words, _ in cargo.ran] == [("fetch", False)]


def test_what_fetches_crates_does_not_read_the_sources_configuration(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text('[source.mirror]\nregistry = "sparse+http://host/"\n[build]\nrustc-wrapper = "sccache"\n')
    (home / "credentials.toml").write_text('[registry]\ntoken = "secret"\n')
    monkeypatch.setenv("CARGO_REGISTRIES_OWN_TOKEN", "secret")
    monkeypatch.setenv("MY_SECRET", "1")
    cargo = Cargo("fetch")
    assert fetch(tmp_path, cargo, monkeypatch) is not None
    (_, offline, first), (name, online, second) = cargo.ran
    assert (name, "--share-net" in offline, "--share-net" in online) == ("vendor", False, True)
    source = str(tmp_path / "place" / "source")
    assert (source in offline, online[online.index(source) - 1]) == (False, "--ro-bind"), "what looks for crates gets a copy"
    home_of = [words[words.index("/build/cargo") - 1] for words in (offline, online)]
    assert home_of[0] != home_of[1], "the source's programs may have changed the first"
    assert online[online.index("--chdir") + 1] == "/build/cargo", "not the source's directory, above which cargo looks for configurations"
    assert "--locked" in online
    assert tomllib.loads(cargo.configuration) == {"source": {"mirror": {"registry": "sparse+http://host/"}}}
    assert [str(home / "credentials.toml") in words for words in (offline, online)] == [False, True]
    assert ["CARGO_REGISTRIES_OWN_TOKEN" in env for env in (first, second)] == [False, True]
    assert "MY_SECRET" not in second


def test_a_mirror_that_is_a_directory_is_there_while_crates_are_fetched(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.toml").write_text('[source.own]\ndirectory = "crates"\n')
    cargo = Cargo("fetch")
    fetch(tmp_path, cargo, monkeypatch)
    words = cargo.ran[1][1]
    inside = words[words.index(str(home.parent / "crates")) + 1]
    assert tomllib.loads(cargo.configuration) == {"source": {"own": {"directory": inside}}}


def test_crates_are_fetched_once_for_a_lock_file(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo("fetch")
    first = fetch(tmp_path, cargo, monkeypatch)
    second = fetch(tmp_path, cargo, monkeypatch, place="other")
    assert first.path == second.path
    assert [name for name, _, _ in cargo.ran] == ["fetch", "vendor", "fetch"]


@pytest.mark.parametrize(
    ("files", "failing", "message"),
    [(("Cargo.toml",), ("fetch",), "neither its crates nor a Cargo.lock"), ((), ("fetch", "vendor"), "cannot be fetched")],
)
def test_says_why_there_are_no_crates(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, files: Sequence[str], failing: Sequence[str], message: str
) -> None:
    with pytest.raises(CratesFailed, match=message) as failed:
        fetch(tmp_path, Cargo(*failing), monkeypatch, files=files)
    assert "no matching package" in failed.value.output


def test_takes_the_lock_files_that_are_nearest_to_the_top(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cargo = Cargo()
    names = ("Cargo.toml", "src/a/Cargo.toml", "src/a/Cargo.lock", "src/b/Cargo.toml", "src/b/Cargo.lock")
    fetch(tmp_path, cargo, monkeypatch, files=(*names, "vendor/c/Cargo.toml", "vendor/c/Cargo.lock", "src/a/test/Cargo.lock"))
    manifests = [words[words.index("--manifest-path") + 1] for _, words, _ in cargo.ran]
    assert manifests == ["/build/source/src/a/Cargo.toml", "/build/source/src/b/Cargo.toml"]


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
    (source / ".cargo" / "config.toml").write_text("[")
    with pytest.raises(BuildError, match=r"\.cargo/config\.toml cannot be read"):
        use_crates(source, fetched)
