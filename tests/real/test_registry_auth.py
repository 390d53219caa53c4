"""Logins to Debian's docker-registry, with passwords and with tokens. docker, skopeo and podman share our credentials."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.engines import Dockerd, Podman, Registry, missing

from shipwheel.errors import FetchError
from shipwheel.registry.auth import Authorizer
from shipwheel.registry.credentials import Credential, credential_for
from shipwheel.registry.hosts import client, host_of
from shipwheel.testing.token_server import TokenServer

USER, PASSWORD = "ann", "correct horse: battery"


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Signs JWTs for a registry that trusts the certificate (RS256, the certificate in x5c)."""

    def __init__(self, folder: Path) -> None:
        self.key, self.certificate = folder / "token.key", folder / "token.pem"
        files = ("-keyout", str(self.key), "-out", str(self.certificate))
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, "-subj", "/CN=tests", "-days", "2")
        self.chain = [base64.b64encode(openssl("x509", "-in", str(self.certificate), "-outform", "DER")).decode()]

    def __call__(self, claims: dict[str, Any]) -> str:
        head = {"typ": "JWT", "alg": "RS256", "x5c": self.chain}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{encoded(openssl('dgst', '-sha256', '-sign', str(self.key), given=text.encode()))}"


@pytest.fixture
def with_password(tmp_path: Path) -> Iterator[Registry]:
    assert not missing("registry")
    # bcrypt of the password: the registry knows nothing else, and openssl does not make it.
    hashed = "$2b$04$abcdefghijklmnopqrstuuLWwnUiysqxaAvQXpJaPAchjKHrkmxwG"
    (tmp_path / "htpasswd").write_text(f"{USER}:{hashed}\n")
    with Registry(f"auth: {{htpasswd: {{realm: tests, path: {tmp_path}/htpasswd}}}}\n") as running:
        yield running


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    signer = Signer(tmp_path)
    pulls = {f"repository:{name}:pull" for name in ("team/app", "other/base")}
    with TokenServer({USER: PASSWORD}, rights={USER: {*pulls, "repository:team/app:push"}}, sign=signer) as server:
        yield server


