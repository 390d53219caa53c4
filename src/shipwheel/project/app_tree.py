"""What of a plain app's directory goes into /app.

Left out is what .gitignore files say, from the repository's root down (gitignore(5)), or .dockerignore, or the setting `exclude`;
the setting `include` takes back. What no image should hold (virtual environments, caches, version control) is never taken, and
neither is a secret, whatever the rules say: a secret is reported, and belongs into the environment or a volume of the container.
"""

import os
import re
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from pathspec import GitIgnoreSpec, PathSpec

from shipwheel.errors import ProjectError
from shipwheel.settings import read_text

__all__ = ["AppFile", "AppTree", "is_private_key", "is_secret_name", "list_app"]

_NEVER = frozenset(
    """
    .git .hg .svn .bzr .venv venv __pycache__ node_modules .tox .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints
    .idea .vscode .eggs .cache .uv-cache __pypackages__ .DS_Store .pytype .pyre .docker
    """.split()  # noqa: SIM905
)
_DEFAULT = """
    *.py[cod] *.egg-info *.egg .coverage .coverage.* Thumbs.db desktop.ini *.swp *~ .gitignore .gitattributes .gitmodules .dockerignore
    .github .gitlab-ci.yml .pre-commit-config.yaml .editorconfig .devcontainer Dockerfile* *.Dockerfile Containerfile*
    docker-compose*.y*ml compose.y*ml compose.*.y*ml /shipwheel.toml /pylock.toml /pylock.*.toml /uv.lock /poetry.lock /pdm.lock
    /Pipfile.lock
    """.split()  # noqa: SIM905

_SECRET_DIRECTORIES = frozenset({".aws", ".ssh", ".gnupg", ".kube", ".azure", ".gcloud"})
_SECRET_NAMES = frozenset(
    """
    .env .envrc .netrc _netrc .pypirc .pgpass .git-credentials .npmrc .htpasswd .sesskey
    id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk
    """.split()  # noqa: SIM905
)
_SECRET_PATHS = (".streamlit/secrets.toml",)
_HARMLESS_ENV = (".example", ".sample", ".template", ".dist", ".defaults", ".tmpl")
_SECRET_SUFFIXES = (".p12", ".pfx", ".jks", ".keystore", ".ppk", ".kdbx")
_KEY_SUFFIXES = (".pem", ".key", ".p8", ".pk8", ".crt", ".cer", ".asc", ".json")
_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----")
_KEY_HEAD = re.compile(rb"\s*(\xef\xbb\xbf)?(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-)")
_LOOK = 1 << 20
_PACKAGING = re.compile(r"(pyproject|uv|pdm|poetry)\.toml|pip\.(conf|ini)|Pipfile|setup\.cfg|.*(require|constraint|/).*\.(txt|in)")
_PASSWORD = re.compile(rb"https?://[^\s/@:\"'#]*:(?!\$\{?\w+\}?@)[^\s/@\"'#]+@[^\s\"']+")
"""With a variable in its place it is none."""


class AppFile(msgspec.Struct, frozen=True):
    """A file or symbolic link of the app: `path` below /app, `host` where it is now, `size` in bytes, `link` a symbolic link's text."""

    path: str
    host: Path
    executable: bool
    size: int
    link: str | None = None


class AppTree(msgspec.Struct, frozen=True):
    """What goes into /app, sorted by path; what was left out as a secret; and what cannot be in an image (sockets, devices)."""

    files: tuple[AppFile, ...]
    secrets: tuple[str, ...] = ()
    special: tuple[str, ...] = ()


def list_app(root: Path, *, include: Iterable[str] = (), exclude: Iterable[str] = (), only: Iterable[str] = ()) -> AppTree:
    """The app's files below `root`; with `only`, no more than these paths.

    Raises ProjectError with all symbolic links that lead out of the directory and all names that cannot be in an image.
    """
    walk = _Walk(Path(os.path.normpath(root.absolute())), tuple(include), tuple(exclude))
    if chosen := tuple(only):
        walk.exactly(chosen)
    else:
        walk.directory("", walk.rules_above())
    if walk.problems:
        raise ProjectError(
            "; ".join(sorted(walk.problems)), hint='Rename or move them, or leave them out with the setting exclude = ["..."].'
        )
    return AppTree(tuple(sorted(walk.files, key=lambda file: file.path)), tuple(sorted(walk.secrets)), tuple(sorted(walk.special)))


def is_secret_name(name: str) -> bool:
    """Whether a file or directory of that name is a secret by convention: .env, .netrc, id_rsa, .aws and the like."""
    if name in _SECRET_NAMES or name in _SECRET_DIRECTORIES or name.lower().endswith(_SECRET_SUFFIXES):
        return True
    return name.startswith(".env.") and not name.endswith(_HARMLESS_ENV)


