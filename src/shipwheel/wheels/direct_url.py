"""direct_url.json: says that an installed package does not come from an index (PEP 610, direct URL data structure of the PyPA).

pip and uv write it for a directory, a repository and an archive that a requirement names. Without it, `pip freeze` and scanners take the
package for the one of that name and version on the public index.

For a place on the building machine, both write its path, which tells of that machine and differs on each. The specification wants a file:
URL, so it has the package's or the file's name instead: `file:///shop` is nowhere, says that it was local, and is the same everywhere.
"""

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shipwheel.locking.selection import LockedDistribution

if TYPE_CHECKING:
    from packaging.direct_url import DirectUrl

__all__ = ["DIRECT_URL", "direct_url", "local_direct_url"]

DIRECT_URL = "direct_url.json"


def direct_url(item: LockedDistribution) -> bytes | None:
    """Return the document of a distribution of the lock; None if it comes from an index."""
    if item.kind == "directory":
        return local_direct_url(item.name, item.subdirectory)
    if item.kind != "vcs" and not item.is_direct:
        return None
    from packaging.direct_url import ArchiveInfo, DirectUrl, VcsInfo

    place = item.urls[0] if item.urls and item.path is None else "file:"
    subdirectory = item.subdirectory or None
    if item.kind == "vcs":
        info = VcsInfo(vcs="git", commit_id=item.commit, requested_revision=item.revision or None)
        return _encoded(DirectUrl(url=_public(place, item.name), vcs_info=info, subdirectory=subdirectory))
    hashes = {"sha256": str(item.sha256)}
    return _encoded(DirectUrl(url=_public(place, item.filename), archive_info=ArchiveInfo(hashes=hashes), subdirectory=subdirectory))


def local_direct_url(name: str, subdirectory: str = "") -> bytes:
    """Return the document of a package that was installed from a directory."""
    from packaging.direct_url import DirectUrl, DirInfo

    return _encoded(DirectUrl(url=f"file:///{name}", dir_info=DirInfo(), subdirectory=subdirectory or None))


def _public(place: str, name: str) -> str:
    """Return a URL without its query, which may be secret, and a stand-in for a place on this machine."""
    parts = urlsplit(place)
    return f"file:///{name}" if parts.scheme in ("file", "") else parts._replace(query="", fragment="").geturl()


def _encoded(document: "DirectUrl") -> bytes:
    # It leaves out passwords, and keeps the user of git over ssh.
    return json.dumps(document.to_dict(), sort_keys=True).encode()
