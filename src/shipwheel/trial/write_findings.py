"""Findings about paths that an app writes, and the settings that make them writable. Pure."""

import posixpath
from collections.abc import Container, Sequence

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.trial.finding import Finding, FindingKind, Setting
from shipwheel.trial.observation import Observation
from shipwheel.trial.source_facts import SourceFacts
from shipwheel.trial.source_findings import is_beside_packages

__all__ = ["fresh_directories", "with_lost_writes", "with_refused_writes"]

_NO_FACTS = SourceFacts()
_STATE_HINT = "Name it in the setting `state`, which moves it to a volume."
_MAX_LOST = 20
"""Written paths that are named."""


def with_lost_writes(
    findings: Sequence[Finding], second: Observation, config: ExecutionConfig, source: SourceFacts = _NO_FACTS
) -> tuple[Finding, ...]:
    """Add what a second run wrote outside of the volumes: it had a writable root, and came further than the first."""
    volumes = tuple(f"{volume.rstrip('/')}/" for volume in config.volumes)
    paths = [path for path in second.written if not path.startswith(volumes or ("\0",)) and "/__pycache__/" not in path]
    directories = fresh_directories(paths)
    loose = [path for path in paths if not path.endswith("/") and not path.startswith(directories or ("\0",))]
    return (*findings, *(_lost_write(path, config.working_dir, source) for path in (*directories, *loose)[:_MAX_LOST]))


def with_refused_writes(findings: Sequence[Finding], config: ExecutionConfig) -> tuple[Finding, ...]:
    """Add the setting to the findings of paths that cannot be written and that nothing else brings, from the paths in their errors."""
    known = [finding.setting for finding in findings]
    return tuple(_with_state(finding, config.working_dir, known) for finding in findings)


_OF_THE_SYSTEM = lazy_pattern(
    r"/(?:bin|boot|dev|etc|home|lib\w*|opt|proc|root|run|sbin|srv|sys|tmp|usr|var|var/\w+)?|/(?:dev|proc|sys|usr)/.*"
)
"""Directories that a volume would empty, or that the kernel has."""


def _with_state(finding: Finding, workdir: str, known: Container[Setting | None]) -> Finding:
    inside = f"{workdir.rstrip('/')}/"
    # A program that looks beside its own file names ".." in its path.
    subject = posixpath.normpath(posixpath.join(inside, finding.subject)) if finding.subject else ""
    if finding.kind is not FindingKind.NOT_WRITABLE or finding.setting is not None or not subject:
        return finding
    is_file = "." in subject.rpartition("/")[2].lstrip(".") and not finding.subject.endswith("/")
    if subject.startswith(inside):
        path = subject.removeprefix(inside)
        setting = Setting("state", (path if is_file else f"{path}/",))
        usable = inside != "/" and bool(path)
    else:
        folder = posixpath.dirname(subject) if is_file else subject
        setting = Setting("volumes", (folder,))
        usable = finding.subject.endswith("/") and _OF_THE_SYSTEM.fullmatch(folder) is None
    return msgspec.structs.replace(finding, setting=setting) if usable and setting not in known else finding


def _lost_write(path: str, workdir: str, source: SourceFacts) -> Finding:
    if source.beside and is_beside_packages(path):
        hint = 'Set install = "source", which takes the directory as it is: the program looks for it above its own modules.'
        return Finding(FindingKind.LOST_WRITES, f"it writes {path}", hint, path, setting=Setting("install", "source"), blocks=True)
    inside = f"{workdir.rstrip('/')}/"
    is_inside = inside != "/" and path.startswith(inside)
    setting = Setting("state", (path.removeprefix(inside) if is_inside else path,)) if is_inside or path.endswith("/") else None
    hint = _STATE_HINT if setting is not None else "Name its directory in the setting `volumes`, or point the program at one below /data."
    return Finding(FindingKind.LOST_WRITES, f"it writes {path}", hint, path, setting=setting, blocks=True)


def fresh_directories(written: Sequence[str]) -> tuple[str, ...]:
    """Return the topmost of the directories in `written`, which the observer lists if nothing was in them before."""
    found: list[str] = []
    for path in sorted(path for path in written if path.endswith("/")):
        if not path.startswith(tuple(found) or ("\0",)):
            found.append(path)
    return tuple(found)
