"""How a registry is reached: its address, https or http, the certificates for it, the proxy.

https always. A registry on the loopback interface is asked over http, unless there are certificates for it in a certs.d directory. Any
other one is asked over http only where the user names it: SHIPWHEEL_PLAIN_HTTP=registry.example:5000,other.example. Everybody on the way
then reads and changes what is sent, passwords too.

Certificates are where docker and podman have them, `HOST[:PORT]/*.crt` for certificate authorities and `NAME.cert` with `NAME.key` for
ourselves, in the first of these directories that has one for the registry: ~/.config/containers/certs.d, ~/.docker/certs.d,
/etc/containers/certs.d, /etc/docker/certs.d. Otherwise trusted are the authorities of SSL_CERT_FILE or SSL_CERT_DIR if one of them is set,
else those of the system and of certifi.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shipwheel.errors import FetchError, UsageError
from shipwheel.oci.reference import ENGINE_REGISTRY
from shipwheel.user_dirs import config_home, home

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["PLAIN_HTTP", "Host", "client", "explained", "home", "host_of", "same_registry", "unreached"]

PLAIN_HTTP = "SHIPWHEEL_PLAIN_HTTP"
"""The variable that names the registries to be asked without TLS."""

_SYSTEM = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))

# The engines' default registry has three names; its API is at one of them.
_DEFAULT_ADDRESS = f"registry-1.{ENGINE_REGISTRY}"
_DEFAULT_NAMES = {ENGINE_REGISTRY, f"index.{ENGINE_REGISTRY}", _DEFAULT_ADDRESS}


class Host(msgspec.Struct, frozen=True):
    """A registry. `name` is what references and config files call it, `address` is host[:port] of its API; both in lower case."""

    name: str
    scheme: str
    address: str
    authorities: tuple[Path, ...] = ()
    """Files with certificates of authorities that are trusted for it besides the usual ones."""
    certificates: tuple[tuple[Path, Path], ...] = ()
    """Certificates and keys that we show to it."""

    @property
    def url(self) -> str:
        """`scheme://address`, without a slash at its end."""
        return f"{self.scheme}://{self.address}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine and cannot be seen from others."""
        return _is_loopback(self.address)

    def repository(self, name: str) -> str:
        """The repository's name in the API: at the engines' default registry, one without a slash is below `library/`."""
        return f"library/{name}" if self.name == ENGINE_REGISTRY and "/" not in name else name


def host_of(registry: str | None, environ: Mapping[str, str] | None = None) -> Host:
    """The registry of a `Reference.registry`, or the engines' default one for None.

    Raises UsageError for certificates without their key.
    """
    environ = os.environ if environ is None else environ
    name = same_registry(registry or ENGINE_REGISTRY)
    address = _DEFAULT_ADDRESS if name == ENGINE_REGISTRY else name
    authorities, certificates = _certificates(name, environ)
    plain = address in _plain(environ) or (_is_loopback(address) and not authorities and not certificates)
    return Host(name, "http" if plain else "https", address, authorities, certificates)


def same_registry(name: str) -> str:
    """One name for all the names of a registry: in lower case, without a scheme or a path."""
    rest = name.strip().lower()
    bare = rest.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return ENGINE_REGISTRY if bare in _DEFAULT_NAMES else bare


def client(host: Host) -> "httpx.Client":
    """A pool of connections to this registry alone, for any number of threads; it follows no redirect by itself.

    HTTP/1.1, kept alive; 15 s to connect, 60 s without a byte. Proxies are those of the environment, and none for the loopback interface.
    Raises UsageError when a certificate cannot be used.
    """
    import httpx

    return httpx.Client(
        # Also for plain http: a client that verifies nothing must not exist, whatever address it is given.
        verify=_context(host),
        trust_env=not host.is_loopback,
        follow_redirects=False,
        timeout=httpx.Timeout(60.0, connect=15.0, pool=None),
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=30.0),
        headers={"User-Agent": "shipwheel"},
    )


