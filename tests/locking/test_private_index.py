"""Private indexes: logins reach them and nobody else, and no public package replaces theirs."""

import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.digests import ANY, digest
from support.uv_cache import new_uv_cache

from shipwheel.digest import digest_of
from shipwheel.download.fetch import Download, fetch
from shipwheel.errors import FetchError, LockError
from shipwheel.events import Event, Warned
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.make import make_lock
from shipwheel.locking.pylock import Lock
from shipwheel.project.credentials import credentials_of
from shipwheel.project.indexes import Indexes, indexes_of, read_indexes
from shipwheel.project.machine_settings import pip_settings
from shipwheel.project.read import read_project
from shipwheel.project.workspace import read_workspace
from shipwheel.settings.settings import load_settings
from shipwheel.store.store import Store
from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.user.files import UserFiles

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
LOGIN = "bob:s3cret-p@ss"
QUOTED = "bob:s3cret-p%40ss"


@pytest.fixture(scope="module")
def public() -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        for wheel in (SmallWheel("corp", "9.9", files={"corp.py": ""}), SmallWheel("leaf", files={"leaf.py": ""})):
            served.add(wheel.filename, wheel.content())
        yield served


@pytest.fixture(scope="module")
def private() -> Iterator[PackageIndex]:
    """Gives nothing to anybody without the password."""
    with PackageIndex() as served:
        wheel = SmallWheel("corp", "1.0", files={"corp.py": ""}, requires=("leaf",))
        served.add(wheel.filename, wheel.content())
        served.fault("/*", Fault(login=LOGIN))
        yield served


