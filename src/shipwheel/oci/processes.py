"""Labels of an image about running it: its processes (web, worker, release) with their commands, and its health path."""

from collections.abc import Mapping

import msgspec

from shipwheel.errors import UsageError
from shipwheel.oci.execution import ExecutionConfig

__all__ = ["LABEL_HEALTH", "LABEL_PROCESSES", "process_command", "processes_label", "read_health_path", "read_processes"]

LABEL_PROCESSES = "io.shipwheel.processes"
"""Label of an image: a JSON object of process -> list of words."""
LABEL_HEALTH = "io.shipwheel.health"
"""Label of an image: the path of a URL that tells over HTTP that the app is well."""


def processes_label(processes: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the label that records processes; empty without any."""
    return {LABEL_PROCESSES: msgspec.json.encode(dict(sorted(processes.items()))).decode()} if processes else {}


def read_processes(labels: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return process -> command of an image's labels; empty if there is no such label, or if it is malformed."""
    try:
        found = msgspec.json.decode(labels.get(LABEL_PROCESSES, "{}"), type=dict[str, tuple[str, ...]])
    except msgspec.MsgspecError:
        return {}
    return {name: words for name, words in found.items() if words and words[0] and not any("\0" in word for word in words)}


def read_health_path(labels: Mapping[str, str]) -> str:
    """Return the health path of an image's labels; empty if there is none."""
    path = labels.get(LABEL_HEALTH, "")
    return path if path.startswith("/") and path.isprintable() and " " not in path else ""


def process_command(config: ExecutionConfig, name: str, image: str) -> tuple[str, ...] | None:
    """Return the command of an image's process behind its init; None for `web`, which is the image's own command.

    The steps before the start belong to the web server alone. Raise UsageError if the image has no such process.
    """
    if name == "web":
        return None
    processes = read_processes(config.labels)
    if name not in processes:
        hint = f"It has {', '.join(processes)}." if processes else "Name it in the settings: [tool.shipwheel.processes]."
        raise UsageError(f"{image} has no process {name}", hint=hint)
    has_init = config.entrypoint[1:2] == ("--",)
    return (*(config.entrypoint[:2] if has_init else ()), *processes[name])
