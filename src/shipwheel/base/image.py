"""Another image as the base: found, pinned, and looked at once for its Python, its C library, its user and its certificates."""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shipwheel.base.base import Base, DebianBases, ImageFacts, LockedImage, read_base
from shipwheel.base.directories import owned_directories
from shipwheel.base.remote import bring, remote_base
from shipwheel.debian.composed import resolve_named
from shipwheel.errors import ImageError, LockError, ProjectError, UsageError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.files.elf import MACHINES
from shipwheel.lock.pylock import Lock, lock_path, read_lock
from shipwheel.oci.convert import in_oci_types
from shipwheel.oci.image import MAX_LAYERS, Image, ImageIndex, make_index
from shipwheel.oci.layout import read_layout
from shipwheel.oci.read.tree import Tree, read_tree
from shipwheel.platform import Platform
from shipwheel.project.detect import Project, with_python
from shipwheel.request import Request
from shipwheel.store import Store
from shipwheel.suites import SUITES, Suite
from shipwheel.versions import minor_version

__all__ = ["ImageBases", "image_facts", "image_for", "numeric_user", "on_image", "open_base", "tree_of"]

LAYOUT_PREFIX = "oci:"
_NOBODY = (1 << 32) - 1
"""The number that stands for no user or group; there is no higher one."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUNDLES = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem", "etc/ssl/ca-bundle.pem")
_WITH_PYTHON = (
    "Bases with a Python are, for example, python:3.12-slim, python:3.12-alpine, distroless python3 images and the python images of UBI; "
    "or leave out `base`: then one is composed of Debian packages."
)


class ImageBases:
    """See build.base.Bases: bases that are the images of one name, a registry's or a layout's ("oci:DIR", "oci:DIR:NAME").

    What a lock pins is kept, unless it is to be upgraded. `python` is the version that the user names, if one is.
    """

    def __init__(
        self, name: str, debian: Callable[[Suite], DebianBases], store: Store, reporter: Reporter, *, root: Path, python: str = ""
    ) -> None:
        self.name = name
        self._debian = debian
        self._store = store
        self._reporter = reporter
        self._root = root
        self._python = python
        self._found: dict[Platform, Base] = {}
        self._suites: dict[Suite, DebianBases] = {}

    def bases(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """See Bases. What was found once is kept, so that Python's version can be asked before there is a lock."""
        missing = [platform for platform in platforms if platform not in self._found]
        if missing:
            self._found |= self._resolved(missing, lock, upgrade)
        found = [_completed(self._found[platform], lock, platform, extra, upgrade) for platform in platforms]
        return [base if base.locked else self._with_named(base, platform, extra) for platform, base in zip(platforms, found, strict=True)]

    def python(self, platforms: Sequence[Platform], lock: Lock | None, *, upgrade: bool) -> str:
        """The minor version of the Python in the images; raises ImageError when they have several."""
        facts = [base.image.facts for base in self.bases(platforms, lock, (), upgrade=upgrade) if base.image is not None]
        found = sorted({minor_version(one.python) for one in facts})
        if len(found) > 1:
            raise ImageError(f"{self.name} has Python {' and '.join(found)}, by platform", hint="Name one with --python, or one platform.")
        return found[0]

    def debian(self, suite: Suite) -> DebianBases:
        """See Bases."""
        if suite not in self._suites:
            self._suites[suite] = self._debian(suite)
        return self._suites[suite]

    def _with_named(self, base: Base, platform: Platform, extra: Sequence[str]) -> Base:
        """With the packages that the user names; raises UsageError where the base is of no suite that they could come from."""
        if not extra:
            return base
        if base.suite is None:
            raise UsageError(
                f"the base {self.name} is of no Debian suite that is known, so {', '.join(extra)} cannot be added to it",
                hint="Put what is wanted into the base, take a Debian base, or leave out `packages`.",
            )
        return replace(base, packages=resolve_named(self.debian(base.suite).index(platform), extra))

    def _resolved(self, platforms: Sequence[Platform], lock: Lock | None, upgrade: bool) -> dict[Platform, Base]:
        pinned = {} if upgrade or lock is None else self._pinned(lock)
        # One digest for all platforms: a platform that is asked for anew gets the image that belongs to the others'.
        order = [platform.architecture for platform in platforms if platform.architecture in pinned] or list(pinned)
        digest = next((pinned[architecture].digest for architecture in order), "")
        known = {platform: image for platform in platforms if (image := pinned.get(platform.architecture)) is not None}
        self._reporter(StageStarted("base"))
        index, digest = open_base(self.name, digest, platforms, self._store, self._reporter, root=self._root)
        images = {platform: image_for(index, platform, self.name) for platform in platforms}
        unseen = [image for platform, image in images.items() if platform not in known or known[platform].manifest != image.digest]
        for each in unseen:
            _refuse_many_layers(each, self.name)
        bring(unseen, self._store, self._reporter)
        found: dict[Platform, Base] = {}
        for platform, below in images.items():
            image = known.get(platform)
            if image is None or image.manifest != below.digest:
                facts = image_facts(below, tree_of(below, self._store, self.name), self.name, self._python)
                image = LockedImage(self.name, digest, below.digest, facts)
            found[platform] = Base(_suite(image.facts), (), False, image=image, below=below)
        versions = sorted({base.image.facts.python for base in found.values() if base.image is not None})
        self._reporter(StageFinished("base", f"{self.name}, Python {', '.join(versions)}"))
        return found

    def _pinned(self, lock: Lock) -> dict[str, LockedImage]:
        tables = {architecture: read_base(lock, Platform("linux", architecture)) for architecture in lock.base}
        return {
            architecture: found.image
            for architecture, found in tables.items()
            if found is not None
            and found.image is not None
            and found.image.name == self.name
            and (not self._python or minor_version(found.image.facts.python) == minor_version(self._python))
        }


