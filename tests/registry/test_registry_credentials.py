"""Where credentials come from, to whom they belong, and what is said when something is wrong with them."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import ShipwheelError, UsageError
from shipwheel.oci.reference import ENGINE_REGISTRY
from shipwheel.registry.auth_file import auth_files, decode, place_of
from shipwheel.registry.credentials import Credential, credentials_for
from shipwheel.registry.hosts import host_of
from shipwheel.registry.logins import forget, keep, namespaces

HOST = host_of("registry.example:5000", {})
DEFAULT = host_of(None, {})
LEGACY = f"https://index.{ENGINE_REGISTRY}/v1/"


def basic(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


class Home:
    """A user's home directory, and an environment that has nothing else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        self.environ = {"HOME": str(root), "XDG_RUNTIME_DIR": str(root / "run"), "PATH": f"{self.bin}:{os.defpath}"}
        self.docker = root / ".docker" / "config.json"
        self.podman = root / "run" / "containers" / "auth.json"
        self.settings = root / ".config" / "containers" / "auth.json"

    def write(self, path: Path, **content: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def helper(self, name: str, script: str) -> None:
        """`script` sees the action as $1 and what was given as $given."""
        program = self.bin / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\ngiven=$(cat)\necho "$1 $given" >> "{self.root}/{name}.log"\n{script}\n')
        program.chmod(0o755)

    def asked(self, name: str) -> list[str]:
        log = self.root / f"{name}.log"
        return log.read_text().splitlines() if log.exists() else []

    def find(self, host: str | None = HOST.name, repository: str = "team/app") -> Credential | None:
        return credentials_for(host_of(host, self.environ), repository, self.environ)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


KEYCHAIN = """
d="$HOME/keychain"; mkdir -p "$d"
case $1 in
get) f="$d/$(echo "$given" | tr / _)"; if [ -f "$f" ]; then cat "$f"; else echo "credentials not found in native keychain"; exit 1; fi;;
store) u=$(echo "$given" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/'); echo "$given" > "$d/$(echo "$u" | tr / _)";;
erase) rm -f "$d/$(echo "$given" | tr / _)";;
esac
"""


def test_nothing_there(home: Home) -> None:
    assert home.find() is None


def test_order_of_the_places(home: Home) -> None:
    home.write(home.docker, auths={HOST.name: basic("docker:1")})
    found = home.find()
    assert found == Credential("docker", "1", origin=str(home.docker))
    home.write(home.settings, auths={HOST.name: basic("settings:2")})
    assert home.find() == Credential("settings", "2", origin=str(home.settings))
    home.write(home.podman, auths={HOST.name: basic("podman:3")})
    assert home.find() == Credential("podman", "3", origin=str(home.podman))
    named = home.root / "named.json"
    home.write(named, auths={HOST.name: basic("named:4")})
    home.environ["REGISTRY_AUTH_FILE"] = str(named)
    assert home.find() == Credential("named", "4", origin=str(named))
    home.environ["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {HOST.name: basic("ci:5")}})
    assert home.find() == Credential("ci", "5", origin="DOCKER_AUTH_CONFIG")
    home.environ |= {"SHIPWHEEL_REGISTRY_HOST": HOST.name, "SHIPWHEEL_REGISTRY_USER": "u", "SHIPWHEEL_REGISTRY_PASSWORD": "6"}
    found = home.find()
    assert found is not None
    assert (found.username, found.password) == ("u", "6")
    # Each belongs to its registry.
    assert home.find("registry.example:5001") is None
    assert home.find("registry.example") is None


def test_docker_config_is_where_the_variable_says(home: Home) -> None:
    home.environ["DOCKER_CONFIG"] = str(home.root / "elsewhere")
    home.write(home.root / "elsewhere" / "config.json", auths={HOST.name: basic("a:b")})
    home.write(home.docker, auths={HOST.name: basic("c:d")})
    found = home.find()
    assert found is not None
    assert found.username == "a"


def test_without_a_runtime_directory(home: Home) -> None:
    del home.environ["XDG_RUNTIME_DIR"]
    assert Path(f"/run/containers/{os.getuid()}/auth.json") in auth_files(home.environ)


def test_half_of_the_variables(home: Home) -> None:
    home.environ["SHIPWHEEL_REGISTRY_PASSWORD"] = "hidden"
    with pytest.raises(
        UsageError, match="SHIPWHEEL_REGISTRY_PASSWORD without SHIPWHEEL_REGISTRY_HOST and SHIPWHEEL_REGISTRY_USER"
    ) as caught:
        home.find()
    assert "hidden" not in caught.value.message + caught.value.hint


def test_namespaces_the_longest_match_counts(home: Home) -> None:
    names = ("", "/team", "/team/app", "/tea", "/team/app/more", "/team/other")
    home.write(home.podman, auths={HOST.name + name: basic(f"user{name}:x") for name in names})

    def user(repository: str) -> str:
        found = home.find(repository=repository)
        assert found is not None
        return found.username

    assert user("team/app") == "user/team/app"
    assert user("team/app2") == "user/team"
    assert user("team/app/more/still") == "user/team/app/more"
    assert user("teams") == "user"
    assert user("tea") == "user/tea"


def test_keys_as_docker_once_wrote_them(home: Home) -> None:
    home.write(home.docker, auths={f"https://{HOST.name}/v2/": basic("old:x"), LEGACY: basic("default:y")})
    for host, user in ((HOST.name, "old"), (None, "default"), (ENGINE_REGISTRY, "default"), (f"index.{ENGINE_REGISTRY}", "default")):
        found = home.find(host, "python")
        assert found is not None
        assert found.username == user
    assert place_of(f"https://{HOST.name}") == (HOST.name, "")
    assert place_of(f"{HOST.name}/v1/") == (HOST.name, "")
    assert place_of(f"{HOST.name}/team/") == (HOST.name, "team")
    home.write(home.podman, auths={f"{ENGINE_REGISTRY}/library": basic("library:z")})
    found = home.find(None, "python")
    assert found is not None
    assert found.username == "library"


def test_kinds_of_secrets(home: Home) -> None:
    for entry, expected in (
        ({**basic("<token>:"), "identitytoken": "i"}, Credential("<token>", identity_token="i")),
        ({"identitytoken": "i"}, Credential(identity_token="i")),
        ({"registrytoken": "r"}, Credential(registry_token="r")),
        ({"username": "u", "password": "p"}, Credential("u", "p")),
        (basic("u:p:q"), Credential("u", "p:q")),
        (basic("u:p\0\0"), Credential("u", "p")),
        (basic("jürg:pä"), Credential("jürg", "pä")),
        ({"auth": base64.encodebytes(b"u:" + b"p" * 90).decode()}, Credential("u", "p" * 90)),
    ):
        home.write(home.docker, auths={HOST.name: entry})
        found = home.find()
        assert found is not None
        assert found == Credential(
            expected.username, expected.password, expected.identity_token, expected.registry_token, str(home.docker)
        ), entry
    for nothing in ({}, None, {"auth": ""}, {"auth": None}):
        home.write(home.docker, auths={HOST.name: nothing})
        assert home.find() is None


def test_helpers(home: Home) -> None:
    home.helper("one", 'echo "{\\"ServerURL\\":\\"$given\\",\\"Username\\":\\"ann\\",\\"Secret\\":\\"one\\"}"')
    home.helper("two", KEYCHAIN)
    home.write(home.docker, credHelpers={HOST.name: "one"}, credsStore="two", auths={"other.example": basic("in:file"), HOST.name: {}})
    assert home.find() == Credential("ann", "one", origin="docker-credential-one")
    assert home.asked("one") == [f"get {HOST.name}"]
    # A store that has nothing is no end.
    assert home.find("other.example") == Credential("in", "file", origin=str(home.docker))
    assert home.find("third.example") is None
    assert home.find(None) is None
    assert home.asked("two") == ["get other.example", "get third.example", f"get {LEGACY}", f"get {ENGINE_REGISTRY}"]


def test_a_helper_with_an_identity_token(home: Home) -> None:
    home.helper("one", 'echo \'{"ServerURL":"x","Username":"<token>","Secret":"idt"}\'')
    home.write(home.docker, credsStore="one")
    assert home.find() == Credential(identity_token="idt", origin="docker-credential-one")


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("gone", None, "docker-credential-gone, named in .*config.json, is not installed"),
        ("bad", 'echo "the keychain is locked"; exit 1', "failed with 1: the keychain is locked"),
        ("bad", 'echo \'{"Secret":"hidden"}\'; exit 3', "failed with 3$"),
        ("bad", "echo hidden", "not a credential"),
        ("bad", "exit 0", "not a credential"),
        ("bad", 'echo \'{"Secret":["hidden"]}\'', "not a credential"),
        ("../bad", None, "names a credential helper that cannot be one"),
        ("bad", "sleep 30", "took longer than 0.2 seconds"),
    ],
)
def test_helpers_that_fail(home: Home, name: str, script: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sleep" in (script or ""):
        monkeypatch.setattr("shipwheel.registry.helpers._PATIENCE", 0.2)
        script = "exec sleep 30"
    if script:
        home.helper(name, script)
    home.write(home.docker, credsStore=name)
    with pytest.raises(UsageError, match=words) as caught:
        home.find()
    assert caught.value.hint
    assert "hidden" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b'{"auths": {"registry.example:5000": {"auth": "aGlkZGVuOmhpZGRlbg=="',
        b'{"auths": {"registry.example:5000": {"auth": ["aGlkZGVuOmhpZGRlbg=="]}}}',
        b'{"auths": ["aGlkZGVuOmhpZGRlbg=="]}',
        b'{"auths": {"registry.example:5000": {"auth": "aGlkZGVuOmhpZGRlbg*"}}}',
        b'{"auths": {"registry.example:5000": {"auth": "aGlkZGVu"}}}',
        b'{"auths": {"registry.example:5000": {"auth": "//79"}}}',
        b'{"credHelpers": {"aGlkZGVu": 3}}',
        b"aGlkZGVu",
        b"\xff\xfeaGlkZGVu",
        b'"aGlkZGVu"',
        b"[" * 100_000,
        b" " * 5_000_000,
    ],
)
def test_broken_files_are_named_and_not_shown(home: Home, content: bytes) -> None:
    home.docker.parent.mkdir()
    home.docker.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        home.find()
    assert str(home.docker) in caught.value.message
    said = caught.value.message + caught.value.hint
    assert not [secret for secret in ("hidden", "aGlkZGVu", "//79") if secret in said]
    assert caught.value.__cause__ is None


