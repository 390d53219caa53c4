"""The tools that write locks, installed from the package index, and one project in the form that each of them reads.

Their versions are pinned, so that a test fails because of a change in shipwheel and not in a tool.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

import uv

from shipwheel.locking.uv import default_index
from shipwheel.project.indexes import read_indexes, without_login
from shipwheel.project.workspace import read_workspace
from shipwheel.testing.world import MINOR
from shipwheel.user.files import UserFiles

__all__ = ["ORIGINALS", "Original", "Places", "environment", "installed", "make_places", "repositories", "run"]

_VERSIONS = {
    "uv": "uv==0.13.9",
    "poetry": "poetry==2.5.1",
    "pdm": "pdm==2.29.4",
    "pipenv": "pipenv==2026.10.3",
    "pip-tools": "pip-tools==7.6.2",
    "pip": "pip==26.3",
}
_BESIDE = {"pdm": ("hishel<2",)}
"""Requirements without which a tool no longer works."""
_FOREIGN = ("VIRTUAL_ENV", "PYTHON", "PIPENV_", "POETRY_", "PDM_", "UV_", "PIP_FIND_LINKS", "PIP_CONSTRAINT")
_NOWHERE = "http://git.invalid/"
_BACKEND = '[build-system]\nrequires = ["flit_core>=3.11,<4"]\nbuild-backend = "flit_core.buildapi"\n'


@dataclass(frozen=True)
class Places:
    """The requirements that no index has: a directory in the project, a repository, the URL of a wheel."""

    directory: str
    repository: str
    address: str


@dataclass(frozen=True)
class Original:
    """A tool: `write` makes the project, `lock` its lock, and `install` installs that lock into `.venv` in the directory.

    Each takes a `run` that starts programs of the tool's own environment; `settings` are lines of shipwheel.toml.
    """

    tool: str
    write: Callable[[Path, Places], None]
    lock: tuple[tuple[str, ...], ...]
    install: tuple[tuple[str, ...], ...]
    settings: str = ""
    lock_file: str = "pylock.toml"


def run(*command: str | Path, cwd: Path, env: Mapping[str, str]) -> str:
    """Run a program to its end and return its output from both pipes. Raise AssertionError with the output if it fails."""
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def environment(cache: Path, tool: str) -> dict[str, str]:
    """Return the environment of a tool: the machine's indexes and certificates, the tests' caches, virtual environments in the project."""
    home = cache / "tools" / _VERSIONS[tool]
    if not (home / "bin" / "python").exists():
        run(uv.find_uv_bin(), "venv", "-q", "--no-project", "--python", sys.executable, home, cwd=cache, env=_clean())
        run(uv.find_uv_bin(), "pip", "install", "-q", "--python", home, _VERSIONS[tool], *_BESIDE.get(tool, ()), cwd=cache, env=_clean())
    # Some of them leave what they make there.
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    own = {
        "TMPDIR": str(temporary),
        "PATH": f"{home / 'bin'}{os.pathsep}{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.defpath}",
        "UV_CACHE_DIR": str(cache / "uv"),
        "POETRY_CACHE_DIR": str(cache / "poetry"),
        "POETRY_VIRTUALENVS_IN_PROJECT": "1",
        "POETRY_VIRTUALENVS_OPTIONS_NO_PIP": "1",
        "PDM_CHECK_UPDATE": "0",
        "PDM_CACHE_DIR": str(cache / "pdm"),
        "PIPENV_VENV_IN_PROJECT": "1",
        "PIPENV_NOSPIN": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_COMPILE": "0",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    return {**_clean(), **own}


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


def repositories(root: Path) -> dict[str, str]:
    """Return variables that make git find the repositories of a host that does not exist in a directory."""
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{root.as_uri()}/.insteadOf", "GIT_CONFIG_VALUE_0": _NOWHERE}


def make_places(root: Path, address: str) -> Places:
    """Make a package with a dependency in the project's `libs`, and one in a repository next to the project, at a tag."""
    library = root / "libs" / "acme-paths"
    _package(library, "acme_paths", 'dependencies = ["iniconfig"]\n')
    away = root.parent / f"{root.name}-git"
    _package(away, "acme_git", "")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"], ["tag", "v1"]):
        run("git", *words, cwd=away, env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1"})
    return Places("libs/acme-paths", f"git+{away.as_uri()}", address)


def _package(folder: Path, name: str, more: str) -> None:
    folder.mkdir(parents=True)
    (folder / f"{name}.py").write_text(f'"""Made for a test."""\n\n__version__ = "1.2"\nVALUE = "{name}"\n')
    project = f'[project]\nname = "{name.replace("_", "-")}"\nversion = "1.2"\ndescription = "x"\n{more}'
    (folder / "pyproject.toml").write_text(f"{project}\n{_BACKEND}")


MAIN = (
    "click>=8",
    "httpx[socks]>=0.27,<1",
    "tzlocal>=5",
    "pywin32>=300 ; sys_platform == 'win32'",
    "appnope ; sys_platform == 'darwin'",
    "tomli>=2 ; python_version < '3.9'",
)
"""Markers for Windows, macOS and old Pythons, and an extra of a package; click and tzlocal have more dependencies on Windows."""

EXTRA = ("tabulate>=0.9",)
GROUP = ("packaging>=24", "colorama>=0.4 ; sys_platform == 'win32'")
CHOSEN = 'extras = ["pretty"]\ngroups = ["tools"]\n'


def _list(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def _project(root: Path, direct: tuple[str, ...], more: str) -> None:
    bounds = f">={MINOR},<{MINOR.split('.')[0]}.{int(MINOR.split('.')[1]) + 1}"
    (root / "pyproject.toml").write_text(
        f'[project]\nname = "shop"\nversion = "0.1"\nrequires-python = "{bounds}"\n'
        f"dependencies = {_list((*MAIN, *direct))}\n"
        f"\n[project.optional-dependencies]\npretty = {_list(EXTRA)}\n\n[dependency-groups]\ntools = {_list(GROUP)}\n{more}"
    )


def _write_uv(root: Path, places: Places) -> None:
    sources = (
        f'\n[tool.uv]\npackage = false\n\n[tool.uv.sources]\nacme-paths = {{ path = "{places.directory}", editable = true }}\n'
        f'acme-git = {{ git = "{places.repository.removeprefix("git+")}", tag = "v1" }}\nacme-linked = {{ url = "{places.address}" }}\n'
    )
    _project(root, ("acme-paths", "acme-git", "acme-linked"), sources)


def _write_poetry(root: Path, places: Places) -> None:
    """Write it with this machine's index as a source: Poetry asks its default index for pages that mirrors do not have."""
    index = without_login(read_indexes(read_workspace(UserFiles(), root).settings).default) or default_index()
    more = (
        f'\n[[tool.poetry.source]]\nname = "machine"\nurl = "{index}"\n'
        "\n[tool.poetry]\npackage-mode = false\n\n[tool.poetry.dependencies]\n"
        f'acme-paths = {{ path = "{places.directory}", develop = true }}\n'
        f'acme-git = {{ git = "{places.repository.removeprefix("git+")}", tag = "v1" }}\nacme-linked = {{ url = "{places.address}" }}\n'
    )
    _project(root, ("acme-paths", "acme-git", "acme-linked"), more)


def _write_pdm(root: Path, places: Places) -> None:
    """Write it with a host in the repository's URL, because PDM drops the slashes of a file: URL."""
    direct = (
        f"acme-paths @ file:///${{PROJECT_ROOT}}/{places.directory}",
        f"acme-git @ git+{_NOWHERE}{places.repository.rpartition('/')[2]}@v1",
        f"acme-linked @ {places.address}",
    )
    _project(root, direct, "\n[tool.pdm]\ndistribution = false\n")


def _write_pipenv(root: Path, places: Places) -> None:
    """Write a category for the extra and the group, because Pipenv has no extras of the project."""
    (root / "Pipfile").write_text(
        '[packages]\nclick = ">=8"\nhttpx = {version = ">=0.27,<1", extras = ["socks"]}\ntzlocal = ">=5"\n'
        'pywin32 = {version = "*", markers = "sys_platform == \'win32\'"}\n'
        'appnope = {version = "*", markers = "sys_platform == \'darwin\'"}\n'
        f'acme-paths = {{path = "./{places.directory}", editable = true}}\n'
        f'acme-git = {{git = "{places.repository.removeprefix("git+")}", ref = "v1"}}\nacme-linked = {{file = "{places.address}"}}\n'
        '\n[tools]\ntabulate = ">=0.9"\npackaging = ">=24"\ncolorama = {version = "*", markers = "sys_platform == \'win32\'"}\n'
        f'\n[requires]\npython_version = "{MINOR}"\n'
    )


def _write_piptools(root: Path, places: Places) -> None:
    """Write constraints, a file that includes another one, and markers. Hashes exclude requirements without one, such as a directory."""
    (root / "base.in").write_text("-c constraints.txt\n" + "".join(f"{text}\n" for text in MAIN))
    (root / "constraints.txt").write_text("h11<1\nidna<4\nanyio<5\n")
    (root / "requirements.in").write_text(
        f"-r base.in\nacme-linked @ {places.address}\n" + "".join(f"{text}\n" for text in (*EXTRA, *GROUP))
    )


def _write_list(root: Path, places: Places) -> None:
    """Write a list as users install it with pip: editable and relative paths, repositories, URLs, markers, -r, and pins only through -c."""
    (root / "requirements.txt").write_text(
        f"-r more/base.txt\n-c constraints.txt\n-e ./{places.directory}\n{places.repository}@v1#egg=acme-git\n{places.address}\n"
        + "".join(f"{text}\n" for text in (*EXTRA, *GROUP))
    )
    (root / "more").mkdir()
    (root / "more" / "base.txt").write_text("".join(f"{text}\n" for text in MAIN))
    (root / "constraints.txt").write_text("click==8.1.8\nh11==0.16.0\ntypo-that-nobody-asks-for==1\n")


_PIP_SYNC = (("uv", "venv", "-q", "--no-project", ".venv"), ("uv", "pip", "sync", "-q", "--python", ".venv", "pylock.toml"))
_VENV = ("python", "-m", "venv", "--without-pip", ".venv")

ORIGINALS = {
    "uv": Original(
        "uv",
        _write_uv,
        (("uv", "lock", "-q"),),
        (("uv", "sync", "-q", "--frozen", "--extra", "pretty", "--group", "tools"),),
        CHOSEN,
        "uv.lock",
    ),
    "uv-export": Original(
        "uv",
        _write_uv,
        (("uv", "export", "-q", "--format", "pylock.toml", "--extra", "pretty", "--group", "tools", "-o", "pylock.toml"),),
        _PIP_SYNC,
    ),
    "poetry": Original(
        "poetry",
        _write_poetry,
        (("poetry", "lock", "-q", "-n"),),
        (("poetry", "sync", "-q", "-n", "--only", "main,tools", "--extras", "pretty"),),
        CHOSEN,
        "poetry.lock",
    ),
    "pdm": Original(
        "pdm",
        _write_pdm,
        (("pdm", "lock", "-q", "-G", ":all"),),
        (("pdm", "sync", "-q", "--no-self", "-G", "pretty", "-G", "tools"),),
        CHOSEN,
        "pdm.lock",
    ),
    "pipenv": Original(
        "pipenv",
        _write_pipenv,
        (("pipenv", "lock"),),
        (("pipenv", "sync", "--categories", "packages tools"),),
        'groups = ["tools"]\n',
        "Pipfile.lock",
    ),
    "pip-tools": Original(
        "pip-tools",
        _write_piptools,
        (("pip-compile", "-q", "--generate-hashes", "--strip-extras", "requirements.in"),),
        (_VENV, ("pip", "--python", ".venv", "install", "-q", "-r", "requirements.txt")),
        lock_file="requirements.txt",
    ),
    "pip": Original(
        "pip",
        _write_list,
        (),
        (_VENV, ("pip", "--python", ".venv", "install", "-q", "-r", "requirements.txt")),
        lock_file="requirements.txt",
    ),
    "pip-lock": Original(
        "pip",
        _write_list,
        (("pip", "lock", "-q", "-r", "requirements.txt", "-o", "pylock.toml"),),
        (_VENV, ("pip", "--python", ".venv", "install", "-q", "-r", "requirements.txt")),
    ),
}
"""The tools by the name of their test."""

_OWN = {"pip", "setuptools", "wheel", "shop"}
"""Packages that an environment has anyway, and the project itself."""


def installed(venv: Path) -> dict[str, str]:
    """Return the versions of the packages in a virtual environment by normalized name (PEP 503)."""
    found = {}
    for metadata in venv.glob("lib/python*/site-packages/*.dist-info/METADATA"):
        head = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        found[head["Name"].lower().replace("_", "-").replace(".", "-")] = head["Version"]
    return {name: version for name, version in found.items() if name not in _OWN}
