"""Image references as users type them: `registry/repository:tag@digest` (distribution-spec 1.1, docker's familiar names)."""

import msgspec

from shipwheel.digest import Digest, as_digest
from shipwheel.errors import UsageError
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["ENGINE_REGISTRY", "Reference"]

# distribution-spec, "Pulling manifests": <name> and <reference> as a tag.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = lazy_pattern(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = lazy_pattern(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_ALGORITHM = lazy_pattern(r"(?:sha\d+|md5):")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = lazy_pattern(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:.]+\])(?::[0-9]{{1,5}})?")
_IMAGE_ID = lazy_pattern(r"[a-f0-9]{64}")
_MAX_NAME = 255

ENGINE_REGISTRY = "docker.io"
"""The registry that engines add to a name without one.

An image has to be loaded with it: otherwise containerd keeps the short name, docker 26.1 lists the image but does not find it by that
name, and podman adds localhost/.
"""


class Reference(msgspec.Struct, frozen=True):
    """A repository with an optional registry, tag and digest."""

    repository: str
    registry: str | None = None
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Parse `app`, `team/app:1` or `localhost:5000/app:1@sha256:…`. Raise UsageError that says how to correct the text."""
        rest, at, digest = text.strip().partition("@")
        if "://" in text or (at and ":" in rest and not _ALGORITHM.match(digest)):
            # The text may contain a password, so the message does not repeat it.
            raise UsageError("an image reference is not a URL", hint="Write registry/repository:tag, without a scheme or a password.")
        pinned = as_digest(digest)
        if at and pinned is None:
            raise _invalid(text, f"{digest!r} is not a digest", "A digest is sha256: and 64 hexadecimal digits in lower case.")
        slash = rest.rfind("/")
        name, colon, tag = rest.rpartition(":") if rest.rfind(":") > slash else (rest, "", "")
        if colon and not _TAG.fullmatch(tag):
            raise _invalid(
                text, f"{tag!r} is not a tag", "A tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with neither `.` nor `-`."
            )
        registry, repository = _split(name)
        _check(text, registry, repository)
        return cls(repository, registry, tag or None, pinned)

    @classmethod
    def parse_target(cls, text: str) -> "Reference":
        """Parse the name of something to write: without a digest, because the content decides that. Raise UsageError."""
        reference = cls.parse(text)
        if reference.digest:
            raise UsageError(f"{reference} names a digest as the target", hint=f"Write {reference.name}:TAG.")
        return reference

    @property
    def name(self) -> str:
        """The registry, if any, and the repository."""
        return self.repository if self.registry is None else f"{self.registry}/{self.repository}"

    @property
    def tag_or_latest(self) -> str:
        """The tag, or "latest", which is the engines' default."""
        return self.tag or "latest"

    @property
    def full(self) -> str:
        """The name:tag under which engines store the image, which always includes a registry."""
        registry = self.registry or ENGINE_REGISTRY
        short = registry == ENGINE_REGISTRY and "/" not in self.repository
        return f"{registry}/{'library/' if short else ''}{self.repository}:{self.tag_or_latest}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _split(name: str) -> tuple[str | None, str]:
    """Split off the registry by docker's rule: a first component with a dot, a colon or a capital letter, or localhost."""
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        return head, rest
    return None, name


def _check(text: str, registry: str | None, repository: str) -> None:
    if registry is not None and not _REGISTRY.fullmatch(registry):
        raise _invalid(text, f"{registry!r} is not the name of a registry", "A registry is a host name with an optional :port.")
    if repository != repository.lower():
        raise _invalid(text, "a repository has no capital letters", f"Write {repository.lower()!r}.")
    if not _REPOSITORY.fullmatch(repository):
        hint = "A repository has lower-case letters and digits, separated by single `.`, `_`, `__` or `-`, and `/` between its components."
        raise _invalid(text, f"{repository!r} is not a repository", hint)
    if registry is None and _IMAGE_ID.fullmatch(repository):
        raise _invalid(text, "64 hexadecimal digits are an image ID, not a name", "Write repository@sha256:<digits> for a digest.")
    if len(repository) + (len(registry) + 1 if registry else 0) > _MAX_NAME:
        raise _invalid(text, f"the name is longer than {_MAX_NAME} characters", "Choose a shorter repository.")


def _invalid(text: str, reason: str, hint: str) -> UsageError:
    shown = text if len(text) <= 300 else text[:300] + "…"
    return UsageError(f"the image reference {shown!r} is invalid: {reason}", hint=hint)
