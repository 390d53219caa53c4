"""Programs for the peers' Dockerfiles: uv for both architectures, and pip."""

import ensurepip
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from uv import find_uv_bin

__all__ = ["foreign_uv", "native_uv", "pip_wheel"]


def native_uv(folder: Path) -> Path:
    """Put this machine's uv into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(find_uv_bin(), folder / "uv")
    return folder


def foreign_uv(folder: Path, machine: str) -> Path:
    """Put the same version of uv for another machine, such as aarch64, into a folder, unless it is there. Return the folder."""
    if not (folder / "uv").exists():
        version = subprocess.run([find_uv_bin(), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        with tempfile.TemporaryDirectory() as place:
            argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", place]
            subprocess.run([*argv, f"--platform=manylinux_2_17_{machine}", f"uv=={version}"], check=True)
            (wheel,) = Path(place).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "new").write_bytes(archive.read(f"uv-{version}.data/scripts/uv"))
        (folder / "new").chmod(0o755)
        (folder / "new").rename(folder / "uv")
    return folder


def pip_wheel(folder: Path) -> Path:
    """Put Python's own wheel of pip, which runs as it is, into a folder as pip.whl, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (wheel,) = Path(ensurepip.__file__).parent.joinpath("_bundled").glob("pip-*.whl")
    shutil.copy2(wheel, folder / "pip.whl")
    return folder
