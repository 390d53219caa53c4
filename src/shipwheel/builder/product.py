"""The checks of a compiled wheel: its tags and its ELF files are for the target. Debugging symbols are removed, as in Debian's packages."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from shipwheel.builder.build_run import BuildRun
from shipwheel.builder.surroundings import INSIDE
from shipwheel.errors import BuildError
from shipwheel.files.elf import MACHINES, is_elf, read_elf
from shipwheel.locking.target import Target
from shipwheel.wheels.rewrite import rewrite_wheel

__all__ = ["check_product", "strip_product"]

_HEAD = 64


def check_product(wheel: Path, target: Target, label: str) -> None:
    """Raise BuildError if a wheel is not for the target by its tags, or if an ELF file in it is for another machine."""
    from packaging.utils import parse_wheel_filename

    if parse_wheel_filename(wheel.name)[3].isdisjoint(target.tags()):
        raise BuildError(f"{label} builds {wheel.name}, which is not for {target}", hint=_hint(target))
    expected = MACHINES[target.platform.architecture]
    for name, machine in _elf_files(wheel):
        if machine != expected:
            message = f"{label} builds {wheel.name}, whose file {name} is for {machine.removeprefix('EM_')} instead of {target.platform}"
            raise BuildError(message, hint=_hint(target))


def strip_product(wheel: Path, run: BuildRun) -> None:
    """Remove the debugging symbols of a wheel's ELF files, as `strip --strip-debug` does. Raise BuildError if that fails.

    Neither the program nor the directory is one that the backend could change.
    """
    names = [name for name, _ in _elf_files(wheel)]
    if not names:
        return
    folder, inside = run.place / "strip", f"{INSIDE}/strip"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for number, name in enumerate(names):
            (folder / str(number)).write_bytes(archive.read(name))
    files = [f"{inside}/{number}" for number in range(len(names))]
    # Programs keep their symbol tables: some load plugins that refer to them.
    finished = run.run([run.surroundings.strip, "--strip-debug", *files], more={inside: (folder, True)})
    if finished.code != 0:
        raise BuildError(
            f"the debugging symbols of {wheel.name} cannot be removed: {finished.stderr.strip()}", hint="Choose another version."
        )
    rewrite_wheel(wheel, {name: (folder / str(number)).read_bytes() for number, name in enumerate(names)})


def _elf_files(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield the ELF files of a wheel, each with its machine."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                if not is_elf(member.read(_HEAD)):
                    continue
            with archive.open(info) as member:
                if (found := read_elf(cast(BinaryIO, member), info.filename, wheel.name)) is not None:
                    yield info.filename, found.machine


def _hint(target: Target) -> str:
    return (
        "Its build does not obey CC and the other variables of cross compilers. Build it on a machine with that processor, or choose "
        f"a version that has a wheel for {target.platform.machine}."
    )