def is_private_key(path: Path, size: int) -> bool:
    """Whether a file holds a private key: at its very start, or anywhere in a file whose suffix is one of keys, certificates or JSON."""
    with path.open("rb") as stream:
        if not path.name.lower().endswith(_KEY_SUFFIXES):
            return size > 20 and _KEY_HEAD.match(stream.read(128)) is not None
        return _KEY.search(stream.read(_LOOK)) is not None


class _Rules(msgspec.Struct, frozen=True):
    """The patterns of one file; `base` is their directory relative to the root, with a trailing slash unless empty."""

    base: str
    spec: PathSpec[Any]
    prefix: str = ""
    """Put before paths: where the root is, below the directory of an ignore file above it."""

    def decide(self, path: str, is_directory: bool) -> bool | None:
        """Whether the path is left out; None when no pattern speaks of it."""
        if not path.startswith(self.base):
            return None
        return self.spec.check_file(self.prefix + path[len(self.base) :] + ("/" if is_directory else "")).include


class _Walk:
    def __init__(self, root: Path, include: tuple[str, ...], exclude: tuple[str, ...]) -> None:
        self._root = root
        self._real = os.path.realpath(root)
        self._default = _Rules("", GitIgnoreSpec.from_lines(_DEFAULT))
        self._exclude = _Rules("", _spec(exclude, "exclude"))
        self._include = _Rules("", _spec(include, "include")) if include else None
        self._docker = _docker_rules(root / ".dockerignore")
        # A pattern that takes something back may speak of a file below a directory that is left out.
        self._descend = include or (self._docker is not None and any(pattern.include is False for pattern in self._docker.spec.patterns))
        self.files: list[AppFile] = []
        self.secrets: list[str] = []
        self.special: list[str] = []
        self.problems: list[str] = []

    def rules_above(self) -> tuple[_Rules, ...]:
        """The .gitignore files between the repository's root and ours; none when they leave our root out as a whole."""
        above = []
        for directory in self._root.parents if not (self._root / ".git").exists() else ():
            prefix = self._root.relative_to(directory).as_posix() + "/"
            if (directory / ".gitignore").is_file():
                above.append(_Rules("", _gitignore(directory / ".gitignore"), prefix))
            if (directory / ".git").exists():
                break
        else:
            return ()
        rules = tuple(reversed(above))
        hidden = any(rule.spec.check_file(rule.prefix).include for rule in rules)
        return () if hidden else rules

    def exactly(self, paths: tuple[str, ...]) -> None:
        """Takes these paths and nothing else; no rules, but never a secret."""
        for path in paths:
            if is_secret_name(Path(path).name):
                self.secrets.append(path)
            else:
                self._file(path, self._root / path)

    def directory(self, base: str, rules: tuple[_Rules, ...], hidden: bool = False, host: Path | None = None) -> None:
        """Takes what is below a directory, which is `host` here; `hidden` when a .gitignore leaves the directory out."""
        host = host or self._root
        try:
            with os.scandir(host) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self.problems.append(f"{base or self._root} cannot be read: {error.strerror or error}")
            return
        if base and any(entry.name in ("pyvenv.cfg", "oci-layout") for entry in entries):
            return
        if any(entry.name == ".gitignore" and entry.is_file() for entry in entries):
            rules = (*rules, _Rules(base, _gitignore(host / ".gitignore")))
        for entry in entries:
            if entry.name not in _NEVER:
                self._entry(base + _image_name(entry.name), entry, rules, hidden)

    def _entry(self, path: str, entry: os.DirEntry[str], rules: tuple[_Rules, ...], hidden: bool) -> None:
        is_directory = entry.is_dir(follow_symlinks=False)
        hidden = self._hidden(path, is_directory, rules, hidden)
        left_out = self._left_out(path, is_directory, hidden)
        if left_out and not (is_directory and self._descend):
            return
        if not _storable(path):
            self.problems.append(
                f"the name {path.encode(errors='surrogateescape')!r} cannot be in an image: it is not UTF-8, or has a backslash"
            )
        elif is_secret_name(entry.name) or path.endswith(_SECRET_PATHS):
            if not left_out:
                self.secrets.append(path + "/" * is_directory)
        elif is_directory:
            if not _build_output(path, Path(entry.path)):
                self.directory(path + "/", rules, hidden, Path(entry.path))
        elif entry.is_symlink():
            self._symlink(path, entry)
        elif not _built_archive(entry):
            self._file(path, entry)

    def _hidden(self, path: str, is_directory: bool, rules: tuple[_Rules, ...], hidden: bool) -> bool:
        """Whether the .gitignore files leave a path out; what is below a directory that they leave out never comes back."""
        for rule in (self._default, *rules) if not hidden else ():
            decided = rule.decide(path, is_directory)
            hidden = hidden if decided is None else decided
        return hidden

    def _left_out(self, path: str, is_directory: bool, hidden: bool) -> bool:
        answer = hidden or (self._docker is not None and _docker_leaves_out(self._docker.spec, path, is_directory))
        decided = self._exclude.decide(path, is_directory)
        answer = answer if decided is None else decided
        return answer and not (self._include is not None and self._include.decide(path, is_directory))

    def _file(self, path: str, entry: os.DirEntry[str] | Path) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                self.special.append(path)
            elif is_private_key(Path(entry), status.st_size) or _tells_password(path, Path(entry), status.st_size):
                self.secrets.append(path)
            else:
                self.files.append(AppFile(path, Path(entry), bool(status.st_mode & 0o111), status.st_size))
        except OSError as error:
            self.problems.append(f"{path} cannot be read: {error.strerror or error}")

    def _symlink(self, path: str, entry: os.DirEntry[str]) -> None:
        target = os.fspath(Path(entry).readlink())
        if not _storable(_image_name(target)):
            self.problems.append(f"the symbolic link {path} has a target whose name cannot be in an image")
            return
        lexical = os.path.normpath(Path(entry).parent / target)
        if not (_below(os.path.realpath(entry.path), self._real) and (_below(lexical, str(self._root)) or _below(lexical, self._real))):
            self.problems.append(f"the symbolic link {path} leads out of the project, to {target}")
            return
        if Path(target).is_absolute():
            base = str(self._root) if _below(lexical, str(self._root)) else self._real
            target = os.path.relpath(os.path.relpath(lexical, base), os.path.relpath(Path(entry).parent, self._root))
        self.files.append(AppFile(path, Path(entry.path), False, 0, _image_name(target)))


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _image_name(name: str) -> str:
    """A name of this machine as an image has it: its bytes are UTF-8, whatever the locale takes them for."""
    return os.fsencode(name).decode(errors="surrogateescape")


