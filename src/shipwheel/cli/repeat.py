"""A build whose outcome is known: what it would look at is as the last one saw it, and the registry's tag is where that left it.

What the last one looked at is told by a `Witness`. The rest is in the key of its record: arguments, environment, working directory, user,
day, Python, programs that may be missing, and shipwheel's own files. So nothing that a build needs is imported, and the registry is asked
one question.
"""

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shipwheel.cli.left_out import left_out
from shipwheel.download.http import TransientError
from shipwheel.errors import ShipwheelError
from shipwheel.store.store import Store, default_root
from shipwheel.witness.file_states import Uncomparable, tree_state
from shipwheel.witness.looks import Looks

with left_out("ssl"):
    # The client for registries of this machine needs none of its half that speaks https, nor does anything else here.
    import http.client  # noqa: F401

if TYPE_CHECKING:
    from shipwheel.cli.terminal import Terminal
    from shipwheel.events import Event

__all__ = ["Outcome", "RepeatableBuild", "own_code", "repeat_build"]

_KIND = "builds"

_OF_THE_SESSION = frozenset({"_", "OLDPWD", "SHLVL", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "TERM_SESSION_ID", "WINDOWID"})
"""Variables that tell one terminal from another, and nothing else."""

_PROGRAMS = ("bwrap", "docker", "git", "podman")
"""Programs without which a build may end otherwise, with a hint to install them."""


class Outcome(msgspec.Struct, frozen=True):
    """The words of a build that finds everything done: its table, and its result as a document and as a line."""

    tag: str
    digest: str
    table: str
    images: int
    document: dict[str, Any]
    reference: str


class _Record(msgspec.Struct, frozen=True):
    looks: Looks
    outcome: Outcome
    warnings: list[tuple[str, str]]
    quiet: bool
    as_json: bool


class RepeatableBuild:
    """A build whose outcome may be kept. It takes the build's events, and passes them to the terminal."""

    def __init__(self, terminal: "Terminal") -> None:
        from shipwheel.witness.witness import Witness

        self._terminal = terminal
        self._key = _own_key()
        self._warnings: list[tuple[str, str]] = []
        self._lasting = True
        package = Path(__file__).parent.parent
        self._witness = Witness((str(default_root().absolute()), str(package), *_library_folders()))

    def report(self, event: "Event") -> None:
        """Take an event."""
        from shipwheel.events import Warned

        if isinstance(event, Warned):
            self._warnings.append((event.message, event.hint))
            self._lasting = self._lasting and event.lasting
        self._terminal.report(event)

    def keep(self, outcome: Outcome, root: Path, *, did_nothing: bool) -> None:
        """Keep the outcome of a build of the project in `root`, unless something changed meanwhile.

        A build that did something may warn of what it met on its way, so with such warnings only that of one that did nothing is kept.
        """
        looks = self._witness.looks(str(root))
        if looks is None or self._key is None or self._terminal.verbose or not (self._lasting or did_nothing):
            return
        record = _Record(looks, outcome, self._warnings, self._terminal.quiet, self._terminal.as_json)
        # The work is done: a full disk does not make it fail, nor does a path that is no text.
        with suppress(ShipwheelError, UnicodeEncodeError):
            Store(default_root()).put(_KIND, self._key, msgspec.json.encode(record))


def repeat_build(terminal: "Terminal") -> bool:
    """Say again what the last build with the same arguments said, if it would end in the same. Return False if it has to run.

    Whatever goes wrong here goes wrong in the build as well, which says so.
    """
    began = time.monotonic()
    key = _own_key()
    if key is None or not (root := default_root()).is_dir():
        return False
    try:
        record = Store(root).get_as(_KIND, key, _Record)
        if record is None or not record.looks.are_current() or not _is_there(record.outcome):
            return False
    except (ShipwheelError, TransientError):
        return False
    _say_again(record, terminal, time.monotonic() - began)
    return True


def _is_there(outcome: Outcome) -> bool:
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.loopback import loopback_digest

    reference = Reference.parse(outcome.tag)
    digest = loopback_digest(reference)
    if digest is None:
        from shipwheel.registry.repository import Repository

        with Repository(reference) as repository:
            digest = repository.digest_at_once(reference.tag_or_latest)
    return digest == outcome.digest


def _say_again(record: _Record, terminal: "Terminal", seconds: float) -> None:
    from shipwheel.cli.terminal import Verbosity

    terminal.set_up(Verbosity.QUIET if record.quiet else Verbosity.NORMAL, as_json=record.as_json)
    outcome = record.outcome
    for message, hint in record.warnings:
        terminal.warn(message, hint)
    if not record.as_json:
        images = f"{outcome.images} image{'' if outcome.images == 1 else 's'}"
        terminal.note(f"{outcome.table}\nnothing has changed: {images} found in {seconds:.1f} s")
    terminal.result(lambda: {**outcome.document, "seconds": round(seconds, 3)}, [outcome.reference])


@cache
def _own_key() -> str | None:
    """Return the key of the build that this process runs, as it was when it began."""
    return _key(sys.argv[1:])


def _key(arguments: Sequence[str]) -> str | None:
    """Return the key of a build's record; None if something about this process cannot be told."""
    environment = sorted(item for item in os.environ.items() if item[0] not in _OF_THE_SESSION)
    try:
        libraries = [(folder, os.stat(folder).st_mtime_ns) for folder in _library_folders()]  # noqa: PTH116
        code = own_code()
        folder = os.getcwd()  # noqa: PTH109
    except (OSError, Uncomparable):
        return None
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    programs = [shutil.which(name) for name in _PROGRAMS]
    everything = (list(arguments), environment, folder, user, time.strftime("%F", time.gmtime()), sys.version, programs, code, libraries)
    return hashlib.sha256(repr(everything).encode(errors="surrogateescape")).hexdigest()


@cache
def own_code() -> str:
    """Return the state of the code that this process runs. Raise OSError and Uncomparable."""
    return tree_state(str(Path(__file__).parent.parent))


def _library_folders() -> list[str]:
    """Return the directories of the standard library and of installed packages."""
    return [os.path.dirname(os.__file__), *(path for path in sys.path if path.endswith(("site-packages", "dist-packages")))]  # noqa: PTH120
