"""`shipwheel login` and `logout`, without an engine."""

import base64
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from support.process import HANG_S

from shipwheel.testing.token_server import TokenServer

PASSWORD = "hidden: word"


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "TERM": "dumb"}


def run(user: dict[str, str], *argv: str, given: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "shipwheel", *argv], env=user, input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_login_saves_and_logout_removes_credentials(user: dict[str, str]) -> None:
    config = Path(user["HOME"]) / ".docker" / "config.json"
    with TokenServer({"ann": PASSWORD}, basic=True) as server:
        code, out, err = run(user, "login", server.host, "-u", "ann", "--password-stdin", given=f"{PASSWORD}\n")
        assert (code, out, err) == (0, f"Logged in to {server.host}; the credentials are in {config}.\n", "")
        auth = json.loads(config.read_text())["auths"][server.host]["auth"]
        assert base64.b64decode(auth).decode() == f"ann:{PASSWORD}"
        code, out, err = run(user, "login", f"http://{server.host}/", "-u", "bob", "--password-stdin", given=PASSWORD)
        assert code == 5
        assert "denies access to user 'bob'" in err
        assert f"shipwheel login {server.host}" in err
        assert json.loads(config.read_text())["auths"][server.host]["auth"] == auth, "rejected credentials replace nothing"
        user["SHIPWHEEL_REGISTRY_HOST"], user["SHIPWHEEL_REGISTRY_USER"], user["SHIPWHEEL_REGISTRY_PASSWORD"] = server.host, "x", "y"
        code, out, err = run(user, "logout", server.host)
        assert (code, out) == (0, f"Logged out of {server.host}; the credentials were removed from {config}.\n")
        assert "SHIPWHEEL_REGISTRY_USER is still set" in err
        assert run(user, "logout", server.host)[:2] == (0, f"There are no credentials for {server.host}.\n")


def test_warns_if_the_registry_needs_no_credentials(user: dict[str, str]) -> None:
    with TokenServer({"ann": PASSWORD}) as server:
        server.accepts = lambda *_: True  # type: ignore[method-assign]
        code, _, err = run(user, "login", server.host, "-u", "ann", "--password-stdin", given=PASSWORD)
        assert code == 0
        assert "could not be checked" in err
        assert not [asked for asked in server.requests if asked.authorization], "credentials are sent only when the registry asks"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("127.0.0.1:1",), "there is no terminal"),
        (("127.0.0.1:1", "--password-stdin"), "needs --username"),
        (("127.0.0.1:1", "-u", "a:b", "--password-stdin"), "not a user name"),
        (("127.0.0.1:1", "-u", "a", "--password-stdin"), "empty"),
        (("https://ann:hidden@registry.example", "-u", "a", "--password-stdin"), "not the name of a registry"),
        (("registry.example/team", "-u", "a", "--password-stdin"), "not the name of a registry"),
        (("oci:registry.example", "-u", "a", "--password-stdin"), "is invalid"),
        (("bad_name", "-u", "a", "--password-stdin"), "is invalid"),
    ],
)
def test_rejects_invalid_input(user: dict[str, str], argv: tuple[str, ...], words: str) -> None:
    code, out, err = run(user, "login", *argv)
    assert code == 2
    assert out == ""
    assert words in err
    assert "hint: " in err
    assert ":hidden" not in err


def test_prompts_for_the_password_without_echo(user: dict[str, str]) -> None:
    with TokenServer({"ann": PASSWORD}, basic=True) as server:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "shipwheel", "login", server.host],
            env=user, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        seen = b""

        def until(words: bytes) -> None:
            nonlocal seen
            while words not in seen:
                seen += os.read(ours, 1000)

        until(b"Username: ")
        os.write(ours, b"ann\n")
        until(b"Password: ")
        os.write(ours, f"{PASSWORD}\n".encode())
        until(b"Logged in to")
        assert process.wait(HANG_S) == 0
        os.close(ours)
        assert PASSWORD.encode() not in seen
