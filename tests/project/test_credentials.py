"""Credentials of package indexes: found where uv and other tools keep them, and sent to their own server only."""

from pathlib import Path

import pytest

from shipwheel.project.credentials import credentials_of
from shipwheel.project.project import Project
from shipwheel.project.read import read_project
from shipwheel.settings.settings import load_settings


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "requirements.txt").write_text("--extra-index-url https://req:pw@req.example/simple\nsmall\n")
    (tmp_path / "main.py").write_text("print()\n")
    (tmp_path / "uv.toml").write_text(
        '[[index]]\nname = "in-house"\nurl = "https://named.example/simple"\n\n[[index]]\nurl = "https://set:pw@set.example/simple"\n'
    )
    return read_project(tmp_path, load_settings(tmp_path))


@pytest.mark.parametrize(
    ("environ", "url", "user"),
    [
        ({"UV_DEFAULT_INDEX": "https://me:p%40ss@host.example/simple"}, "https://host.example/files/a.whl", "me:p%40ss@"),
        ({"UV_DEFAULT_INDEX": "https://me:pw@host.example/simple"}, "https://host.example:443/files/a.whl", "me:pw@"),
        ({"UV_DEFAULT_INDEX": "https://me:pw@host.example/simple"}, "https://files.host.example/a.whl", ""),
        ({"UV_DEFAULT_INDEX": "https://me:pw@host.example/simple"}, "http://host.example/a.whl", ""),
        ({"UV_DEFAULT_INDEX": "https://me:pw@host.example/simple"}, "https://host.example:8443/a.whl", ""),
        ({"UV_DEFAULT_INDEX": "https://me:pw@host.example/simple"}, "https://you@host.example/a.whl", "you@"),
        ({"UV_INDEX": "one=https://a:b@one.example/s https://c:d@two.example/s?a=b"}, "https://two.example/a.whl", "c:d@"),
        ({"UV_INDEX": "one=https://a:b@one.example/s"}, "https://one.example/a.whl", "a:b@"),
        ({"UV_INDEX_IN_HOUSE_USERNAME": "bob", "UV_INDEX_IN_HOUSE_PASSWORD": "a/b"}, "https://named.example/a.whl", "bob:a%2Fb@"),
        ({}, "https://named.example/a.whl", ""),
        ({}, "https://req.example/a.whl", "req:pw@"),
        ({}, "https://set.example/a.whl", "set:pw@"),
        ({"UV_INDEX_URL": "https://env:pw@set.example/simple"}, "https://set.example/a.whl", "env:pw@"),
        ({"UV_DEFAULT_INDEX": "https://me:p[w@host.example/simple"}, "https://host.example/a.whl", ""),
        ({}, "file:///srv/a.whl", ""),
    ],
)
def test_finds_the_login_of_an_index(project: Project, tmp_path: Path, environ: dict[str, str], url: str, user: str) -> None:
    expected = url.replace("you@", "").replace("://", f"://{user}", 1)
    assert credentials_of(project, {"HOME": str(tmp_path), **environ})(url) == expected


def test_reads_netrc_and_ignores_a_malformed_one(project: Project, tmp_path: Path) -> None:
    (tmp_path / "rc").write_text("machine net.example login bob password s:3\n")
    signed = credentials_of(project, {"NETRC": str(tmp_path / "rc")})
    assert signed("https://net.example/a.whl") == "https://bob:s%3A3@net.example/a.whl"
    assert signed("https://other.example/a.whl") == "https://other.example/a.whl"
    (tmp_path / "rc").write_text("machine machine machine\n")
    assert signed("https://net.example/a.whl") == "https://net.example/a.whl"


@pytest.mark.parametrize(
    ("url", "environ", "sent"),
    [
        ("https://net.example/a.whl", {}, True),
        ("https://net.example:8443/a.whl", {}, True),
        ("http://net.example/a.whl", {}, False),
        ("http://net.example:8080/a.whl", {}, False),
        ("http://127.0.0.1:8080/a.whl", {}, True),
        ("http://localhost/a.whl", {}, True),
        ("http://127.0.0.1.net.example/a.whl", {}, False),
        ("http://net.example:8080/a.whl", {"UV_INSECURE_HOST": "other.example net.example"}, True),
        ("http://net.example:8080/a.whl", {"UV_INSECURE_HOST": "net.example:8080"}, True),
        ("http://net.example:8080/a.whl", {"UV_INSECURE_HOST": "http://net.example:8080/"}, True),
        ("http://net.example:8080/a.whl", {"UV_INSECURE_HOST": "net.example:80"}, False),
    ],
)
def test_sends_a_password_of_netrc_in_the_clear_to_nobody_else(
    project: Project, tmp_path: Path, url: str, environ: dict[str, str], sent: bool
) -> None:
    hosts = ("net.example", "127.0.0.1", "localhost", "127.0.0.1.net.example")
    (tmp_path / "rc").write_text("".join(f"machine {host} login bob password s3cret\n" for host in hosts))
    signed = credentials_of(project, {"HOME": str(tmp_path), "NETRC": str(tmp_path / "rc"), **environ})(url)
    assert signed == (url.replace("://", "://bob:s3cret@", 1) if sent else url)


def test_the_user_can_allow_an_insecure_host_and_a_project_cannot(tmp_path: Path) -> None:
    allowed = 'allow-insecure-host = ["net.example"]\n'
    (tmp_path / "main.py").write_text("print()\n")
    (tmp_path / "requirements.txt").write_text("small\n")
    (tmp_path / "uv.toml").write_text(allowed)
    (tmp_path / "rc").write_text("machine net.example login bob password s3cret\n")
    environ = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "rc")}
    project, url = read_project(tmp_path, load_settings(tmp_path)), "http://net.example/a.whl"
    assert credentials_of(project, environ)(url) == url
    (tmp_path / "user.toml").write_text(allowed)
    assert "s3cret" in credentials_of(project, {**environ, "UV_CONFIG_FILE": str(tmp_path / "user.toml")})(url)