def _refuse_many_layers(image: Image, name: str) -> None:
    if len(image.layers) >= MAX_LAYERS:
        what = f"the base {name} has {len(image.layers)} layers, and engines take {MAX_LAYERS}, ours included"
        raise ImageError(what, hint="Take another base, or squash this one.")


def open_base(
    name: str, digest: str, platforms: Sequence[Platform], store: Store, reporter: Reporter, *, root: Path
) -> tuple[ImageIndex, str]:
    """The images that a name, or the digest that is pinned for it, stands for, and that digest; a layout's path begins at `root`.

    No layer is read. Raises FetchError, ImageError, UsageError, LockError for a digest that a layout does not have any more.
    """
    if not name.startswith(LAYOUT_PREFIX):
        return remote_base(name, digest, platforms, store, reporter)
    path, tag = _layout(name, root)
    reader = read_layout(path)
    try:
        found = reader.entry(digest or tag)
    except UsageError:
        if not digest:
            raise
        raise LockError(
            f"the base that the lock has, {digest[:19]}…, is no longer in {path}", hint="Take what is there with --upgrade-base."
        ) from None
    return make_index([in_oci_types(image) for image in reader.images(found.digest).images]), found.digest


def _completed(base: Base, lock: Lock | None, platform: Platform, extra: Sequence[str], upgrade: bool) -> Base:
    """The base with the packages that the lock adds to it, if that has them for this very image."""
    found = read_base(lock, platform) if lock is not None and not upgrade else None
    if found is None or found.image != base.image or found.extra != tuple(extra):
        return base
    return replace(base, packages=found.packages, absent=found.absent, locked=True)


def _layout(name: str, root: Path) -> tuple[Path, str | None]:
    text = name.removeprefix(LAYOUT_PREFIX)
    path, colon, tag = text.rpartition(":")
    if not colon or "/" in tag or (root / text).exists():
        path, tag = text, ""
    return root / path, tag or None


def image_for(index: ImageIndex, platform: Platform, name: str) -> Image:
    """The base's image for a platform; raises UsageError that names what there is."""
    image = next((image for image in index.images if platform.matches(image.platform)), None)
    if image is None:
        known = ", ".join(str(image.platform) for image in index.images) or "none"
        raise UsageError(
            f"the base {name} has no image for {platform}", hint=f"Platforms that it has: {known}. Name these with --platform."
        )
    return image


def _suite(facts: ImageFacts) -> Suite | None:
    return next((suite for suite in SUITES if suite.codename == facts.codename), None)


def tree_of(image: Image, store: Store, name: str) -> Tree:
    """The base's files, read through once and then known. Raises ImageError, DamagedBlob."""
    return read_tree(image, store, name)


def image_facts(image: Image, tree: Tree, name: str, python: str = "") -> ImageFacts:
    """What matters of an image that is built upon; `python` is the version that is wanted, if one is.

    Raises ImageError that says what is missing: an interpreter that is on the image's PATH and for its platform, a C library that is known.
    """
    config = image.config_file
    env = config.config.environment
    path = _interpreter(tree, env.get("PATH") or _PATH, python, name)
    elf = {item.path: item for item in tree.segment.elf}
    found = elf.get(path)
    if found is None or found.machine != MACHINES[image.platform.architecture]:
        raise ImageError(f"{name}: /{path} is not a program for {image.platform}", hint="The image is labelled wrongly; take another.")
    musl = "ld-musl" in found.interpreter
    return ImageFacts(
        python=_version(tree, path, env),
        interpreter=f"/{path}",
        libc=_libc(tree, musl, name),
        musl=musl,
        user=numeric_user(config.config.user, tree.texts),
        certificates=_certificates(tree, env),
        codename=_codename(tree),
        unpacked_size=tree.segment.unpacked_size,
        temporary="tmp" in tree.segment.links or tree.real("tmp") in tree.segment.directories,
        directories=owned_directories(tree.segment.directories),
    )


