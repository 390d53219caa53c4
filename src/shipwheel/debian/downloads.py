"""Fetching Debian packages into the store, and making their segments."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.seed import RENEW_HINT
from shipwheel.errors import DamagedBlob, FetchError, IntegrityError
from shipwheel.events import Reporter, silent
from shipwheel.files.segment import Segment, find_segment, make_segment
from shipwheel.store.store import Store

if TYPE_CHECKING:
    from shipwheel.debian.mirror import DebianMirror
    from shipwheel.download.fetch import Download

__all__ = ["fetch_packages", "load_segments", "package_downloads"]


def package_downloads(packages: Sequence[DebianPackage], mirror: "DebianMirror") -> "list[Download]":
    """Return how to download each package from a mirror and its fallbacks."""
    from shipwheel.download.fetch import Download

    return [
        Download(tuple(dict.fromkeys(_urls(package, mirror))), package.digest, package.size, f"{package.name}_{package.version}.deb")
        for package in packages
    ]


def _urls(package: DebianPackage, mirror: "DebianMirror") -> Iterator[str]:
    for each in mirror.with_fallbacks:
        yield f"{each.base(package.archive)}/{package.filename}"
        # A point release moves security updates into the main archive.
        yield f"{each.debian}/{package.filename.replace('pool/updates/', 'pool/', 1)}"


def fetch_packages(packages: Sequence[DebianPackage], mirror: "DebianMirror", store: Store, reporter: Reporter = silent) -> None:
    """Download packages into the store. Raise IntegrityError, or FetchError that tells how to renew the base if a package is gone."""
    from shipwheel.download.fetch import fetch

    try:
        fetch(package_downloads(packages, mirror), store, reporter, stage="packages")
    except IntegrityError:
        raise
    except FetchError as error:
        if error.not_found:
            raise FetchError(f"the mirror no longer has a package of the base:\n  {error.message}", hint=RENEW_HINT) from error
        raise


def load_segments(
    packages: Sequence[DebianPackage], fetch: Callable[[Sequence[DebianPackage]], None], store: Store, *, workers: int = 2
) -> list[Segment]:
    """Return the packages' segments in order; make those that the store does not have, from packages that `fetch` brings into it.

    Raise FetchError, IntegrityError or ArchiveError.
    """
    sources = [DebSource(package, store) for package in packages]
    stored = [find_segment(source.key, store) for source in sources]
    missing = [source for source, segment in zip(sources, stored, strict=True) if segment is None]
    fetch([source.package for source in missing])

    def make(source: DebSource) -> Segment:
        try:
            return make_segment(source, store)
        except DamagedBlob:
            fetch([source.package])
            return make_segment(source, store)

    with ThreadPoolExecutor(workers, thread_name_prefix="deb") as pool:
        made = {source.key: segment for source, segment in zip(missing, pool.map(make, missing), strict=True)}
    return [segment or made[source.key] for source, segment in zip(sources, stored, strict=True)]
