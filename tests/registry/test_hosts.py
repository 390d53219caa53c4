"""How registries are reached: scheme, certificates, proxies."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from shipwheel.errors import UsageError
from shipwheel.oci.reference import ENGINE_REGISTRY
from shipwheel.registry.hosts import PLAIN_HTTP, client, explain_connection_error, host_of


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("registry.example", "https://registry.example"),
        ("Registry.Example:5000", "https://registry.example:5000"),
        ("localhost", "http://localhost"),
        ("localhost:443", "http://localhost:443"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.8.9.10:5000", "http://127.8.9.10:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        # None of these is certain to be on this machine.
        ("localhost.example", "https://localhost.example"),
        ("my.localhost", "https://my.localhost"),
        ("127.0.0.1.example", "https://127.0.0.1.example"),
        ("127.1", "https://127.1"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("[fe80::1]:5000", "https://[fe80::1]:5000"),
        (None, f"https://registry-1.{ENGINE_REGISTRY}"),
        (ENGINE_REGISTRY, f"https://registry-1.{ENGINE_REGISTRY}"),
        (f"index.{ENGINE_REGISTRY}", f"https://registry-1.{ENGINE_REGISTRY}"),
    ],
)
def test_chooses_https_except_for_the_loopback_interface(registry: str | None, url: str) -> None:
    assert host_of(registry, {}).url == url


def test_uses_plain_http_only_for_the_registries_that_the_user_names() -> None:
    environ = {PLAIN_HTTP: " registry.example:5000, http://Other.example "}
    assert host_of("registry.example:5000", environ).url == "http://registry.example:5000"
    assert host_of("other.example", environ).url == "http://other.example"
    for other in ("registry.example", "registry.example:5001", "a.registry.example:5000", "xregistry.example:5000"):
        assert host_of(other, environ).scheme == "https"


def test_expands_short_names_of_the_default_registry() -> None:
    assert host_of(None, {}).repository("python") == "library/python"
    assert host_of(None, {}).repository("team/app") == "team/app"
    assert host_of("registry.example", {}).repository("python") == "python"


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificates(folder: Path) -> None:
    """Write an authority, and certificates by it for the server 127.0.0.1 and a client."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
            "-subj", "/CN=tests", "-days", "2", folder=folder)  # fmt: skip
    for name in ("server", "client"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
                f"{name}.cert", "-subj", f"/CN={name}", "-days", "2", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", folder=folder)  # fmt: skip


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Quiet(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def tls_server(folder: Path, *, mutual: bool) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.cert", folder / "server.key")
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.crt")
    server = Quiet(("127.0.0.1", 0), Page)
    # Do the handshake in the first read, so that a failure ends that connection only.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.mark.parametrize("place", [".config/containers/certs.d", ".docker/certs.d"])
def test_presents_the_client_certificate_of_certs_d(empty_home: Path, certificates: Path, place: str) -> None:
    with tls_server(certificates, mutual=True) as name:
        assert host_of(name).scheme == "http"
        folder = empty_home / place / name
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes((certificates / "ca.crt").read_bytes())
        host = host_of(name)
        assert host.scheme == "https"
        with client(host) as asked, pytest.raises(httpx.TransportError) as caught:
            asked.get(f"{host.url}/v2/")
        if "ALERT" in str(caught.value).upper():
            problem = explain_connection_error(host, caught.value)
            assert problem is not None and "requires a client certificate" in problem.message
        for file in ("client.cert", "client.key"):
            (folder / file).write_bytes((certificates / file).read_bytes())
        with client(host_of(name)) as asked:
            assert asked.get(f"{host.url}/v2/").status_code == 200


def test_explains_an_untrusted_certificate(certificates: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = empty_home / "other"
    other.mkdir()
    make_certificates(other)
    with tls_server(certificates, mutual=False) as name:
        folder = empty_home / ".config/containers/certs.d" / name
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes((other / "ca.crt").read_bytes())
        host = host_of(name)
        with client(host) as asked, pytest.raises(httpx.ConnectError) as caught:
            asked.get(f"{host.url}/v2/")
        problem = explain_connection_error(host, caught.value)
        assert problem is not None
        assert "the certificate is not trusted: unable to get" in problem.message
        assert f"certs.d/{name}/ca.crt" in problem.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.crt"))
        with client(host) as asked:
            assert asked.get(f"{host.url}/v2/").status_code == 200
    assert explain_connection_error(host, httpx.ConnectError("Connection refused")) is None


def test_explains_a_server_without_tls(certificates: Path, empty_home: Path) -> None:
    server = Quiet(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        name = f"127.0.0.1:{server.server_address[1]}"
        folder = empty_home / ".config/containers/certs.d" / name
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes((certificates / "ca.crt").read_bytes())
        host = host_of(name)
        with client(host) as asked, pytest.raises(httpx.TransportError) as caught:
            asked.get(f"{host.url}/v2/")
        problem = explain_connection_error(host, caught.value)
        assert problem is not None
        assert f"{PLAIN_HTTP}={name}" in problem.hint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_rejects_certificates_that_cannot_be_used(empty_home: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = empty_home / ".config/containers/certs.d/registry.example"
    folder.mkdir(parents=True)
    (folder / "client.cert").write_bytes((certificates / "client.cert").read_bytes())
    with pytest.raises(UsageError, match=r"client.cert: a certificate without its key"):
        host_of("registry.example")
    (folder / "client.key").write_text("no key")
    with pytest.raises(UsageError, match=r"client\.cert and .*client\.key: "):
        client(host_of("registry.example"))
    openssl("ec", "-in", str(certificates / "client.key"), "-aes128", "-passout", "pass:x", "-out", "client.key", folder=folder)
    with pytest.raises(UsageError, match=r"client\.key: "):
        client(host_of("registry.example"))
    (folder / "client.key").write_bytes((certificates / "client.key").read_bytes())
    (folder / "ca.crt").write_text("no certificate")
    with pytest.raises(UsageError, match=r"ca\.crt: "):
        client(host_of("registry.example"))
    monkeypatch.setenv("SSL_CERT_FILE", str(empty_home / "none.pem"))
    with pytest.raises(UsageError, match=r"SSL_CERT_FILE is .*none\.pem, which does not exist"):
        client(host_of("other.example"))


def test_uses_the_environment_s_proxies_except_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "direct.example")

    def proxied(registry: str) -> bool:
        host = host_of(registry)
        with client(host) as asked:
            transport = asked._transport_for_url(httpx.URL(host.url))
            return "Proxy" in type(transport._pool).__name__  # type: ignore[attr-defined]

    assert proxied("registry.example")
    assert not proxied("direct.example")
    assert not proxied("127.0.0.1:5000")
    assert not proxied("[::1]:5000")
