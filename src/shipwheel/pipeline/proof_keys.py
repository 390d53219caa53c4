"""The keys under which it is remembered, here and in manifests, what was found to be true of an image. Pure.

`keys` are those of the layers of ours, bottom first; `image` is the digest of the manifest that they lie upon, empty for a composed base.
"""

from collections.abc import Iterable

from shipwheel.files.segment import key_of
from shipwheel.pipeline.proof import PROOF_VERSION
from shipwheel.platform import Platform

__all__ = ["proof_key", "proved_key", "start_key"]


def proof_key(platform: Platform, absent: Iterable[str], image: str, keys: Iterable[str]) -> str:
    """Of the proof that all ELF files can be loaded; `absent` are the sonames that nothing provides."""
    return key_of("proof", PROOF_VERSION, str(platform), *absent, *_given(image), *keys)


def start_key(programs: Iterable[str], workdir: str, path: str, volumes: Iterable[str], image: str, keys: Iterable[str]) -> str:
    """Of the check that the programs which an image starts are in it; `path` is where it looks for them."""
    return key_of("start", *programs, workdir, path, *volumes, *_given(image), *keys)


def proved_key(proof: str, start: str) -> str:
    """Of both."""
    return key_of("proved", proof, start)


def _given(image: str) -> tuple[str, ...]:
    return (image,) if image else ()
