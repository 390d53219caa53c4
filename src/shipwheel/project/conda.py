"""Requirements from a conda environment file or a manifest of pixi.

What they take from the package index counts as it is. Of their conda packages, only those count that the code imports, or that are known
to have the same name on the index: the others are libraries and tools, and the index may have strangers' packages of their names.
"""

from collections.abc import Container, Iterable
from pathlib import Path

import msgspec

from shipwheel.known_packages import COMMON_PACKAGES, package_of_module
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.conda_manifest import CondaManifest
from shipwheel.project.deployment.yaml_file import parse_yaml, yaml_list, yaml_table, yaml_text
from shipwheel.project.pixi import read_pixi
from shipwheel.user.files import UserFiles
from shipwheel.versions import normalized, requirement_name

__all__ = ["CONDA_FILES", "CondaEnvironment", "read_conda"]

CONDA_FILES = ("environment.yml", "environment.yaml", "env.yml", "env.yaml", "conda.yml", "conda.yaml")
_MAX_BYTES = 1 << 20
_MAX_NAMED = 8
_SPEC = lazy_pattern(r"(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)\s*(.*)")
_VERSION = lazy_pattern(r"(={0,2})\s*v?(\d[\w.]*?)(\.?\*)?([= ]\S*)?")
"""Equals signs, a version, a star for all that begin so, and a build."""
_RANGE = lazy_pattern(r"[<>!~]=?\s*\d[\w.*]*(?:\s*,\s*[<>!~]=?\s*\d[\w.*]*)*")
_NAME_ON_INDEX = {
    "pytorch": "torch",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "msgpack-python": "msgpack",
}
_OF_PYTHON = frozenset({"python", "pip", "setuptools", "wheel"})


class CondaEnvironment(msgspec.Struct, frozen=True):
    """A conda environment: the requirements (PEP 508) that come from it, and the conda packages that are left out."""

    file: str
    requirements: tuple[str, ...]
    left_out: tuple[str, ...]
    name: str = ""
    python: str = ""
    """A version specifier (PEP 440); empty for any Python."""

    @property
    def note(self) -> str:
        """A sentence about what was taken, for people; empty for nothing but a Python."""
        if not (self.requirements or self.left_out):
            return ""
        more = f" and {len(self.left_out) - _MAX_NAMED} more" if len(self.left_out) > _MAX_NAMED else ""
        rest = f"; left out, since the code does not import them: {', '.join(self.left_out[:_MAX_NAMED])}{more}" if self.left_out else ""
        what = f"{self.file}'s [tool.pixi]" if self.file == "pyproject.toml" else self.file
        return f"{what} is for conda: its Python packages come from the package index{rest}."


def read_conda(files: UserFiles, root: Path, imports: Iterable[str], stated: Container[str] = ()) -> CondaEnvironment | None:
    """Return a directory's conda environment; None without a file, or with one that asks for nothing that an image can have.

    `imports` are dotted names that the code imports, `stated` the normalized names of what the project's metadata requires from the index.
    Raise ProjectError for a manifest of pixi with a syntax error.
    """
    listed = read_pixi(files, root) or _read_environment(files, root)
    if listed is None:
        return None
    imported = {normalized(package_of_module(each)) for each in imports}
    requirements, left_out = list[str](), list[str]()
    for name, version in listed.packages:
        if name.lower() in _OF_PYTHON:
            continue
        # Of conda-forge: a package with one of its extras.
        package = normalized(_NAME_ON_INDEX.get(name.lower(), name.partition("-with-")[0]))
        if package in stated:
            continue
        if package in imported or package in COMMON_PACKAGES:
            requirements.append(f"{package}{_specifier(version)}")
        else:
            left_out.append(name)
    requirements += (line for each in listed.requirements if (line := _pip_line(each)) and requirement_name(line) not in stated)
    python = _specifier(listed.python)
    if not (requirements or python):
        return None
    return CondaEnvironment(listed.file, tuple(dict.fromkeys(requirements)), tuple(left_out), listed.name, python)


def _read_environment(files: UserFiles, root: Path) -> CondaManifest | None:
    """Return what a directory's environment.yml lists; None without one."""
    name = next((name for name in CONDA_FILES if files.is_file(root / name)), None)
    if name is None:
        return None
    try:
        entries = yaml_list(parse_yaml(files.read_start(root / name, _MAX_BYTES)).get("dependencies"))
    except OSError:
        return None
    found = [match for entry in entries if (match := _SPEC.fullmatch(yaml_text(entry).strip())) is not None]
    lines = (yaml_text(each) for entry in entries for each in yaml_list(yaml_table(entry).get("pip")))
    return CondaManifest(name, packages=tuple((match[1], match[2].strip()) for match in found), requirements=tuple(lines))


def _pip_line(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(text.partition(" #")[0].strip()))
    except InvalidRequirement:
        return ""


def _specifier(text: str) -> str:
    """Return conda's version as a specifier (PEP 440): `=1.2` means any 1.2, `1.2`, `==1.2` and `=1.2=build` that version.

    Empty for what the index has no like of: `=2022a`, `1.2|1.4`.
    """
    found = text.replace(" ", "") if _RANGE.fullmatch(text) else ""
    if (match := _VERSION.fullmatch(text)) is not None:
        equals, version, star, build = match.groups()
        found = f"=={version}.*" if star or (equals == "=" and not build) else f"=={version}"
    return found if _pip_line(f"package{found}") else ""