def test_files_that_cannot_be_read(home: Home) -> None:
    home.docker.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"config\.json cannot be read"):
        home.find()


def test_an_empty_file_has_nothing(home: Home) -> None:
    home.docker.parent.mkdir()
    home.docker.write_bytes(b"\n")
    assert home.find() is None


KEYS = st.sampled_from(["auths", "credHelpers", "credsStore", HOST.name, "auth"])
DOCUMENTS = st.recursive(st.none() | st.text(max_size=9) | st.integers(), lambda inner: st.dictionaries(KEYS, inner), max_leaves=9)


@given(st.binary(max_size=200) | DOCUMENTS.map(lambda it: json.dumps(it).encode()))
def test_no_content_breaks_it(content: bytes) -> None:
    try:
        file = decode(content, "a file")
        entry = file.entry(HOST.name, "team/app")
        if entry:
            entry.login("a file")
    except ShipwheelError as error:
        assert error.message.startswith("a file: ")


def test_login_and_logout_keep_all_else(home: Home) -> None:
    home.write(
        home.docker,
        psFormat="table",
        auths={"other.example": basic("o:p"), f"https://{HOST.name}/v1/": basic("old:x")},
        HttpHeaders={"ä": 1},
    )
    home.docker.chmod(0o644)
    assert keep(HOST, Credential("ann", "new:word"), home.environ) == str(home.docker)
    assert stat.S_IMODE(home.docker.stat().st_mode) == 0o600
    assert json.loads(home.docker.read_text()) == {
        "psFormat": "table",
        "auths": {"other.example": basic("o:p"), HOST.name: basic("ann:new:word")},
        "HttpHeaders": {"ä": 1},
    }
    assert home.find() == Credential("ann", "new:word", origin=str(home.docker))
    assert forget(HOST, home.environ) == (str(home.docker),)
    assert json.loads(home.docker.read_text())["auths"] == {"other.example": basic("o:p")}
    assert forget(HOST, home.environ) == ()
    assert sorted(path.name for path in home.docker.parent.iterdir()) == ["config.json"]


