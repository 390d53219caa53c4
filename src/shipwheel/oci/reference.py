"""Image references: what users type, `registry/repository:tag@digest` (distribution-spec 1.1, docker's familiar names)."""

import re

import msgspec

from shipwheel.errors import UsageError

__all__ = ["ENGINE_REGISTRY", "Reference"]

# distribution-spec, "Pulling manifests": <name> and <reference> as a tag.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_ALGORITHM = re.compile(r"(?:sha\d+|md5):")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:.]+\])(?::[0-9]{{1,5}})?")
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")
_MAX_NAME = 255

# The engines keep every image under a full name. One that names no registry belongs, to them, to this one; without it
# containerd keeps the short name, docker lists the image and then finds none of that name (tried, 26.1), and podman puts
# localhost/ before it.
ENGINE_REGISTRY = "docker.io"


class Reference(msgspec.Struct, frozen=True):
    """A repository, in a registry or in none, with a tag, a digest, both or neither."""

    repository: str
    registry: str | None = None
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Reads `app`, `team/app:1`, `localhost:5000/app:1@sha256:…`; raises UsageError with what to write instead."""
        rest, at, digest = text.strip().partition("@")
        if "://" in text or (at and ":" in rest and not _ALGORITHM.match(digest)):
            # Possibly a URL with a password in it: never repeated.
            raise UsageError("an image reference is not a URL", hint="Write registry/repository:tag, without a scheme or a password.")
        if at and not _DIGEST.fullmatch(digest):
            raise _bad(text, f"{digest!r} is not a digest", "A digest is sha256: and 64 hexadecimal digits in lower case.")
        slash = rest.rfind("/")
        name, colon, tag = rest.rpartition(":") if rest.rfind(":") > slash else (rest, "", "")
        if colon and not _TAG.fullmatch(tag):
            raise _bad(
                text, f"{tag!r} is not a tag", "A tag is up to 128 letters, digits, `_`, `.` and `-`, and begins with none of `.` and `-`."
            )
        registry, repository = _split(name)
        _check(text, registry, repository)
        return cls(repository, registry, tag or None, digest or None)

    @property
    def name(self) -> str:
        """The registry, if there is one, and the repository."""
        return self.repository if self.registry is None else f"{self.registry}/{self.repository}"

    @property
    def tag_or_latest(self) -> str:
        """The tag, or the one that engines take when none is given."""
        return self.tag or "latest"

    @property
    def full(self) -> str:
        """The name:tag under which engines keep the image: always with a registry."""
        registry = self.registry or ENGINE_REGISTRY
        short = registry == ENGINE_REGISTRY and "/" not in self.repository
        return f"{registry}/{'library/' if short else ''}{self.repository}:{self.tag_or_latest}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _split(name: str) -> tuple[str | None, str]:
    """Docker's rule: what is before the first slash is a registry if it has a dot, a colon or a capital, or is localhost."""
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        return head, rest
    return None, name


def _check(text: str, registry: str | None, repository: str) -> None:
    if registry is not None and not _REGISTRY.fullmatch(registry):
        raise _bad(text, f"{registry!r} is not the name of a registry", "A registry is a host name, with :port if it has its own.")
    if repository != repository.lower():
        raise _bad(text, "a repository has no capital letters", f"Write {repository.lower()!r}.")
    if not _REPOSITORY.fullmatch(repository):
        hint = "A repository is lower-case letters and digits, with single `.`, `_`, `__` or `-` between them, and `/` between its parts."
        raise _bad(text, f"{repository!r} is not a repository", hint)
    if registry is None and _IMAGE_ID.fullmatch(repository):
        raise _bad(text, "64 hexadecimal digits are an image ID, not a name", "Write repository@sha256:<digits> for a digest.")
    if len(repository) + (len(registry) + 1 if registry else 0) > _MAX_NAME:
        raise _bad(text, f"the name is longer than {_MAX_NAME} characters", "Choose a shorter repository.")


def _bad(text: str, why: str, hint: str) -> UsageError:
    shown = text if len(text) <= 300 else text[:300] + "…"
    return UsageError(f"the image reference {shown!r} is not valid: {why}", hint=hint)
