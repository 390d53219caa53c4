"""The wheels that pip and uv choose for a target other than this machine, according to their command lines."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import uv

__all__ = ["Peer", "Pip", "Uv", "Where", "newest_pip"]

_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX")
_OLDEST = {"x86_64": 5, "aarch64": 17}


@dataclass(frozen=True, slots=True)
class Where:
    """A machine ("x86_64"), a full Python version ("3.11.2") and a glibc version ((2, 36))."""

    machine: str
    python: str
    glibc: tuple[int, int]

    def platforms(self) -> list[str]:
        """All platform tags of the glibc, the best first (PEP 600, with its aliases)."""
        found = []
        for minor in range(self.glibc[1], _OLDEST[self.machine] - 1, -1):
            found.append(f"manylinux_2_{minor}_{self.machine}")
            found += [f"{_ALIASES[minor]}_{self.machine}"] if minor in _ALIASES else []
        return [*found, f"linux_{self.machine}"]

    def __str__(self) -> str:
        return f"{self.machine}, Python {self.python}, glibc {self.glibc[0]}.{self.glibc[1]}"


def newest_pip(folder: Path) -> Path:
    """Install the newest pip in a virtual environment: older versions download wheels even in a dry run."""
    program = folder / "bin" / "pip"
    if not program.exists():
        subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--no-project", "--seed", "--python", sys.executable, str(folder)], check=True)
    return program


class Peer:
    """A program that chooses wheels. `index` is the URL of a package index, `cache` a directory."""

    def __init__(self, program: list[str], index: str, cache: Path) -> None:
        self.program = program
        self.index = index
        self.cache = cache

    def version(self) -> str:
        """The first two words that `--version` prints, for example `pip 26.3`."""
        return " ".join(self._run(["--version"]).stdout.split()[:2])

    def choose(self, where: Where, pins: Mapping[str, str], likely: Collection[str]) -> dict[str, str]:
        """Return name -> the file that it chooses of a version, or "".

        `likely` are the names that probably have one: they are asked for together, the others alone, since one failure ends a run.
        The answers do not depend on it.
        """
        found: dict[str, str] = {}
        together = {name: pins[name] for name in pins if name in likely}
        alone = [name for name in pins if name not in likely]
        while together:
            files, failed = self._ask(where, together)
            if failed is None:
                found |= files
                break
            alone += list(together) if failed not in together else [failed]
            together = {name: version for name, version in together.items() if name not in alone}
        for name in alone:
            found[name] = self._ask(where, {name: pins[name]})[0].get(name, "")
        return found

    def _ask(self, where: Where, pins: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
        """Return name -> file for all, or nothing and the name that it failed for ("" if it does not say)."""
        raise NotImplementedError

    def _run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as empty:
            (Path(empty) / "none.txt").touch()
            environment = {
                **{
                    name: value
                    for name, value in os.environ.items()
                    if name not in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX")
                },
                # What this machine adds to every question: files on its disk, limits for versions.
                "PIP_FIND_LINKS": empty,
                "PIP_CONSTRAINT": f"{empty}/none.txt",
                "PIP_CACHE_DIR": str(self.cache / "pip"),
                "UV_CACHE_DIR": str(self.cache / "uv"),
                "UV_DEFAULT_INDEX": self.index,
                "UV_INDEX": "",
                "UV_NO_CONFIG": "1",
            }
            return subprocess.run([*self.program, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=empty)


class Pip(Peer):
    """pip, through `install --dry-run --report`."""

    def _ask(self, where: Where, pins: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
        with tempfile.TemporaryDirectory() as folder:
            listed, report = Path(folder) / "pins.txt", Path(folder) / "report.json"
            listed.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
            run = self._run(
                [
                    *("install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"),
                    *("--index-url", self.index, "--target", f"{folder}/target", "--report", str(report), "--requirement", str(listed)),
                    *("--implementation", "cp", "--python-version", where.python),
                    *("--abi", "cp" + "".join(where.python.split(".")[:2])),
                    *(option for platform in where.platforms() for option in ("--platform", platform)),
                ]
            )
            if run.returncode == 0:
                return dict(_reported(item) for item in json.loads(report.read_text())["install"]), None
        failed = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+?)==", run.stderr)
        if failed is None:
            raise RuntimeError(f"pip, {where}: {run.stderr[-2000:]}")
        return {}, _normalized(failed[1])


def _reported(item: Mapping[str, dict[str, str]]) -> tuple[str, str]:
    path = urlsplit(item["download_info"]["url"]).path
    return _normalized(item["metadata"]["name"]), unquote(path.rpartition("/")[2])


class Uv(Peer):
    """uv, through `pip compile`, whose log contains the chosen file."""

    NEWEST = 40
    """The newest glibc 2.x that uv has a target name for."""

    def _ask(self, where: Where, pins: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
        platform = f"{where.machine}-manylinux_2_{min(where.glibc[1], self.NEWEST)}"
        with tempfile.TemporaryDirectory() as folder:
            listed = Path(folder) / "pins.in"
            listed.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
            run = self._run(
                [
                    *("pip", "compile", "--verbose", "--color", "never", "--no-deps", "--only-binary", ":all:", "--no-header"),
                    *("--prerelease", "allow", "--python-platform", platform, "--python-version", where.python),
                    # Any: else it looks through all that the machine has, for many seconds.
                    *("--python", sys.executable, str(listed)),
                ]
            )
        if run.returncode == 0:
            return dict(re.findall(r"Selecting: ([a-z0-9-]+)==\S+ \[[^\]]*\] \((\S+\.whl)\)", run.stderr)), None
        failed = re.search(r"Because (?:only )?([a-z0-9-]+)(?:==| )", run.stderr)
        if "No solution found" not in run.stderr:
            raise RuntimeError(f"uv, {where}: {run.stderr[-2000:]}")
        return {}, failed[1] if failed else ""


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
