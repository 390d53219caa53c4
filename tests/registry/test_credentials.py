"""Where credentials are found and stored, whose they are, and the errors of broken files and helpers."""

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
from shipwheel.registry.auth_file import auth_file_paths, parse_auth_file, parse_key
from shipwheel.registry.credentials import Credential, credential_for
from shipwheel.registry.hosts import host_of
from shipwheel.registry.login import namespaces_with_credentials, remove_credentials, store_credential

HOST = host_of("registry.example:5000", {})
DEFAULT = host_of(None, {})
LEGACY = f"https://index.{ENGINE_REGISTRY}/v1/"


def basic(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


class Home:
    """A user's home directory, and an environment with nothing else."""

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
        """Install a helper. `script` gets the action as $1 and the input as $given."""
        program = self.bin / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\ngiven=$(cat)\necho "$1 $given" >> "{self.root}/{name}.log"\n{script}\n')
        program.chmod(0o755)

    def asked(self, name: str) -> list[str]:
        log = self.root / f"{name}.log"
        return log.read_text().splitlines() if log.exists() else []

    def find(self, host: str | None = HOST.name, repository: str = "team/app") -> Credential | None:
        return credential_for(host_of(host, self.environ), repository, self.environ)


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


def test_finds_nothing_in_an_empty_home(home: Home) -> None:
    assert home.find() is None


def test_searches_the_sources_in_order(home: Home) -> None:
    home.write(home.docker, auths={HOST.name: basic("docker:1")})
    found = home.find()
    assert found == Credential("docker", "1", source=str(home.docker))
    home.write(home.settings, auths={HOST.name: basic("settings:2")})
    assert home.find() == Credential("settings", "2", source=str(home.settings))
    home.write(home.podman, auths={HOST.name: basic("podman:3")})
    assert home.find() == Credential("podman", "3", source=str(home.podman))
    named = home.root / "named.json"
    home.write(named, auths={HOST.name: basic("named:4")})
    home.environ["REGISTRY_AUTH_FILE"] = str(named)
    assert home.find() == Credential("named", "4", source=str(named))
    home.environ["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {HOST.name: basic("ci:5")}})
    assert home.find() == Credential("ci", "5", source="DOCKER_AUTH_CONFIG")
    home.environ |= {"SHIPWHEEL_REGISTRY_HOST": HOST.name, "SHIPWHEEL_REGISTRY_USER": "u", "SHIPWHEEL_REGISTRY_PASSWORD": "6"}
    found = home.find()
    assert found is not None
    assert (found.username, found.password) == ("u", "6")
    # Each is for one registry only.
    assert home.find("registry.example:5001") is None
    assert home.find("registry.example") is None


def test_reads_the_directory_in_docker_config(home: Home) -> None:
    home.environ["DOCKER_CONFIG"] = str(home.root / "elsewhere")
    home.write(home.root / "elsewhere" / "config.json", auths={HOST.name: basic("a:b")})
    home.write(home.docker, auths={HOST.name: basic("c:d")})
    found = home.find()
    assert found is not None
    assert found.username == "a"


def test_searches_run_containers_without_a_runtime_directory(home: Home) -> None:
    del home.environ["XDG_RUNTIME_DIR"]
    assert Path(f"/run/containers/{os.getuid()}/auth.json") in auth_file_paths(home.environ)


def test_rejects_an_incomplete_set_of_variables(home: Home) -> None:
    home.environ["SHIPWHEEL_REGISTRY_PASSWORD"] = "hidden"
    with pytest.raises(
        UsageError, match="SHIPWHEEL_REGISTRY_PASSWORD set without SHIPWHEEL_REGISTRY_HOST and SHIPWHEEL_REGISTRY_USER"
    ) as caught:
        home.find()
    assert "hidden" not in caught.value.message + caught.value.hint


def test_prefers_the_longest_namespace(home: Home) -> None:
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


def test_understands_docker_s_older_keys(home: Home) -> None:
    home.write(home.docker, auths={f"https://{HOST.name}/v2/": basic("old:x"), LEGACY: basic("default:y")})
    for host, user in ((HOST.name, "old"), (None, "default"), (ENGINE_REGISTRY, "default"), (f"index.{ENGINE_REGISTRY}", "default")):
        found = home.find(host, "python")
        assert found is not None
        assert found.username == user
    assert parse_key(f"https://{HOST.name}") == (HOST.name, "")
    assert parse_key(f"{HOST.name}/v1/") == (HOST.name, "")
    assert parse_key(f"{HOST.name}/team/") == (HOST.name, "team")
    home.write(home.podman, auths={f"{ENGINE_REGISTRY}/library": basic("library:z")})
    found = home.find(None, "python")
    assert found is not None
    assert found.username == "library"


def test_reads_every_kind_of_secret(home: Home) -> None:
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


def test_asks_the_credential_helpers(home: Home) -> None:
    home.helper("one", 'echo "{\\"ServerURL\\":\\"$given\\",\\"Username\\":\\"ann\\",\\"Secret\\":\\"one\\"}"')
    home.helper("two", KEYCHAIN)
    home.write(home.docker, credHelpers={HOST.name: "one"}, credsStore="two", auths={"other.example": basic("in:file"), HOST.name: {}})
    assert home.find() == Credential("ann", "one", source="docker-credential-one")
    assert home.asked("one") == [f"get {HOST.name}"]
    # A store without the secret does not end the search.
    assert home.find("other.example") == Credential("in", "file", source=str(home.docker))
    assert home.find("third.example") is None
    assert home.find(None) is None
    assert home.asked("two") == ["get other.example", "get third.example", f"get {LEGACY}", f"get {ENGINE_REGISTRY}"]


def test_reads_an_identity_token_from_a_helper(home: Home) -> None:
    home.helper("one", 'echo \'{"ServerURL":"x","Username":"<token>","Secret":"idt"}\'')
    home.write(home.docker, credsStore="one")
    assert home.find() == Credential(identity_token="idt", source="docker-credential-one")


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("gone", None, "docker-credential-gone, named in .*config.json, is not installed"),
        ("bad", 'echo "the keychain is locked"; exit 1', "failed with status 1: the keychain is locked"),
        ("bad", 'echo \'{"Secret":"hidden"}\'; exit 3', "failed with status 3$"),
        ("bad", "echo hidden", "no valid credential"),
        ("bad", "exit 0", "no valid credential"),
        ("bad", 'echo \'{"Secret":["hidden"]}\'', "no valid credential"),
        ("../bad", None, "names an invalid credential helper"),
        ("bad", "sleep 30", "took longer than 0.2 seconds"),
    ],
)
def test_reports_failing_helpers(home: Home, name: str, script: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sleep" in (script or ""):
        monkeypatch.setattr("shipwheel.registry.credential_helpers._TIMEOUT_S", 0.2)
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
def test_names_broken_files_without_showing_them(home: Home, content: bytes) -> None:
    home.docker.parent.mkdir()
    home.docker.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        home.find()
    assert str(home.docker) in caught.value.message
    text = caught.value.message + caught.value.hint
    assert not [secret for secret in ("hidden", "aGlkZGVu", "//79") if secret in text]
    assert caught.value.__cause__ is None


def test_reports_a_file_that_cannot_be_read(home: Home) -> None:
    home.docker.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"cannot read .*config\.json"):
        home.find()