def _interpreter(tree: Tree, path: str, python: str, name: str) -> str:
    names = (f"python{minor_version(python)}",) if python else ("python3", "python")
    for folder in path.split(":"):
        for program in names:
            real = tree.real(f"{folder.strip('/')}/{program}")
            if real is None or f"{posixpath.dirname(posixpath.dirname(real))}/pyvenv.cfg" in tree.segment.files:
                # Nothing, or a copy of another one: a virtual environment is no ground for ours.
                continue
            if re.search(r"python3(\.\d+)?$", posixpath.basename(real)):
                return real
    having = sorted({posixpath.basename(file) for file in tree.segment.files if re.search(r"bin/python3\.\d+$", file)})
    if python and having:
        raise ImageError(f"the base {name} has no Python {python}, but {', '.join(having)}", hint="Ask for that one, or take another base.")
    raise ImageError(f"the base {name} has no Python on its PATH ({path})", hint=_WITH_PYTHON)


def _version(tree: Tree, path: str, env: dict[str, str]) -> str:
    """The full version: what is written in the interpreter or in its library, else what the image says of itself."""
    minor = re.search(r"python(3\.\d+)$", path)
    marks = [version for file, version in tree.marks.items() if file == path or (minor and f"libpython{minor[1]}" in file)]
    for version in (*marks, env.get("PYTHON_VERSION", "")):
        if re.fullmatch(r"3\.\d+\.\d+", version) and (minor is None or minor_version(version) == minor[1]):
            return version
    if minor is None:
        raise ImageError(f"the version of /{path} cannot be told", hint="Name it with --python.")
    return f"{minor[1]}.0"


def _libc(tree: Tree, musl: bool, name: str) -> tuple[int, int]:
    wanted = r"(?:ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1|/libc\.so)$" if musl else r"libc(?:\.so\.6|-2\.\d+\.so)$"
    found = sorted(version for file, version in tree.marks.items() if re.search(wanted, file))
    if not found and not musl:
        defined = (item.defines for item in tree.segment.elf if item.path.endswith("/libc.so.6"))
        found = [version.removeprefix("GLIBC_") for versions in defined for version in versions if re.fullmatch(r"GLIBC_2\.\d+", version)]
        found = sorted(found, key=lambda version: int(version.split(".")[1]))[-1:]
    if not found:
        raise ImageError(f"the base {name} has no C library whose version can be told", hint="Take a base with glibc or musl.")
    major, minor = found[0].split(".")[:2]
    return int(major), int(minor)


def numeric_user(user: str, texts: Mapping[str, str]) -> str:
    """uid:gid in digits, as runAsNonRoot needs it; empty for root, and for a name that etc/passwd in `texts` does not have."""
    name, _, group = user.partition(":")
    lines = [line.split(":") for line in texts.get("etc/passwd", "").splitlines()]
    entry = next((line for line in lines if len(line) > 3 and name in (line[0], line[2])), None)
    uid = name if name.isdecimal() else entry[2] if entry else ""
    groups = [line.split(":") for line in texts.get("etc/group", "").splitlines()]
    listed = next((line[2] for line in groups if len(line) > 2 and line[0] == group), "")
    gid = group if group.isdecimal() else listed or (entry[3] if entry else uid)
    if not all(part.isdecimal() and len(part) <= 10 and int(part) < _NOBODY for part in (uid, gid)) or int(uid) == 0:
        return ""
    return f"{int(uid)}:{int(gid)}"


def _certificates(tree: Tree, env: dict[str, str]) -> str:
    named = env.get("SSL_CERT_FILE", "").lstrip("/")
    return next((f"/{path}" for path in (named, *_BUNDLES) if path and tree.real(path) is not None), "")


def _codename(tree: Tree) -> str:
    """Of a Debian suite that is known, whose packages may be added."""
    text = tree.texts.get("etc/os-release") or tree.texts.get("usr/lib/os-release", "")
    facts = dict(re.findall(r"^([A-Z_]+)=\"?([^\"\n]*)\"?$", text, re.MULTILINE))
    codename = str(facts.get("VERSION_CODENAME", ""))
    return codename if facts.get("ID") == "debian" and any(suite.codename == codename for suite in SUITES) else ""


def on_image(project: Project, request: Request) -> tuple[Project, ImageBases]:
    """The project for the Python that its base image has. Raises ProjectError when it does not allow that one."""
    settings = project.settings
    assert settings.base is not None  # noqa: S101 - the caller asked
    debian = partial(DebianBases, mirror=settings.debian_mirror, store=request.store, reporter=request.reporter)
    bases = ImageBases(settings.base, debian, request.store, request.reporter, root=project.root, python=settings.python or "")
    python = bases.python(request.platforms, read_lock(lock_path(project.root)), upgrade=request.upgrade_base)
    try:
        found = with_python(project, python)
    except ProjectError as error:
        what = f"the base {settings.base} has Python {python}, and the project does not take it"
        raise ProjectError(f"{what}: {error.message}", hint=error.hint) from None
    return replace(found, python_reason=f"the base {settings.base} has it"), bases
