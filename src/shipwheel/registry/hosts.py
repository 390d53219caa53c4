"""How to reach a registry: its address, https or http, its certificates, the proxy.

shipwheel speaks https, with two exceptions. It speaks http to a registry on the loopback interface that has no certificates in a certs.d
directory, and to those that the user names: SHIPWHEEL_PLAIN_HTTP=registry.example:5000,other.example. Anyone on the network path can then
read and change what is sent, passwords included.

Certificates are where docker and podman have them: `HOST[:PORT]/*.crt` for certificate authorities, `NAME.cert` with `NAME.key` for client
certificates, in the first of these directories that has one for the registry: ~/.config/containers/certs.d, ~/.docker/certs.d,
/etc/containers/certs.d, /etc/docker/certs.d. Besides them shipwheel trusts the authorities of SSL_CERT_FILE and SSL_CERT_DIR if one of
these is set, else those of the system and of certifi.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shipwheel.download.http import is_loopback
from shipwheel.errors import FetchError, UsageError
from shipwheel.oci.reference import ENGINE_REGISTRY
from shipwheel.user.directories import config_home, home

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["PLAIN_HTTP", "Host", "canonical_registry", "client", "explain_connection_error", "host_of", "unreachable_hint"]

PLAIN_HTTP = "SHIPWHEEL_PLAIN_HTTP"
"""The variable that names the registries to reach over plain http."""

_SYSTEM_DIRECTORIES = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))

# The engines' default registry has three names. One of them is the API's.
_DEFAULT_ADDRESS = f"registry-1.{ENGINE_REGISTRY}"
_DEFAULT_NAMES = {ENGINE_REGISTRY, f"index.{ENGINE_REGISTRY}", _DEFAULT_ADDRESS}


class Host(msgspec.Struct, frozen=True):
    """A registry. `name` is its name in references and config files, `address` is host[:port] of its API; both in lower case."""

    name: str
    scheme: str
    address: str
    authorities: tuple[Path, ...] = ()
    """Files with certificates of authorities to trust for this registry, besides the usual ones."""
    certificates: tuple[tuple[Path, Path], ...] = ()
    """Client certificates and their keys."""

    @property
    def url(self) -> str:
        """`scheme://address`, without a trailing slash."""
        return f"{self.scheme}://{self.address}"

    @property
    def is_loopback(self) -> bool:
        """True if its address is on the loopback interface, which other machines cannot reach."""
        return is_loopback(self.address)

    def repository(self, name: str) -> str:
        """Return a repository's name in the API: the engines' default registry has those without a slash below `library/`."""
        return f"library/{name}" if self.name == ENGINE_REGISTRY and "/" not in name else name


def host_of(registry: str | None, environ: Mapping[str, str] | None = None) -> Host:
    """Return the registry of a `Reference.registry`, the engines' default one for None.

    Raises UsageError for a client certificate without its key.
    """
    environ = os.environ if environ is None else environ
    name = canonical_registry(registry or ENGINE_REGISTRY)
    address = _DEFAULT_ADDRESS if name == ENGINE_REGISTRY else name
    authorities, certificates = _certificates(name, environ)
    plain = address in _plain(environ) or (is_loopback(address) and not authorities and not certificates)
    return Host(name, "http" if plain else "https", address, authorities, certificates)


def canonical_registry(name: str) -> str:
    """Return the one name that stands for all of a registry's: in lower case, without scheme and path."""
    bare = name.strip().lower().removeprefix("https://").removeprefix("http://").partition("/")[0]
    return ENGINE_REGISTRY if bare in _DEFAULT_NAMES else bare


def client(host: Host) -> "httpx.Client":
    """Return a connection pool for this registry only, usable from any thread. It follows no redirects.

    HTTP/1.1 with keep-alive; times out after 15 s of connecting or 60 s of silence. Uses the environment's proxies, but none for the
    loopback interface. Raises UsageError if a certificate cannot be used.
    """
    import httpx

    return httpx.Client(
        # Also for plain http: no client may exist that verifies nothing, since it could be given an https URL.
        verify=_context(host),
        trust_env=not host.is_loopback,
        follow_redirects=False,
        timeout=httpx.Timeout(60.0, connect=15.0, pool=None),
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=30.0),
        headers={"User-Agent": "shipwheel"},
    )


