"""What a build has looked at, and whether it is as it was."""

import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shipwheel.witness import file_states
from shipwheel.witness.file_states import tree_state
from shipwheel.witness.looks import Looks
from shipwheel.witness.witness import Witness, note_look, note_unknown

NAMES = st.sampled_from(["a", "b", "c/d", "c/e", ".git/index", "é", "x y"])
TREES = st.dictionaries(NAMES, st.binary(max_size=3), max_size=5)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project of files that nobody changes any more."""
    root = tmp_path / "project"
    (root / "package").mkdir(parents=True)
    (root / "main.py").write_text("import package\n")
    (root / "package" / "__init__.py").write_text("")
    (root / "link").symlink_to("main.py")
    time.sleep(0.05)  # a tick of the kernel's clock
    return root


def write(root: Path, tree: dict[str, bytes]) -> None:
    for name, data in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


@settings(max_examples=40)
@given(before=TREES, after=TREES)
def test_trees_with_other_entries_have_other_states(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    write(root, before)
    state, visible = tree_state(str(root)), {name for name in before if not name.startswith(".git/")}
    for name in before.keys() - after.keys():
        (root / name).unlink()
    write(root, {name: data for name, data in after.items() if before.get(name) != data})
    same = before == after or (visible == {n for n in after if not n.startswith(".git/")} and all(before[n] == after[n] for n in visible))
    if not same:
        assert tree_state(str(root)) != state


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is edited, with the same size": lambda root: (root / "main.py").write_text("import packagE\n"),
    "a file is edited, and its time is set back": lambda root: edit_secretly(root / "main.py"),
    "a file is added": lambda root: (root / "package" / "new.py").touch(),
    "a file that is ignored is added": lambda root: (root / ".env").touch(),
    "a file is removed": lambda root: (root / "package" / "__init__.py").unlink(),
    "a file is renamed": lambda root: (root / "main.py").rename(root / "Main.py"),
    "a file becomes a program": lambda root: (root / "main.py").chmod(0o755),
    "a file becomes a directory": lambda root: become_directory(root / "main.py"),
    "a file is replaced by a link to the same": lambda root: become_link(root / "main.py", root / "package" / "m"),
    "a link leads elsewhere": lambda root: point(root / "link", "package"),
    "an empty directory is added": lambda root: (root / "static").mkdir(),
    "a repository is made": lambda root: (root / ".git").mkdir(),
}


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_link(path: Path, elsewhere: Path) -> None:
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def point(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


def edit_secretly(path: Path) -> None:
    before = path.stat()
    path.write_text("import packagE\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_in_the_tree_is_seen(tree: Path, change: str) -> None:
    seen = Witness().looks(str(tree))
    assert seen is not None
    assert seen.are_current()
    CHANGES[change](tree)
    assert not seen.are_current()


@pytest.mark.parametrize("name", [".venv/lib/x.py", "node_modules/left/pad.js", "package/__pycache__/x.pyc", ".git/objects/ab"])
def test_caches_of_other_tools_do_not_count(tree: Path, name: str) -> None:
    (tree / name).parent.mkdir(parents=True)
    time.sleep(0.05)
    seen = Witness().looks(str(tree))
    assert seen is not None
    (tree / name).write_text("new")
    assert seen.are_current()


def test_what_is_opened_in_such_a_cache_counts(tree: Path) -> None:
    config = tree / ".venv" / "pyvenv.cfg"
    config.parent.mkdir()
    config.write_text("home = /usr\n")
    time.sleep(0.05)
    witness = Witness()
    config.read_text()
    seen = witness.looks(str(tree))
    assert seen is not None
    config.write_text("home = /opt\n")
    assert not seen.are_current()


def read_if_there(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.read_text()


def list_if_there(path: Path) -> None:
    with suppress(FileNotFoundError):
        list(path.iterdir())


def upwards(folder: Path) -> Path:
    return folder.parent / "project" / ".." / folder.name


def through_link(folder: Path) -> Path:
    return folder.parent / "project" / "out"


def linked_file(folder: Path) -> Path:
    return folder.parent / "project" / "requirements.txt"


def make_again(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "there").read_text()


def write_lock(folder: Path) -> None:
    (folder / "new").write_text("locked")
    (folder / "new").rename(folder / "lock")


def outside(tree: Path) -> Path:
    folder = tree.parent / "outside"
    folder.mkdir()
    (folder / "there").write_text("1")
    time.sleep(0.05)
    return folder


@pytest.mark.parametrize(
    ("look", "change"),
    [
        (lambda folder: (folder / "there").read_text(), lambda folder: (folder / "there").write_text("2")),
        (lambda folder: (folder / "there").read_text(), lambda folder: (folder / "there").unlink()),
        (lambda folder: read_if_there(folder / "missing"), lambda folder: (folder / "missing").touch()),
        (lambda folder: list_if_there(folder / "missing"), lambda folder: (folder / "missing").mkdir()),
        (lambda folder: list(folder.iterdir()), lambda folder: (folder / "new").touch()),
        (lambda folder: list(os.scandir(folder)), lambda folder: (folder / "there").write_text("2")),
        (lambda folder: note_look(folder / "there"), lambda folder: (folder / "there").write_text("2")),
        (lambda folder: (upwards(folder) / "there").read_text(), lambda folder: (folder / "there").write_text("2")),
        (lambda folder: list(upwards(folder).iterdir()), lambda folder: (folder / "new").touch()),
        (lambda folder: (through_link(folder) / "there").read_text(), lambda folder: (folder / "there").write_text("2")),
        (lambda folder: list(through_link(folder).iterdir()), lambda folder: (folder / "new").touch()),
        (lambda folder: linked_file(folder).read_text(), lambda folder: (folder / "there").write_text("2")),
        (lambda folder: make_again(folder), lambda folder: (folder / "there").write_text("2")),
        (lambda folder: write_lock(folder), lambda folder: (folder / "lock").write_text("2")),
    ],
)
def test_what_is_looked_at_elsewhere_counts(tree: Path, look: Callable[[Path], object], change: Callable[[Path], object]) -> None:
    (tree / "out").symlink_to("../outside")
    (tree / "requirements.txt").symlink_to("../outside/there")
    folder = outside(tree)
    witness = Witness()
    look(folder)
    seen = witness.looks(str(tree))
    assert seen is not None
    assert seen.are_current()
    change(folder)
    assert not seen.are_current()


def test_looks_from_a_directory_that_is_gone_count(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, gone = outside(tree), tree.parent / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    witness = Witness()
    (folder / "there").read_text()
    seen = witness.looks(str(tree))
    assert seen is not None
    assert str(folder / "there") in seen.files


def test_a_look_of_another_thread_counts(tree: Path) -> None:
    folder = outside(tree)
    witness = Witness()
    thread = threading.Thread(target=(folder / "there").read_text)
    thread.start()
    thread.join()
    seen = witness.looks(str(tree))
    assert seen is not None
    assert str(folder / "there") in seen.files


@pytest.mark.parametrize("marker", ["pyproject.toml", ".gitignore", "uv.toml", ".git"])
def test_what_would_make_the_project_part_of_another_counts(tree: Path, marker: str) -> None:
    seen = Witness().looks(str(tree))
    assert seen is not None
    (tree.parent / marker).mkdir()
    assert not seen.are_current()


def test_in_a_repository_all_of_it_counts(tree: Path) -> None:
    (tree.parent / ".git").mkdir()
    time.sleep(0.05)
    seen = Witness().looks(str(tree))
    assert seen is not None
    (tree.parent / "requirements.txt").touch()
    assert not seen.are_current()


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_it_looks_leaves_nothing_to_compare(tree: Path, change: str) -> None:
    witness = Witness()
    (tree / "main.py").read_text()
    CHANGES[change](tree)
    assert witness.looks(str(tree)) is None


def test_a_change_while_it_compares_is_seen(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(witness: Witness, root: str) -> None:
        checked(witness, root)
        (tree / "main.py").write_text("import packagE\n")

    checked = Witness._check
    monkeypatch.setattr(Witness, "_check", check)
    seen = Witness().looks(str(tree))
    assert seen is not None
    assert not seen.are_current()


@pytest.mark.parametrize("name", ["shop", "venv"])
def test_a_file_that_is_removed_meanwhile_leaves_nothing_to_compare(tree: Path, name: str) -> None:
    """Also in a project whose name is that of a directory that does not count in another."""
    root = tree.rename(tree.parent / name)
    witness = Witness()
    list(root.iterdir())
    (root / "link").unlink()
    assert witness.looks(str(root)) is None


def test_paths_that_cannot_be_are_not_current(tree: Path) -> None:
    """A record of the store may have been damaged before it was written."""
    seen = Looks(str(tree), tree_state(str(tree)), {}, {})
    assert seen.are_current()
    assert not replace(seen, folders={"/a\0b": ""}).are_current()
    assert not replace(seen, root="/a\0b").are_current()


def test_a_file_that_is_too_new_leaves_nothing_to_compare(tree: Path) -> None:
    """It could change again within the same tick, and look the same."""
    (tree / "main.py").write_text("import os\n")
    assert Witness().looks(str(tree)) is None


def test_what_the_process_writes_is_part_of_what_it_knows(tree: Path) -> None:
    witness = Witness()
    list(tree.iterdir())
    temporary = tree / "tmp"
    temporary.write_text("locked\n")
    temporary.rename(tree / "pylock.toml")
    seen = witness.looks(str(tree))
    assert seen is not None
    assert seen.are_current()
    (tree / "pylock.toml").write_text("edited\n")
    assert not seen.are_current()


@pytest.mark.parametrize("other", [lambda tree: (tree / "pylock.toml").write_text("edited\n"), lambda tree: (tree / "link").unlink()])
def test_a_change_beside_what_it_writes_is_seen(tree: Path, other: Callable[[Path], object]) -> None:
    witness = Witness()
    list(tree.iterdir())
    (tree / "tmp").write_text("locked\n")
    (tree / "tmp").rename(tree / "pylock.toml")
    other(tree)
    assert witness.looks(str(tree)) is None


def test_its_own_directories_do_not_count(tree: Path) -> None:
    folder = tree.parent / "scratch"
    witness = Witness()
    folder.mkdir()
    (folder / "x").write_text("1")
    list(folder.iterdir())
    (folder / "x").unlink()
    folder.rmdir()
    seen = witness.looks(str(tree))
    assert seen is not None
    assert seen.are_current()


def test_ignored_directories_do_not_count(tree: Path) -> None:
    folder = outside(tree)
    witness = Witness((str(folder),))
    (folder / "there").read_text()
    seen = witness.looks(str(tree))
    assert seen is not None
    (folder / "there").write_text("2")
    assert seen.are_current()


def test_what_cannot_be_told_is_not_compared(tree: Path) -> None:
    witness = Witness()
    note_unknown()
    assert witness.looks(str(tree)) is None


def test_a_large_tree_is_not_compared(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Witness().looks(str(tree))
    monkeypatch.setattr(file_states, "_MAX_ENTRIES", 3)
    assert Witness().looks(str(tree)) is None
    assert seen is not None
    assert not seen.are_current()


def test_a_pipe_is_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    time.sleep(0.05)
    seen = Witness().looks(str(tree))
    assert seen is not None
    assert stat.S_ISFIFO((tree / "pipe").stat().st_mode)
