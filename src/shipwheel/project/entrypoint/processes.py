"""The processes of a project beside its web server: workers, schedulers and the release step that deployment files declare."""

import posixpath
from collections.abc import Iterator

from msgspec.structs import replace

from shipwheel.project.deployment.process import BUILD, RELEASE, DeploymentFile
from shipwheel.project.entrypoint.declared import find_process, started_with
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.runnable import SERVE_FILES
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["with_processes"]

_WEB = "web"
_MAX_PROCESSES = 20


def with_processes(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with the other processes that the image can run, and notes about those that it cannot.

    Those of the settings come before those of the deployment files. An image with its command alone has none.
    """
    found, notes, beside = dict[str, tuple[str, ...]](), [], dict[tuple[str, ...], str]()
    for kind in DeploymentFile:
        declared = [process for process in scan.deployment.of_kind(kind) if process.name not in (_WEB, BUILD)]
        for process in declared[:_MAX_PROCESSES] if not found else ():
            words, reason = find_process(process, evidence, launch.directory)
            reason = reason or _missing_package(words, evidence, scan)
            if reason and kind.is_firm:
                notes.append(f"{process.place}: the process {process.name} cannot run in the image: {reason}.")
            elif not reason and (kind is not DeploymentFile.DOCKERFILE or words != (*launch.command, *launch.arguments)):
                # Of what runs once, the first names it; of what a supervised script runs, the last one lasts.
                found[process.name] = found.get(process.name, words) if process.name == RELEASE else words
                beside.update(started_with(process, evidence))
    processes = {**found, **dict(evidence.settings.processes)}
    processes.pop(_WEB, None)
    notes += [note for words, note in beside.items() if words not in processes.values()]
    more = {**processes, _WEB: (*launch.command, *launch.arguments)} if processes else {}
    return replace(launch, processes=tuple(sorted(more.items())), notes=(*launch.notes, *_without_repetition(notes, launch)))


def _missing_package(words: tuple[str, ...], evidence: Evidence, scan: Scan) -> str:
    """Return that a file which a process runs imports a server that the project does not require: an image of its own has it."""
    run = {posixpath.normpath(word) for word in words[1:]} if words[:1] == ("python",) else set[str]()
    imported = {name for module in scan.modules if {module.file, module.name} & run for name in module.imports}
    lacks = sorted(name for name in imported & SERVE_FILES if not evidence.has_installed(name))
    return f"it imports {lacks[0]}, which the project does not require" if lacks else ""


def _without_repetition(notes: list[str], launch: Launch) -> Iterator[str]:
    return (note for note in dict.fromkeys(notes) if note not in launch.notes)