def explained(host: Host, error: Exception) -> FetchError | None:
    """What no further attempt will mend: a certificate that is not trusted, a server without TLS. None for anything else."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = text.partition("verify failed:")[2].partition("(_ssl")[0].strip() or "it is not trusted"
        found = FetchError(
            f"{host.name}: its certificate is refused: {reason}",
            hint=f"Put its authority's certificate into ~/.config/containers/certs.d/{host.name}/ca.crt, or set SSL_CERT_FILE.",
        )
    elif host.scheme == "https" and any(sign in text for sign in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")):
        found = FetchError(
            f"{host.name} does not speak TLS",
            hint=f"If you trust every machine on the way, set {PLAIN_HTTP}={host.name} to ask it over plain http.",
        )
    elif "CERTIFICATE_REQUIRED" in text or "ALERT_BAD_CERTIFICATE" in text:
        found = FetchError(
            f"{host.name} wants a client's certificate",
            hint=f"Put client.cert and client.key into ~/.config/containers/certs.d/{host.name}/.",
        )
    else:
        return None
    found.__cause__ = error
    return found


def unreached(host: Host) -> str:
    """The next step where no connection is made."""
    hint = "Check the registry's name and port, that it runs, and the network (a proxy: HTTPS_PROXY, NO_PROXY)."
    if host.name == ENGINE_REGISTRY:
        hint += f" A name without a registry stands for one at {ENGINE_REGISTRY}: write registry.example/NAME for another."
    return hint


def _plain(environ: Mapping[str, str]) -> set[str]:
    return {same_registry(word) for word in environ.get(PLAIN_HTTP, "").split(",") if word.strip()}


def _is_loopback(address: str) -> bool:
    """127.0.0.0/8, ::1 and localhost; no other name, since whoever answers for that decides where it leads."""
    name = address.partition("]")[0][1:] if address.startswith("[") else address.partition(":")[0]
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _certificates(name: str, environ: Mapping[str, str]) -> tuple[tuple[Path, ...], tuple[tuple[Path, Path], ...]]:
    """Of the first directory that has some (containers-certs.d(5))."""
    for folder in _folders(name, environ):
        try:
            found = sorted(folder.iterdir())
        except OSError:
            continue
        keys = {path.stem: path for path in found if path.suffix == ".key"}
        pairs = {path.stem: path for path in found if path.suffix == ".cert"}
        alone = [*(path for stem, path in keys.items() if stem not in pairs), *(path for stem, path in pairs.items() if stem not in keys)]
        if alone:
            raise UsageError(
                f"{' and '.join(map(str, sorted(alone)))}: a certificate without its key, or a key without its certificate",
                hint="Give the two the same name: client.cert and client.key. The certificate of an authority is called NAME.crt.",
            )
        authorities = tuple(path for path in found if path.suffix == ".crt")
        if authorities or pairs:
            return authorities, tuple((path, keys[stem]) for stem, path in pairs.items())
    return (), ()


def _folders(name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    for place in (config_home(environ) / "containers" / "certs.d", home(environ) / ".docker" / "certs.d", *_SYSTEM):
        yield place / name


def _context(host: Host) -> "ssl.SSLContext":
    """Trusts what this registry may be trusted by; raises UsageError that names the file which cannot be read."""
    import ssl

    if host.scheme == "http":
        # Trusts nobody: reading the authorities takes longer than asking.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    import certifi

    named = {"SSL_CERT_FILE": os.environ.get("SSL_CERT_FILE"), "SSL_CERT_DIR": os.environ.get("SSL_CERT_DIR")}
    for variable, value in named.items():
        # OpenSSL passes over what is not there, and nothing is trusted then.
        if value and not any(Path(part).exists() for part in value.split(os.pathsep)):
            raise UsageError(f"{variable} names {value}, which does not exist", hint=f"Set {variable} right, or unset it.")
    context = ssl.create_default_context()
    if not any(named.values()):
        context.load_verify_locations(certifi.where())
    for path in host.authorities:
        with _reading(path):
            context.load_verify_locations(path)
    for certificate, key in host.certificates:
        with _reading(certificate, key):
            # An empty password, since OpenSSL would ask the terminal for that of a key that has one.
            context.load_cert_chain(certificate, key, password="")
    return context


@contextmanager
def _reading(*paths: Path) -> Iterator[None]:
    names = " and ".join(map(str, paths))
    try:
        yield
    # ssl.SSLError is an OSError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a certificate in PEM form, or not with its own unencrypted key"
        raise UsageError(f"{names}: {reason.partition('(_ssl')[0].strip()}", hint="Correct the file, or take it away.") from error
