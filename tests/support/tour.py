"""docs/chatchat.md, run as its readers do: the commands of one section after the other, in a copy of the examples."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from support.command import ROOT, environment
from support.engines import NATIVE, Sandbox

__all__ = ["PAGE", "Tour", "commands"]

PAGE = ROOT / "docs" / "chatchat.md"

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_QUERY = re.compile(r'("query": ")[^"]*')
_SETTINGS = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TEXT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_IN_A_SENTENCE = re.compile(r"`shipwheel ([^`]+)`")
_SHIPWHEEL = f'shipwheel() {{ {shlex.quote(sys.executable)} -m shipwheel "$@"; }}\n'


def sections(page: Path) -> Mapping[str, str]:
    """Return heading -> text of each section."""
    _, *parts = _SECTION.split(page.read_text(encoding="utf-8"))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def commands(page: Path) -> Mapping[str, str]:
    """Return heading -> commands of each section that has some."""
    found = {heading: "".join(_BLOCK.findall(text)) for heading, text in sections(page).items()}
    return {heading: text for heading, text in found.items() if text}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    tables = {key: _merged(below.get(key, {}), value) for key, value in above.items() if isinstance(value, dict)}
    return {**below, **above, **tables}


class Tour:
    """The page in a directory of its own."""

    def __init__(self, folder: Path, registry: str, project: Path = ROOT / "examples" / "chatchat") -> None:
        """Copy the examples, with a project of its shape in place of Chatchat if one is given. `registry` stands for `registry.example`.

        The model server is for this machine's processor alone: it runs on no other here, and what it is compiled of takes a minute.
        """
        for name in ("chatchat", "chatchat-model", "chatchat-postgres"):
            source = project if name == "chatchat" else ROOT / "examples" / name
            shutil.copytree(source, folder / "examples" / name, ignore=shutil.ignore_patterns("pylock*.toml"))
        settings = folder / "examples" / "chatchat-model" / "pyproject.toml"
        settings.write_text(settings.read_text().replace("[tool.shipwheel]\n", f'[tool.shipwheel]\nplatforms = ["{NATIVE}"]\n'))
        self.project = folder / "examples" / "chatchat"
        self.left = {heading: text.replace("registry.example", registry) for heading, text in commands(PAGE).items()}
        """The sections that have not been run."""
        del self.left["What you need"]
        self.asking = self.left["Ask"]

    def lines(self, heading: str) -> list[list[str]]:
        """Return the words of each command of a section, which counts as run."""
        return [shlex.split(line) for line in self.left.pop(heading).splitlines()]

    def sentences(self, heading: str) -> tuple[list[list[str]], str]:
        """Return what a section has for a person to do who reads it: the words of each shipwheel command, and the text of a file."""
        text = sections(PAGE)[heading]
        return [shlex.split(words) for words in _IN_A_SENTENCE.findall(text)], "".join(_TEXT.findall(text))

    def variant(self, name: str, *headings: str) -> Path:
        """Return a copy of the project beside it, with another name and the settings that sections add."""
        copy = shutil.copytree(self.project, self.project.with_name(name), ignore=shutil.ignore_patterns("*.tar", "deploy", "pods"))
        path = copy / "pyproject.toml"
        settings = tomllib.loads(path.read_text())
        for heading in headings:
            settings = _merged(settings, tomllib.loads("".join(_SETTINGS.findall(sections(PAGE)[heading]))))
        path.write_text(tomli_w.dumps(_merged(settings, {"project": {"name": name}})))
        return copy

    def run(self, heading: str, sandbox: Sandbox | None = None, folder: Path | None = None) -> str:
        """Run the commands of a section, which must succeed. Return their output.

        They run in a sandbox, or on this machine, and in the directory that the page starts with, or another one.
        """
        text = self.left.pop(heading)
        argv = ["bash", "-c", f"set -euo pipefail\ncd {shlex.quote(str(folder or self.project))}\n{_SHIPWHEEL}{text}"]
        if sandbox is not None:
            return sandbox.run(argv).stdout
        return subprocess.run(argv, stdout=subprocess.PIPE, env=environment(), text=True, check=True).stdout

    def ask(self, sandbox: Sandbox, question: str | None = None) -> str:
        """Ask as the page does, as often as it is wanted, its question or another. Return the answer."""
        self.left["Ask"] = _QUERY.sub(rf"\1{question}", self.asking) if question else self.asking
        return self.run("Ask", sandbox)

    def states(self, sandbox: Sandbox) -> dict[str, dict[str, Any]]:
        """Return what `shipwheel status` says of each service."""
        document = json.loads(self.shipwheel(sandbox, "status", "--json", check=False))
        return {each["name"]: each for each in document["services"]}

    def shipwheel(self, sandbox: Sandbox, *words: str, folder: Path | None = None, check: bool = True) -> str:
        """Run a command that the page does not have, which must succeed unless `check` is false. Return its output."""
        return sandbox.run(["env", f"--chdir={folder or self.project}", sys.executable, "-m", "shipwheel", *words], check=check).stdout
