"""The system packages that RUN instructions install, and which of them an image needs when it runs."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.deployment.shell_words import UNKNOWN
from shipwheel.user.files import UserFiles

__all__ = ["SystemPackages", "find_system_packages", "listed_packages"]

_BUILD_ONLY = frozenset(
    """
    build-essential gcc g++ cpp clang llvm make cmake ninja-build meson pkg-config pkgconf autoconf automake autotools-dev libtool
    bison flex patch swig rustc cargo golang dpkg-dev debhelper fakeroot openssh-client gnupg gnupg2 gpg dirmngr apt-transport-https
    apt-utils software-properties-common lsb-release gosu su-exec sudo tini dumb-init catatonit vim vim-tiny nano less htop tree
    man-db bash-completion strace gdb dialog screen tmux locales locales-all dash bash coreutils
    """.split()  # noqa: SIM905
)
"""Packages that build, install, or help a person in a shell."""
_TOOLS = frozenset(
    """
    git git-core git-lfs mercurial subversion curl wget unzip zip xz-utils tar gzip bzip2 rsync nodejs npm yarn jq netcat
    netcat-openbsd netcat-traditional telnet iputils-ping dnsutils net-tools iproute2 procps lsof postgresql-client
    default-mysql-client mariadb-client redis-tools
    """.split()  # noqa: SIM905
)
"""Programs that mostly serve the build or wait for a companion, and that an app may run all the same."""
_BUILD_ONLY_PATTERN = lazy_pattern(
    r".+-dev|python3?(\.\d+)?(-(dev|pip|venv|setuptools|wheel|distutils|minimal|full))?|(gcc|g\+\+|clang|llvm)-\d+"
)
_IN_BASE = frozenset({"ca-certificates", "tzdata", "media-types", "netbase", "libexpat1", "zlib1g"})
_NAME = lazy_pattern(r"[a-z0-9][a-z0-9+.-]+")
_APTFILE, _PACKAGES = "Aptfile", "packages.txt"
_FRAMEWORKS = lazy_pattern(rb"\b(streamlit|gradio)\b", re.IGNORECASE)
_LISTS = ("requirements.txt", "pyproject.toml", "Pipfile", "environment.yml", "README.md")
_MAX_BYTES = 1 << 18
_OTHER_SYSTEMS = {"apk": "Alpine's", "dnf": "Fedora's", "yum": "Red Hat's", "microdnf": "Red Hat's", "zypper": "SUSE's"}


class SystemPackages(msgspec.Struct, frozen=True):
    """The system packages that a Dockerfile installs."""

    names: tuple[str, ...] = ()
    """Debian packages that the app may need when it runs."""
    left_out: tuple[str, ...] = ()
    """Programs that mostly serve the build, and that an app may run all the same."""
    headers: tuple[str, ...] = ()
    """Debian packages to compile with (-dev). An app that opens such a library by name needs it without its headers."""
    place: str = ""
    notes: tuple[str, ...] = ()

    @property
    def left_out_note(self) -> str:
        """A sentence about `left_out`; empty without any."""
        if not self.left_out:
            return ""
        one = len(self.left_out) == 1
        are, which = ("is", "it") if one else ("are", "one of them")
        return f"{self.place}: {', '.join(self.left_out)} {are} not in the image. If the app runs {which}, name it in `packages`."


def find_system_packages(runs: Sequence[ShellCommand]) -> SystemPackages:
    """Return the packages that are installed when all commands have run, by apt; those of other systems are only noted."""
    installed: dict[str, None] = {}
    notes: list[str] = []
    place = ""
    for command in runs:
        program = posixpath.basename(command.words[0])
        arguments = [word for word in command.words[1:] if not word.startswith("-")]
        verb = arguments[0] if arguments else ""
        if program in ("apt-get", "apt", "aptitude"):
            names = dict.fromkeys(_names(arguments[1:]))
            if verb == "install":
                installed |= names
                place = place or command.place
            elif verb in ("purge", "remove", "autoremove"):
                installed = {name: None for name in installed if name not in names}
        elif program in _OTHER_SYSTEMS and verb in ("add", "install") and (others := [*_needed(_names(arguments[1:]))]):
            notes.append(f"{command.place}: {_OTHER_SYSTEMS[program]} packages are not in the image: {', '.join(others)}.")
    return _sorted_out(installed, place, notes)


def listed_packages(root: Path, files: UserFiles) -> SystemPackages:
    """Return the packages that a host installs for an app: those of Heroku's Aptfile, or of the packages.txt of Streamlit's and Gradio's.

    Other frameworks' packages.txt may be a list of Python packages.
    """
    hosted = files.is_file(root / _PACKAGES) and any(_FRAMEWORKS.search(_start(files, root / name)) for name in _LISTS)
    name = next((name for name in (_APTFILE, *([_PACKAGES] if hosted else ())) if files.is_file(root / name)), None)
    if name is None:
        return SystemPackages()
    # An Aptfile may also name a URL or, as `:repo:`, a repository.
    lines = (line.strip() for line in _start(files, root / name).decode("ascii", "replace").splitlines())
    words = [word for line in lines if not line.startswith(("#", ":")) and "://" not in line for word in line.split()]
    return _sorted_out(dict.fromkeys(_names(words)), name)


def _start(files: UserFiles, path: Path) -> bytes:
    try:
        return files.read_start(path, _MAX_BYTES)
    except OSError:
        return b""


def _sorted_out(installed: Iterable[str], place: str, notes: Iterable[str] = ()) -> SystemPackages:
    names = tuple(installed)
    headers = tuple(name for name in names if name.endswith("-dev"))
    return SystemPackages(tuple(_needed(names)), tuple(filter(_is_tool, names)), headers, place, tuple(notes))


def _names(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        name = re.split(r"[=/:<>~]", word)[0]
        if UNKNOWN not in word and _NAME.fullmatch(name) and not name.endswith((".deb", "-")):
            yield name


def _needed(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name not in _BUILD_ONLY and name not in _IN_BASE and not _is_tool(name) and not _BUILD_ONLY_PATTERN.fullmatch(name):
            yield name


def _is_tool(name: str) -> bool:
    return name in _TOOLS or name.startswith("postgresql-client-")