def _storable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\\" not in name


def _tells_password(path: str, host: Path, size: int) -> bool:
    """Whether a file that says where distributions come from has the password of an index in it."""
    if size > _LOOK or not (_PACKAGING.fullmatch(path) or _PACKAGING.fullmatch(host.name)):
        return False
    return _PASSWORD.search(host.read_bytes()) is not None


def _built_archive(entry: os.DirEntry[str]) -> bool:
    """Whether a file is an archive of images as a build writes it: the next build would take it, and so on."""
    if not entry.name.endswith(".tar") or not entry.is_file(follow_symlinks=False):
        return False
    try:
        with Path(entry).open("rb") as stream:
            return stream.read(11) == b"oci-layout\0"
    except OSError:
        return False  # whoever reads it says why it cannot be read


def _build_output(path: str, host: Path) -> bool:
    """Whether a directory is what packaging tools leave behind: dist with wheels, build with their scratch directories."""
    if path == "dist":
        return any(host.glob("*.whl")) or any(host.glob("*.tar.gz"))
    return path == "build" and (any(host.glob("bdist.*")) or (host / "lib").is_dir())


def _spec(patterns: Iterable[str], origin: str) -> PathSpec[Any]:
    return _compiled(lambda: GitIgnoreSpec.from_lines(patterns), origin)


def _compiled(make: Callable[[], PathSpec[Any]], origin: str) -> PathSpec[Any]:
    try:
        with warnings.catch_warnings():
            # A pattern like [[] makes the regular expression compiler think aloud.
            warnings.simplefilter("ignore")
            return make()
    except (ValueError, re.error) as error:
        raise ProjectError(f"{origin}: {error}", hint="Correct the pattern; they are written as in .gitignore.") from error


def _gitignore(path: Path) -> PathSpec[Any]:
    return _spec(read_text(path).splitlines(), str(path))


def _docker_rules(path: Path) -> _Rules | None:
    """.dockerignore patterns start at the root, and the last one that speaks of a path or of a directory above it decides."""
    if not path.is_file():
        return None
    return _Rules("", _compiled(lambda: PathSpec.from_lines("gitignore", _anchored(read_text(path).splitlines())), str(path)))


def _docker_leaves_out(spec: PathSpec[Any], path: str, is_directory: bool) -> bool:
    parts = path.split("/")
    whole = [*("/".join(parts[:number]) + "/" for number in range(1, len(parts))), path + "/" * is_directory]
    decided = [result for part in whole if (result := spec.check_file(part)).index is not None]
    return bool(decided) and max(decided, key=lambda result: result.index or 0).include is True


def _anchored(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        back = "!" if text.startswith("!") else ""
        pattern = os.path.normpath(text.removeprefix("!").strip()).strip("/")
        if pattern and pattern != ".":
            yield f"{back}/{pattern}"