def test_treats_an_empty_file_as_empty(home: Home) -> None:
    home.docker.parent.mkdir()
    home.docker.write_bytes(b"\n")
    assert home.find() is None


KEYS = st.sampled_from(["auths", "credHelpers", "credsStore", HOST.name, "auth"])
DOCUMENTS = st.recursive(st.none() | st.text(max_size=9) | st.integers(), lambda inner: st.dictionaries(KEYS, inner), max_leaves=9)


@given(st.binary(max_size=200) | DOCUMENTS.map(lambda it: json.dumps(it).encode()))
def test_raises_only_our_errors_for_any_content(content: bytes) -> None:
    try:
        file = parse_auth_file(content, "a file")
        entry = file.entry(HOST.name, "team/app")
        if entry:
            entry.login("a file")
    except ShipwheelError as error:
        assert error.message.startswith("a file: ")


def test_login_and_logout_keep_the_rest_of_the_file(home: Home) -> None:
    home.write(
        home.docker,
        psFormat="table",
        auths={"other.example": basic("o:p"), f"https://{HOST.name}/v1/": basic("old:x")},
        HttpHeaders={"ä": 1},
    )
    home.docker.chmod(0o644)
    assert store_credential(HOST, Credential("ann", "new:word"), home.environ) == str(home.docker)
    assert stat.S_IMODE(home.docker.stat().st_mode) == 0o600
    assert json.loads(home.docker.read_text()) == {
        "psFormat": "table",
        "auths": {"other.example": basic("o:p"), HOST.name: basic("ann:new:word")},
        "HttpHeaders": {"ä": 1},
    }
    assert home.find() == Credential("ann", "new:word", source=str(home.docker))
    assert remove_credentials(HOST, home.environ) == (str(home.docker),)
    assert json.loads(home.docker.read_text())["auths"] == {"other.example": basic("o:p")}
    assert remove_credentials(HOST, home.environ) == ()
    assert sorted(path.name for path in home.docker.parent.iterdir()) == ["config.json"]


