"""Files of an image that come from no package: the virtual environment's own, the launcher, the volumes' directories."""

import json
from collections.abc import Iterator, Sequence

import msgspec

from shipwheel.container.signals import signal_number
from shipwheel.container.venv import VENV
from shipwheel.files.entry import FileEntry, directory, file, symlink
from shipwheel.files.segment import key_of
from shipwheel.versions import minor_version

__all__ = ["Generated", "launcher_command", "launcher_files", "venv_files", "volume_directories"]

LAUNCHER = "opt/shipwheel/launcher.py"
SETTINGS = "opt/shipwheel/launch.json"


class Generated(msgspec.Struct, frozen=True):
    """A source of a few small entries made from settings alone."""

    label: str
    files: tuple[FileEntry, ...]

    @property
    def key(self) -> str:
        """Hash of the entries themselves."""
        return key_of("generated", *(repr(entry) for entry in self.files))

    def entries(self) -> Iterator[FileEntry]:
        """Yield the entries."""
        yield from self.files


def venv_files(version: str, interpreter: str) -> Generated:
    """Return the files that make a virtual environment (PEP 405).

    `version` is the full Python version, `interpreter` the absolute path of the base's interpreter.
    """
    minor = minor_version(version)
    folder = interpreter.rpartition("/")[0]
    site_packages = f"{VENV}/lib/python{minor}/site-packages"
    # Only the minor version: the layer stays the same when the base moves to a newer patch release.
    text = f"home = {folder}\ninclude-system-site-packages = false\nversion = {minor}\nexecutable = {interpreter}\n"
    return Generated(
        "virtual environment",
        (
            file(f"{VENV}/pyvenv.cfg", text),
            symlink(f"{VENV}/bin/python", interpreter),
            symlink(f"{VENV}/bin/python3", "python"),
            symlink(f"{VENV}/bin/python{minor}", "python"),
            directory(site_packages),
        ),
    )


def volume_directories(volumes: Sequence[str], uid: int, workdir: str = "", links: Sequence[tuple[str, str]] = ()) -> Generated:
    """Return the mount points of volumes, and the links from below `workdir` to files on them.

    `uid` is that of the image's user: an engine that creates a volume copies owner and mode of its mount point. The group is 0, with the
    owner's rights, because clusters such as OpenShift run containers as any user of group 0.
    """
    mount_points = tuple(directory(path.strip("/"), 0o775, uid=uid, gid=0) for path in sorted(volumes))
    return Generated("volumes", (*mount_points, *(symlink(f"{workdir}/{path}", target) for path, target in sorted(links))))


def launcher_files(
    steps: Sequence[Sequence[str]],
    marks: str,
    every_start: Sequence[Sequence[str]] = (),
    *,
    stop_signal: str = "SIGTERM",
    workers_variable: str = "",
) -> Generated:
    """Return the launcher and its settings.

    `marks` is the directory where it records finished steps, `workers_variable` the variable that it sets to the number of CPUs.
    """
    values = {
        "always": [number for number, step in enumerate(steps) if step in every_start],
        "marks": marks,
        "steps": [list(step) for step in steps],
        "stop-signal": signal_number(stop_signal),
        "workers": workers_variable,
    }
    settings = json.dumps(values, indent=2, sort_keys=True)
    return Generated("launcher", (file(LAUNCHER, _program("launcher.py")), file(SETTINGS, settings + "\n")))


def _program(name: str) -> str:
    """Return the source of a runtime module, which runs inside the image."""
    import importlib.resources

    return importlib.resources.files("shipwheel.runtime").joinpath(name).read_text(encoding="utf-8")


def launcher_command(interpreter: str) -> tuple[str, ...]:
    """Return the command line that starts the launcher: isolated and without the site module, so that it starts in milliseconds."""
    return (interpreter, "-I", "-S", "-B", f"/{LAUNCHER}")