def test_login_goes_where_it_is_found_again(home: Home) -> None:
    home.write(home.podman, auths={HOST.name: basic("podman:1"), f"{HOST.name}/team": basic("t:2")})
    assert keep(HOST, Credential("ann", "new"), home.environ) == str(home.podman)
    assert not home.docker.exists()
    found = home.find(repository="other")
    assert found is not None
    assert found.username == "ann"
    assert namespaces(HOST, home.environ) == ((f"{HOST.name}/team", str(home.podman)),)
    assert forget(HOST, home.environ) == (str(home.podman),)
    assert json.loads(home.podman.read_text())["auths"] == {f"{HOST.name}/team": basic("t:2")}
    home.environ["REGISTRY_AUTH_FILE"] = str(home.root / "new" / "auth.json")
    assert keep(HOST, Credential("ann", "new"), home.environ) == home.environ["REGISTRY_AUTH_FILE"]
    assert stat.S_IMODE((home.root / "new").stat().st_mode) == 0o700


def test_login_of_the_default_registry_under_dockers_key(home: Home) -> None:
    keep(DEFAULT, Credential("ann", "x"), home.environ)
    assert list(json.loads(home.docker.read_text())["auths"]) == [LEGACY]
    assert home.find(None, "python") is not None
    assert forget(DEFAULT, home.environ) == (str(home.docker),)


