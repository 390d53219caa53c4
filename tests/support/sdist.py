"""A source distribution that needs nothing from an index to be built."""

import io
import tarfile
from collections.abc import Mapping

__all__ = ["packed", "sdist"]


def sdist(name: str, version: str = "1.0", build: str = "") -> bytes:
    """Return an sdist that contains its build backend, which makes a pure wheel with the standard library alone.

    `build` is Python that runs first.
    """
    backend = f"""
import os, zipfile
def build_wheel(folder, *_):
    exec({build!r})
    name = "{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        info = "{name}-{version}.dist-info"
        wheel.writestr("{name}.py", "BUILT = True\\n")
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name
"""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n',
        "backend.py": backend,
    }
    return packed(name, version, files)


def packed(name: str, version: str, files: Mapping[str, str]) -> bytes:
    """Return an sdist with these files: path -> text."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(f"{name}-{version}/{path}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
