"""The files of an image that no package brings: the virtual environment's own, the launcher, the volumes."""

import json
from collections.abc import Iterator, Sequence

import msgspec

from shipwheel.files.entry import FileEntry, directory, file, symlink
from shipwheel.files.segment import key_of
from shipwheel.venv import VENV
from shipwheel.versions import minor_version

__all__ = ["Generated", "launcher_command", "launcher_files", "venv_files", "volume_directories"]

LAUNCHER = "opt/shipwheel/launcher.py"
SETTINGS = "opt/shipwheel/launch.json"
_FIRST_PROCESS = "_shipwheel_first_process"


class Generated(msgspec.Struct, frozen=True):
    """A source of entries that are made from settings alone, and are small."""

    label: str
    files: tuple[FileEntry, ...]

    @property
    def key(self) -> str:
        """Over the entries themselves."""
        return key_of("generated", *(repr(entry) for entry in self.files))

    def entries(self) -> Iterator[FileEntry]:
        """The entries."""
        yield from self.files


def venv_files(version: str, interpreter: str) -> Generated:
    """What makes the directory a virtual environment (PEP 405). `version` is the full one, `interpreter` the base's, absolute."""
    minor = minor_version(version)
    folder = interpreter.rpartition("/")[0]
    site_packages = f"{VENV}/lib/python{minor}/site-packages"
    # Without the last part of the version: the layer stays when the base gets a newer patch release.
    text = f"home = {folder}\ninclude-system-site-packages = false\nversion = {minor}\nexecutable = {interpreter}\n"
    return Generated(
        "virtual environment",
        (
            file(f"{VENV}/pyvenv.cfg", text),
            symlink(f"{VENV}/bin/python", interpreter),
            symlink(f"{VENV}/bin/python3", "python"),
            symlink(f"{VENV}/bin/python{minor}", "python"),
            directory(site_packages),
            file(f"{site_packages}/{_FIRST_PROCESS}.py", _program("first_process.py")),
            file(f"{site_packages}/{_FIRST_PROCESS}.pth", f"import os; os.getpid() == 1 and __import__({_FIRST_PROCESS!r})\n"),
        ),
    )


def volume_directories(
    volumes: Sequence[str], owner: tuple[int, int], workdir: str = "", links: Sequence[tuple[str, str]] = ()
) -> Generated:
    """The mount points, owned by the image's user: an engine that makes a volume of one copies its owner.

    Beside them the links below the working directory that lead onto volumes.
    """
    places = tuple(directory(path.strip("/"), 0o755, uid=owner[0], gid=owner[1]) for path in sorted(volumes))
    return Generated("volumes", (*places, *(symlink(f"{workdir}/{path}", target) for path, target in sorted(links))))


def launcher_files(steps: Sequence[Sequence[str]], marks: str, every_start: Sequence[Sequence[str]] = ()) -> Generated:
    """The launcher and its settings; `marks` is the directory on the volume that remembers finished steps."""
    always = [number for number, step in enumerate(steps) if step in every_start]
    settings = json.dumps({"always": always, "marks": marks, "steps": [list(step) for step in steps]}, indent=2, sort_keys=True)
    return Generated("launcher", (file(LAUNCHER, _program("launcher.py")), file(SETTINGS, settings + "\n")))


def _program(name: str) -> str:
    """The source of a module of ours that runs inside the image."""
    import importlib.resources

    return importlib.resources.files("shipwheel.runtime").joinpath(name).read_text(encoding="utf-8")


def launcher_command(interpreter: str) -> tuple[str, ...]:
    """The entrypoint that starts the launcher: isolated, without the site module, so that it starts in milliseconds."""
    return (interpreter, "-I", "-S", "-B", f"/{LAUNCHER}")
