"""The contents of an environment.yml or a pixi.toml, before it is known what of them an image can have."""

import msgspec

__all__ = ["CondaManifest"]


class CondaManifest(msgspec.Struct, frozen=True):
    """Its `packages` of conda as (name, version), its `requirements` of the package index (PEP 508), and its Python."""

    file: str
    name: str = ""
    packages: tuple[tuple[str, str], ...] = ()
    requirements: tuple[str, ...] = ()
    python: str = ""
    """A version as conda and pixi write it, such as `3.12.*`; empty for any."""