def explain_connection_error(host: Host, error: Exception) -> FetchError | None:
    """Return the error to show where trying again is of no use: an untrusted certificate, a server without TLS. None for any other."""
    import ssl

    tls = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if tls is None:
        return None
    reason = tls.reason or ""
    if isinstance(tls, ssl.SSLCertVerificationError):
        explained = FetchError(
            f"{host.name}: the certificate is not trusted: {tls.verify_message.strip()}",
            hint=f"Put its authority's certificate into ~/.config/containers/certs.d/{host.name}/ca.crt, or set SSL_CERT_FILE.",
        )
    elif host.scheme == "https" and reason in _NO_TLS:
        explained = FetchError(
            f"{host.name} does not speak TLS",
            hint=f"If you trust the network between here and there, set {PLAIN_HTTP}={host.name} to use plain http.",
        )
    elif reason.endswith(_CLIENT_CERTIFICATE):
        explained = FetchError(
            f"{host.name} requires a client certificate",
            hint=f"Put client.cert and client.key into ~/.config/containers/certs.d/{host.name}/.",
        )
    else:
        return None
    explained.__cause__ = error
    return explained


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_CLIENT_CERTIFICATE = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE")
"""OpenSSL's reasons: what it sees of a server that answers in plain text, and of one that wants a certificate of ours."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def unreachable_hint(host: Host) -> str:
    """Return the hint for a registry that accepts no connection."""
    hint = "Check the registry's name and port, that it runs, and the network (proxies: HTTPS_PROXY, NO_PROXY)."
    if host.name == ENGINE_REGISTRY:
        hint += f" An image name without a registry means {ENGINE_REGISTRY}; write registry.example/NAME for another one."
    return hint


def _plain(environ: Mapping[str, str]) -> set[str]:
    return {canonical_registry(word) for word in environ.get(PLAIN_HTTP, "").split(",") if word.strip()}


def _certificates(name: str, environ: Mapping[str, str]) -> tuple[tuple[Path, ...], tuple[tuple[Path, Path], ...]]:
    """Return (authorities, pairs of client certificate and key) of the first directory that has any (containers-certs.d(5))."""
    for directory in _certificate_directories(name, environ):
        try:
            files = sorted(directory.iterdir())
        except OSError:
            continue
        keys = {path.stem: path for path in files if path.suffix == ".key"}
        certificates = {path.stem: path for path in files if path.suffix == ".cert"}
        if unpaired := sorted((keys | certificates)[stem] for stem in keys.keys() ^ certificates.keys()):
            raise UsageError(
                f"{' and '.join(map(str, unpaired))}: a certificate without its key, or a key without its certificate",
                hint="Give both the same name: client.cert and client.key. Name an authority's certificate NAME.crt.",
            )
        authorities = tuple(path for path in files if path.suffix == ".crt")
        if authorities or certificates:
            return authorities, tuple((path, keys[stem]) for stem, path in certificates.items())
    return (), ()


def _certificate_directories(name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    user = (config_home(environ) / "containers" / "certs.d", home(environ) / ".docker" / "certs.d")
    for directory in (*user, *_SYSTEM_DIRECTORIES):
        yield directory / name


def _context(host: Host) -> "ssl.SSLContext":
    """Return the TLS settings for a registry. Raises UsageError that names a certificate which cannot be read."""
    import ssl

    if host.scheme == "http":
        # Trusts no authority: reading them takes longer than a request.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    import certifi

    variables = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    for variable, value in variables.items():
        # OpenSSL ignores paths that do not exist, and then trusts nothing.
        if value and not any(Path(part).exists() for part in value.split(os.pathsep)):
            raise UsageError(f"{variable} is {value}, which does not exist", hint=f"Correct or unset {variable}.")
    context = ssl.create_default_context()
    if not any(variables.values()):
        context.load_verify_locations(certifi.where())
    for path in host.authorities:
        with _reading(path):
            context.load_verify_locations(path)
    for certificate, key in host.certificates:
        with _reading(certificate, key):
            # An empty password keeps OpenSSL from asking for an encrypted key's on the terminal.
            context.load_cert_chain(certificate, key, password="")
    return context


@contextmanager
def _reading(*paths: Path) -> Iterator[None]:
    names = " and ".join(map(str, paths))
    try:
        yield
    # ssl.SSLError is an OSError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a PEM certificate, or not with its own unencrypted key"
        raise UsageError(f"{names}: {reason.partition('(_ssl')[0].strip()}", hint="Correct or remove the file.") from error