@pytest.fixture(autouse=True)
def clean(public: PackageIndex, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", public.simple)
    monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


def with_login(url: str) -> str:
    return url.replace("://", f"://{QUOTED}@")


def app(root: Path, requirements: str = "", pyproject: str = "") -> LockRequest:
    root.mkdir(exist_ok=True)
    (root / "main.py").write_text("import corp\n")
    (root / "shipwheel.toml").write_text('command = ["python", "main.py"]\n')
    if pyproject:
        (root / "pyproject.toml").write_text(f'[project]\nname = "app"\nversion = "1"\ndependencies = ["corp"]\n{pyproject}')
    else:
        (root / "requirements.txt").write_text(requirements)
    project = read_project(root, load_settings(root))
    return LockRequest(project.inputs, MINOR, indexes=indexes_of(project, root=root / "none"))


def versions(lock: Lock) -> dict[str, str]:
    return {package.name: str(package.version) for package in lock.packages}


def fetched(root: Path, lock: Lock, tmp_path: Path) -> Store:
    """Fetches every file of the lock, as a build would."""
    signed = credentials_of(read_project(root, load_settings(root)))
    store = Store(tmp_path / "store")
    files = [wheel for package in lock.packages for wheel in package.wheels or ()]
    fetch([Download((signed(str(it.url)),), digest(f"sha256:{it.hashes['sha256']}"), it.size, it.filename) for it in files], store)
    return store


def index_table(private: PackageIndex, more: str = "", login: bool = False) -> str:
    return f'[[tool.uv.index]]\nname = "in-house"\nurl = "{with_login(private.simple) if login else private.simple}"\n{more}'


# --- where credentials come from: the lock is made with them, and the files are fetched with them ---


def by_variables(_root: Path, _private: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_IN_HOUSE_USERNAME", "bob")
    monkeypatch.setenv("UV_INDEX_IN_HOUSE_PASSWORD", "s3cret-p@ss")


def by_netrc(root: Path, _private: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "netrc").write_text("machine 127.0.0.1 login bob password s3cret-p@ss\n")
    monkeypatch.setenv("NETRC", str(root / "netrc"))


def by_keyring(root: Path, private: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    program = root / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {root}/asked\n'
        f'[ "$1 $2 $3 $4" = "--mode creds get {private.simple}" ] && printf "bob\\ns3cret-p@ss\\n" && exit 0\n'
        f'[ "$1 $2 $3" = "get {private.simple} bob" ] && echo s3cret-p@ss && exit 0\nexit 1\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_KEYRING_PROVIDER", "subprocess")
    monkeypatch.setenv("UV_INDEX_IN_HOUSE_USERNAME", "bob")


def by_uv_login(_root: Path, private: PackageIndex, _monkeypatch: pytest.MonkeyPatch) -> None:
    import uv

    command = [uv.find_uv_bin(), "auth", "login", private.url, "--username", "bob", "--password", "-"]
    subprocess.run(command, input="s3cret-p@ss\n", text=True, check=True, capture_output=True)


@pytest.mark.parametrize("source", [by_variables, by_netrc, by_keyring, by_uv_login])
def test_locks_and_downloads_with_a_login_from_outside_the_project(
    source: object, private: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "app"
    root.mkdir()
    assert callable(source)
    source(root, private, monkeypatch)
    lock = make_lock(app(root, pyproject=index_table(private)))
    assert versions(lock) == {"corp": "1.0", "leaf": "1.0"}
    assert "s3cret" not in lock.text()
    assert "bob" not in lock.text()
    assert len(list((fetched(root, lock, tmp_path).root / "blobs").rglob("*"))) >= 2


def test_uses_the_login_in_the_projects_settings(private: PackageIndex, tmp_path: Path) -> None:
    lock = make_lock(app(tmp_path / "app", pyproject=index_table(private, login=True)))
    assert "s3cret" not in lock.text()
    fetched(tmp_path / "app", lock, tmp_path)


def test_uses_the_login_in_a_requirements_file(private: PackageIndex, tmp_path: Path) -> None:
    lock = make_lock(app(tmp_path / "app", f"--extra-index-url {with_login(private.simple)}\ncorp==1.0\n"))
    assert "s3cret" not in lock.text()
    fetched(tmp_path / "app", lock, tmp_path)


def test_uses_the_login_in_uvs_configuration_file(private: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uv.toml").write_text(f'[[index]]\nurl = "{with_login(private.simple)}"\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    lock = make_lock(app(tmp_path / "app", "corp\n"))
    assert versions(lock)["corp"] == "1.0"
    assert "s3cret" not in lock.text()
    fetched(tmp_path / "app", lock, tmp_path)


@pytest.mark.parametrize("how", ["variable", "file"])
def test_uses_pips_indexes(how: str, public: PackageIndex, private: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    if how == "variable":
        monkeypatch.setenv("PIP_INDEX_URL", public.simple)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", with_login(private.simple))
    else:
        path = tmp_path / "home" / ".config" / "pip" / "pip.conf"
        path.parent.mkdir(parents=True)
        path.write_text(f"[global]\nindex-url = {public.simple}\nextra-index-url = {with_login(private.simple)}\n")
    lock = make_lock(app(tmp_path / "app", "corp\n"))
    assert versions(lock) == {"corp": "1.0", "leaf": "1.0"}, "uv's rule: the further index first, and what it has is had from there"
    assert "s3cret" not in lock.text()
    fetched(tmp_path / "app", lock, tmp_path)


# --- who does not get them ---


def test_drops_the_login_on_a_redirect_to_another_host(private: PackageIndex, tmp_path: Path) -> None:
    with PackageIndex() as elsewhere:
        data = b"x" * 100
        elsewhere.add("f", data)
        private.add("f", data)
        private.fault("/files/f", Fault(login=LOGIN, redirect=f"{elsewhere.url}/files/f"))

        item = Download((with_login(f"{private.url}/files/f"),), digest_of(data), 100, "f")
        fetch([item], Store(tmp_path / "store"))
        assert "authorization" in private.requests[-1].headers
        assert "authorization" not in elsewhere.requests[-1].headers


def test_errors_show_no_password(private: PackageIndex, tmp_path: Path) -> None:
    wrong = private.simple.replace("://", "://bob:wr0ng@")
    with pytest.raises(LockError) as caught:
        make_lock(app(tmp_path / "app", pyproject=f'[[tool.uv.index]]\nname = "in-house"\nurl = "{wrong}"\n'))
    assert "wr0ng" not in caught.value.message + caught.value.hint
    assert "password" in caught.value.hint
    item = Download((wrong.replace("/simple/", "/files/corp-1.0-py3-none-any.whl"),), ANY, None, "corp")
    with pytest.raises(FetchError, match="answered 401") as failed:
        fetch([item], Store(tmp_path / "store"))
    assert "wr0ng" not in failed.value.message


def test_no_command_line_shows_a_password(private: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = subprocess.Popen

    class Watched(real):  # type: ignore[misc, valid-type]
        def __init__(self, args: list[str], *rest: object, **options: object) -> None:
            seen.extend(map(str, args))
            super().__init__(args, *rest, **options)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", with_login(private.simple))
    with pytest.raises(LockError):
        make_lock(app(tmp_path / "app", f"--index-url {with_login(private.simple)}\ncorp\n"))
    assert "lock" in seen
    assert not [word for word in seen if "s3cret" in word]


def test_ignores_the_default_entry_of_netrc(private: PackageIndex, tmp_path: Path) -> None:
    (tmp_path / "rc").write_text("default login bob password s3cret\n")
    app(tmp_path / "app", "corp\n")
    signed = credentials_of(read_project(tmp_path / "app", load_settings(tmp_path / "app")), {"NETRC": str(tmp_path / "rc")})
    assert signed("https://files.example/f.whl") == "https://files.example/f.whl"


def test_repr_shows_no_password() -> None:
    indexes = Indexes("https://me:pw@host.example/simple", "pip's settings", environment={"UV_DEFAULT_INDEX": "https://me:pw@host.example"})
    assert "pw" not in repr(indexes)


# --- the public package of the same name, with a higher version ---


@pytest.mark.parametrize("more", ["", 'explicit = true\n[tool.uv.sources]\ncorp = { index = "in-house" }\n'])
def test_prefers_the_private_package_of_the_same_name(more: str, private: PackageIndex, tmp_path: Path) -> None:
    said: list[Event] = []
    lock = make_lock(app(tmp_path / "app", pyproject=index_table(private, more, login=True)), said.append)
    assert versions(lock) == {"corp": "1.0", "leaf": "1.0"}
    assert not [event for event in said if isinstance(event, Warned)]


def test_warns_of_pips_rule_for_extra_indexes(private: PackageIndex, tmp_path: Path) -> None:
    said: list[Event] = []
    lock = make_lock(app(tmp_path / "app", f"--extra-index-url {with_login(private.simple)}\ncorp\n"), said.append)
    assert versions(lock)["corp"] == "9.9", "as pip does"
    (warning,) = [event for event in said if isinstance(event, Warned)]
    assert "Anybody who uploads" in warning.message
    assert private.url.removeprefix("http://") in warning.message
    assert "s3cret" not in warning.message


# --- what counts when several say something ---


def test_prefers_uvs_settings_to_pips_and_to_a_chosen_mirror(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home")}
    pip = {"PIP_INDEX_URL": "https://pip.example/simple"}
    from shipwheel.download.mirrors import Choice

    def chosen() -> Choice:
        return Choice(("https://kept.example/simple", "https://next.example/simple"))

    assert read_indexes(read_workspace(UserFiles(), tmp_path).settings, home, chosen).environment == {
        "UV_DEFAULT_INDEX": "https://kept.example/simple"
    }
    assert read_indexes(read_workspace(UserFiles(), tmp_path).settings, home, chosen).mirrors == ("https://next.example/simple",)
    assert read_indexes(read_workspace(UserFiles(), tmp_path).settings, {**home, **pip}, chosen).environment == {
        "UV_DEFAULT_INDEX": "https://pip.example/simple"
    }
    assert (
        read_indexes(
            read_workspace(UserFiles(), tmp_path).settings, {**home, **pip, "UV_INDEX_URL": "https://uv.example/simple"}, chosen
        ).environment
        == {}
    )
    assert (
        read_indexes(
            read_workspace(UserFiles(), tmp_path).settings, {**home, **pip}, chosen, listed="https://file.example/simple"
        ).environment
        == {}
    )
    (tmp_path / "uv.toml").write_text('[[index]]\nurl = "https://toml.example/simple"\ndefault = true\n')
    assert read_indexes(read_workspace(UserFiles(), tmp_path).settings, {**home, **pip}, chosen).default == "https://toml.example/simple"
    (tmp_path / "uv.toml").write_text("no-index = true\n")
    assert read_indexes(read_workspace(UserFiles(), tmp_path).settings, {**home, **pip}, chosen).environment == {}


def test_reads_pips_configuration_as_pip_does(tmp_path: Path) -> None:
    """Held against pip itself, where it is installed."""
    path = tmp_path / "home" / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True)
    path.write_text(
        "[global]\nindex_url = https://one.example/simple\n[install]\nextra-index-url =\n    https://two.example/simple\n    https://three.example/simple\n"
    )
    found = pip_settings({"HOME": str(tmp_path / "home")})
    assert found["index-url"] == "https://one.example/simple"
    assert found["extra-index-url"].split() == ["https://two.example/simple", "https://three.example/simple"]
    path.write_text("not an ini file\n")
    assert not pip_settings({"HOME": str(tmp_path / "home")})


# --- the lock has no mirror's address ---

SHARED = "packages/ab/cd/" + "e" * 60 + "/small-1.0-py3-none-any.whl"


def test_replaces_a_mirrors_urls_by_the_indexs_own() -> None:
    from shipwheel.locking.canonical_urls import canonical

    def lock(url: str) -> dict[str, object]:
        return {"packages": [{"name": "small", "index": "https://m.example/pypi/simple", "wheels": [{"url": url}]}]}

    indexes = Indexes("https://me:pw@m.example/pypi/simple/", "UV_DEFAULT_INDEX")
    said: list[Event] = []
    turned = canonical(lock(f"https://m.example/pypi/{SHARED}"), indexes, said.append, lambda: "https://files.example/packages")
    package = turned["packages"][0]
    assert package["wheels"][0]["url"] == f"https://files.example/{SHARED}"
    assert "m.example" not in str(turned)
    assert not said
    assert indexes.urls(package["wheels"][0]["url"])[-1] == package["wheels"][0]["url"]
    # What could not be made again from the mirror's address and the path stays.
    for other in (f"https://m.example/proxy/pypi/packages/{SHARED}", "https://m.example/pypi/packages/small/1.0/small-1.0.whl"):
        assert canonical(lock(other), indexes, said.append, lambda: "https://files.example/packages") == lock(other)
    kept = canonical(lock(f"https://m.example/pypi/{SHARED}"), indexes, said.append, lambda: "")
    assert kept == lock(f"https://m.example/pypi/{SHARED}")
    assert [event.message for event in said if isinstance(event, Warned) and "m.example" in event.message]


def test_asks_once_where_the_index_has_its_files(tmp_path: Path) -> None:
    from shipwheel.locking.canonical_urls import canonical_root

    with PackageIndex() as index:
        index.add("pip-1.0-py3-none-any.whl", SmallWheel("pip").content())
        index.fault("/simple/pip/", Fault(data=f'<a href="https://files.example/{SHARED}#sha256=0">small</a>'.encode()))
        for _ in range(3):
            assert canonical_root(f"{index.url}/simple", tmp_path) == "https://files.example/packages"
        assert len(index.requests) == 1
        assert canonical_root(f"{index.url}/other", tmp_path) == ""
    assert canonical_root("http://127.0.0.1:9/simple", tmp_path) == ""
    assert canonical_root("", tmp_path) == ""


def test_tries_mirrors_before_the_url_in_the_lock() -> None:
    indexes = Indexes("https://m.example/simple", "the chosen mirror", ("https://n.example/web/simple/",))
    assert indexes.urls(f"https://files.example/{SHARED}") == (
        f"https://m.example/{SHARED}",
        f"https://n.example/web/{SHARED}",
        f"https://files.example/{SHARED}",
    )
    assert indexes.urls("https://vendor.example/whl/cpu/torch.whl") == ("https://vendor.example/whl/cpu/torch.whl",)


def test_writes_a_lock_that_can_be_read_back(private: PackageIndex, tmp_path: Path) -> None:
    lock = make_lock(app(tmp_path / "app", pyproject=index_table(private, login=True)))
    lock.write()
    assert tomllib.loads(lock.path.read_text())["packages"]


def test_an_index_of_the_project_that_cannot_be_reached_can_be_replaced(
    tmp_path: Path, public: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    pyproject = '[[tool.poetry.source]]\nname = "near"\nurl = "http://127.0.0.1:9/simple/"\n'
    with pytest.raises(LockError) as caught:
        make_lock(app(tmp_path / "app", pyproject=pyproject))
    assert "http://127.0.0.1:9/simple/corp" in caught.value.message
    assert "The project's settings name this package index" in caught.value.hint
    assert "UV_DEFAULT_INDEX=URL takes another in its place" in caught.value.hint
    monkeypatch.setenv("UV_DEFAULT_INDEX", public.simple)
    assert make_lock(app(tmp_path / "again", pyproject=pyproject)).names == {"corp"}