def test_login_with_an_identity_token(home: Home) -> None:
    keep(HOST, Credential(identity_token="idt"), home.environ)
    found = home.find()
    assert found is not None
    assert found.identity_token == "idt"
    assert "idt" not in base64.b64decode(json.loads(home.docker.read_text())["auths"][HOST.name]["auth"]).decode()


def test_login_through_a_helper(home: Home) -> None:
    home.helper("keychain", KEYCHAIN)
    home.write(home.docker, credsStore="keychain")
    said = keep(HOST, Credential("ann", "in a keychain"), home.environ)
    assert said == f"docker-credential-keychain, as {home.docker} says"
    assert json.loads(home.docker.read_text()) == {"credsStore": "keychain", "auths": {HOST.name: {}}}
    assert home.find() == Credential("ann", "in a keychain", origin="docker-credential-keychain")
    assert forget(HOST, home.environ) == ("docker-credential-keychain",)
    assert home.find() is None
    assert json.loads(home.docker.read_text())["auths"] == {}


def test_login_does_not_overwrite_what_it_cannot_read(home: Home) -> None:
    home.docker.parent.mkdir()
    home.docker.write_text("{ broken")
    with pytest.raises(UsageError):
        keep(HOST, Credential("ann", "x"), home.environ)
    assert home.docker.read_text() == "{ broken"


def test_login_writes_through_a_link(home: Home) -> None:
    real = home.root / "dotfiles" / "config.json"
    home.write(real, auths={})
    home.docker.parent.mkdir()
    home.docker.symlink_to(real)
    keep(HOST, Credential("ann", "x"), home.environ)
    assert home.docker.is_symlink()
    assert HOST.name in json.loads(real.read_text())["auths"]
