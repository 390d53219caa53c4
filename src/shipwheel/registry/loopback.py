"""One question to a registry of this machine that speaks plain http. The client for all others takes longer to import than the answer."""

from http.client import HTTPConnection, HTTPException

from shipwheel.digest import Digest, as_digest
from shipwheel.oci.model import MANIFEST_ACCEPT
from shipwheel.oci.reference import Reference
from shipwheel.registry.hosts import host_of

__all__ = ["loopback_digest"]

_TIMEOUT_S = 15.0


def loopback_digest(reference: Reference) -> Digest | None:
    """Return the digest of a tag (HEAD, distribution-spec 1.1); None if the registry is elsewhere, or does not say."""
    host = host_of(reference.registry)
    if not host.is_loopback or host.scheme != "http":
        return None
    connection = HTTPConnection(host.address, timeout=_TIMEOUT_S)
    try:
        url = f"/v2/{host.repository(reference.repository)}/manifests/{reference.tag_or_latest}"
        connection.request("HEAD", url, headers={"Accept": MANIFEST_ACCEPT})
        response = connection.getresponse()
        return as_digest(response.headers.get("Docker-Content-Digest", "")) if response.status == 200 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