@pytest.fixture
def with_tokens(tmp_path: Path, tokens: TokenServer) -> Iterator[Registry]:
    assert not missing("registry")
    settings = {"realm": tokens.realm, "service": tokens.service, "issuer": "tests", "rootcertbundle": str(tmp_path / "token.pem")}
    with Registry(f"auth: {json.dumps({'token': settings})}\n") as running:
        yield running


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of a user without settings."""
    home = tmp_path / "user"
    (home / "run").mkdir(parents=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}


def ran(user: dict[str, str], *argv: str, given: str = "", code: int = 0) -> str:
    done = subprocess.run(argv, env=user, input=given, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{argv}:\n{done.stdout}{done.stderr}"
    assert PASSWORD not in done.stdout + done.stderr
    return done.stdout + done.stderr


def shipwheel(user: dict[str, str], *argv: str, given: str = "", code: int = 0) -> str:
    return ran(user, sys.executable, "-m", "shipwheel", *argv, given=given, code=code)


def asks(registry: Registry, user: dict[str, str], method: str, path: str, *scopes: str) -> httpx.Response:
    host = host_of(registry.host, user)
    authorizer = Authorizer(host, credential_for(host, "team/app", user))
    with client(host) as asked:
        while True:
            sent = authorizer.header(scopes)
            response = asked.request(method, f"{host.url}{path}", headers={"Authorization": sent} if sent else {})
            if response.status_code != 401 or not authorizer.challenged(response, scopes, sent):
                return response


PUSH, UPLOADS = "repository:team/app:pull,push", "/v2/team/app/blobs/uploads/"


@pytest.mark.parametrize("kind", ["with_password", "with_tokens"])
def test_login_lets_a_push_through(kind: str, user: dict[str, str], request: pytest.FixtureRequest) -> None:
    registry: Registry = request.getfixturevalue(kind)
    with pytest.raises(FetchError, match=r"shipwheel login|requires a login|user name and password"):
        asks(registry, user, "POST", UPLOADS, PUSH)
    said = shipwheel(user, "login", registry.host, "-u", USER, "--password-stdin", given="wrong\n", code=5)
    assert "denies access" in said or "refuses the user name" in said
    assert "wrong" not in said
    assert not (Path(user["HOME"]) / ".docker").exists()
    said = shipwheel(user, "login", registry.host, "-u", USER, "--password-stdin", given=f"{PASSWORD}\n")
    assert f"{user['HOME']}/.docker/config.json" in said
    assert asks(registry, user, "POST", UPLOADS, PUSH).status_code == 202
    assert "Logged out" in shipwheel(user, "logout", registry.host)
    assert "no credentials" in shipwheel(user, "logout", registry.host)
    assert credential_for(host_of(registry.host, user), "team/app", user) is None


def test_requests_one_token_for_two_scopes(with_tokens: Registry, user: dict[str, str], tokens: TokenServer) -> None:
    shipwheel(user, "login", with_tokens.host, "-u", USER, "--password-stdin", given=PASSWORD)
    mount = f"{UPLOADS}?mount=sha256:{'0' * 64}&from=other/base"
    assert asks(with_tokens, user, "POST", mount, PUSH, "repository:other/base:pull").status_code == 202
    assert asks(with_tokens, user, "GET", "/v2/other/base/manifests/1", "repository:other/base:pull").status_code == 404
    with pytest.raises(FetchError, match=r"denies pull and push of other/base to user 'ann'") as caught:
        asks(with_tokens, user, "POST", "/v2/other/base/blobs/uploads/", "repository:other/base:pull,push")
    assert caught.value.status == 401
    # Each time anew: one token for what is wanted; one that is refused for lack of rights is not asked for again.
    assert [len([1 for name, _ in asked.fields if name == "scope"]) for asked in tokens.token_requests] == [0, 2, 1, 1]


@pytest.mark.parametrize("kind", ["with_password", "with_tokens"])
def test_other_tools_read_our_credentials(
    kind: str, user: dict[str, str], request: pytest.FixtureRequest, docker: Dockerd, podman: Podman
) -> None:
    registry: Registry = request.getfixturevalue(kind)
    shipwheel(user, "login", registry.host, "-u", USER, "--password-stdin", given=PASSWORD)
    config = f"{user['HOME']}/.docker/config.json"
    target = f"docker://{registry.host}/team/app:1"
    servers = [registry.host] if kind == "with_password" else [registry.host, request.getfixturevalue("tokens").host]
    for engine, host in product((docker, podman), servers):
        engine.reach(host)
    layout = Path(user["HOME"]) / "layout"
    made_layout(layout)
    ran(user, "skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", target)
    assert json.loads(ran(user, "skopeo", "inspect", "--raw", "--tls-verify=false", target))["schemaVersion"] == 2
    ran({**user, "HOME": f"{user['HOME']}/none"}, "skopeo", "inspect", "--tls-verify=false", target, code=1)
    podman.cli("pull", "--quiet", "--tls-verify=false", "--authfile", config, f"{registry.host}/team/app:1")
    docker.cli("--config", str(Path(config).parent), "pull", "--quiet", f"{registry.host}/team/app:1")


def made_layout(folder: Path) -> None:
    """Write a layout with one image of an empty layer."""
    from hashlib import sha256

    def put(data: bytes, media: str) -> dict[str, Any]:
        digest = sha256(data).hexdigest()
        path = folder / "blobs" / "sha256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = b"\0" * 1024
    diff_ids = [f"sha256:{sha256(layer).hexdigest()}"]
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    parts = {"config": put(json.dumps(config).encode(), "config.v1+json"), "layers": [put(layer, "layer.v1.tar")]}
    media = "application/vnd.oci.image.manifest.v1+json"
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": media, **parts}).encode(), "manifest.v1+json")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def test_reads_credentials_of_docker_skopeo_and_podman(
    with_password: Registry, user: dict[str, str], docker: Dockerd, podman: Podman
) -> None:
    host = host_of(with_password.host, user)
    home = Path(user["HOME"])
    expected = (USER, PASSWORD)
    docker.reach(with_password.host)
    podman.reach(with_password.host)

    def found(environ: dict[str, str]) -> tuple[str, str] | None:
        credential = credential_for(host, "team/app", environ)
        return None if credential is None else (credential.username, credential.password)

    shared = docker.sandbox.folder("login")
    docker.cli("--config", str(shared), "login", "--username", USER, "--password", PASSWORD, with_password.host)
    assert found({**user, "DOCKER_CONFIG": str(shared)}) == expected
    # And docker logs out of what we wrote.
    shipwheel({**user, "DOCKER_CONFIG": str(shared)}, "login", with_password.host, "-u", USER, "--password-stdin", given=PASSWORD)
    docker.cli("--config", str(shared), "logout", with_password.host)
    assert found({**user, "DOCKER_CONFIG": str(shared)}) is None

    ran(user, "skopeo", "login", "--tls-verify=false", "-u", USER, "--password-stdin", with_password.host, given=PASSWORD)
    assert (home / "run/containers/auth.json").is_file()
    assert found(user) == expected
    assert "auth.json" in shipwheel(user, "login", with_password.host, "-u", USER, "--password-stdin", given=PASSWORD)
    ran(user, "skopeo", "logout", with_password.host)
    assert found(user) is None

    namespaced = podman.sandbox.folder("login") / "auth.json"
    podman.cli("login", "--tls-verify=false", "--authfile", str(namespaced), "-u", USER, "-p", PASSWORD, f"{with_password.host}/team/app")
    assert found({**user, "REGISTRY_AUTH_FILE": str(namespaced)}) == expected
    assert credential_for(host, "team/other", {**user, "REGISTRY_AUTH_FILE": str(namespaced)}) is None


def test_an_identity_token_authorizes_uploads(with_tokens: Registry, user: dict[str, str], tokens: TokenServer) -> None:
    tokens.identities = {"identity": USER}
    host = host_of(with_tokens.host, user)
    authorizer = Authorizer(host, Credential(identity_token="identity"))
    with client(host) as asked:
        response = asked.post(f"{host.url}{UPLOADS}")
        assert authorizer.challenged(response, (PUSH,), None)
        assert asked.post(f"{host.url}{UPLOADS}", headers={"Authorization": str(authorizer.header((PUSH,)))}).status_code == 202
