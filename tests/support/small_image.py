"""The root of an image that has nothing but a shell."""

import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["make_small_image"]

_SHELL = "/bin/sh"


def make_small_image(root: Path) -> None:
    """Fill a root with a shell, which also stands for Python: both take `-c`."""
    listed = subprocess.run(["ldd", _SHELL], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", listed):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    for path in ("bin/sh", "opt/venv/bin/python"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_SHELL, root / path)
    (root / "tmp").mkdir()
    (root / "app").mkdir()
    (root / "app" / "main.py").write_text("print(1)\n")