def test_login_uses_the_file_that_has_the_registry(home: Home) -> None:
    home.write(home.podman, auths={HOST.name: basic("podman:1"), f"{HOST.name}/team": basic("t:2")})
    assert store_credential(HOST, Credential("ann", "new"), home.environ) == str(home.podman)
    assert not home.docker.exists()
    found = home.find(repository="other")
    assert found is not None
    assert found.username == "ann"
    assert namespaces_with_credentials(HOST, home.environ) == ((f"{HOST.name}/team", str(home.podman)),)
    assert remove_credentials(HOST, home.environ) == (str(home.podman),)
    assert json.loads(home.podman.read_text())["auths"] == {f"{HOST.name}/team": basic("t:2")}
    home.environ["REGISTRY_AUTH_FILE"] = str(home.root / "new" / "auth.json")
    assert store_credential(HOST, Credential("ann", "new"), home.environ) == home.environ["REGISTRY_AUTH_FILE"]
    assert stat.S_IMODE((home.root / "new").stat().st_mode) == 0o700


def test_stores_the_default_registry_under_docker_s_key(home: Home) -> None:
    store_credential(DEFAULT, Credential("ann", "x"), home.environ)
    assert list(json.loads(home.docker.read_text())["auths"]) == [LEGACY]
    assert home.find(None, "python") is not None
    assert remove_credentials(DEFAULT, home.environ) == (str(home.docker),)


def test_stores_an_identity_token(home: Home) -> None:
    store_credential(HOST, Credential(identity_token="idt"), home.environ)
    found = home.find()
    assert found is not None
    assert found.identity_token == "idt"
    assert "idt" not in base64.b64decode(json.loads(home.docker.read_text())["auths"][HOST.name]["auth"]).decode()


def test_stores_a_password_in_a_helper(home: Home) -> None:
    home.helper("keychain", KEYCHAIN)
    home.write(home.docker, credsStore="keychain")
    location = store_credential(HOST, Credential("ann", "in a keychain"), home.environ)
    assert location == f"docker-credential-keychain, named in {home.docker}"
    assert json.loads(home.docker.read_text()) == {"credsStore": "keychain", "auths": {HOST.name: {}}}
    assert home.find() == Credential("ann", "in a keychain", source="docker-credential-keychain")
    assert remove_credentials(HOST, home.environ) == ("docker-credential-keychain",)
    assert home.find() is None
    assert json.loads(home.docker.read_text())["auths"] == {}


def test_login_does_not_overwrite_a_broken_file(home: Home) -> None:
    home.docker.parent.mkdir()
    home.docker.write_text("{ broken")
    with pytest.raises(UsageError):
        store_credential(HOST, Credential("ann", "x"), home.environ)
    assert home.docker.read_text() == "{ broken"


def test_login_follows_a_symbolic_link(home: Home) -> None:
    real = home.root / "dotfiles" / "config.json"
    home.write(real, auths={})
    home.docker.parent.mkdir()
    home.docker.symlink_to(real)
    store_credential(HOST, Credential("ann", "x"), home.environ)
    assert home.docker.is_symlink()
    assert HOST.name in json.loads(real.read_text())["auths"]
