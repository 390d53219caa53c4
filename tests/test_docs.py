"""The documentation matches the code: reference, links, commands, settings, paths; and the two READMEs match each other."""

import ast
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from shipwheel.cli.commands import COMMANDS, cli
from shipwheel.settings.settings import settings_from

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WRITTEN = [page for page in PAGES if page.parent != REFERENCE]
TRANSLATED = [(page.with_name(page.name.replace(".zh-CN", "")), page) for page in PAGES if page.name.endswith(".zh-CN.md")]
"""(English page, Chinese page)."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, text) of each fenced block."""
    return FENCE.findall(text_of(page))


def prose(page: Path) -> str:
    return FENCE.sub("", text_of(page))


def headings(page: Path) -> list[tuple[str, str]]:
    """Return (signs of the level, text) of each heading."""
    return HEADING.findall(prose(page))


def anchor(heading: str) -> str:
    """Return a heading's anchor as GitHub makes it: lower case, no punctuation, dashes for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the pages as `make docs` writes them: in a process of its own, which no other test has changed."""
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run([sys.executable, ROOT / "scripts" / "reference.py", folder], check=True, env={"PATH": os.environ["PATH"]})
    return {page.name: text_of(page) for page in folder.iterdir()}


def test_the_reference_is_up_to_date(generated: dict[str, str]) -> None:
    found = {page.name: text_of(page) for page in REFERENCE.iterdir() if page.is_file()}
    assert found.keys() == generated.keys()
    for page, text in generated.items():
        assert found[page].splitlines() == text.splitlines(), f"{page} is out of date: run make docs"


def test_the_reference_has_every_command_and_setting(generated: dict[str, str]) -> None:
    for command in COMMANDS:
        assert f"## shipwheel {command}\n" in generated["commands.md"]
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (.*) \|$", generated["settings.md"], re.MULTILINE)
    assert len(rows) > 20
    assert not [key for key, meaning in rows if not meaning.strip()], "a setting without a docstring"


@pytest.mark.parametrize(("english", "chinese"), TRANSLATED, ids=lambda page: page.name)
def test_a_translation_has_the_same_structure(english: Path, chinese: Path) -> None:
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]
    assert len(headings(english)) > 5
    assert blocks(english) == blocks(chinese)
    assert len(blocks(english)) > 3


@pytest.mark.parametrize(("english", "chinese"), TRANSLATED, ids=lambda page: page.name)
def test_a_translation_has_the_same_links_and_code_spans(english: Path, chinese: Path) -> None:
    texts = [prose(page) for page in (english, chinese)]
    for pattern in (r"^\* ", r"^\|"):
        first, second = (len(re.findall(pattern, text, re.MULTILINE)) for text in texts)
        assert first == second, pattern
    # A translated page links to translated pages.
    first_links, second_links = ({link.replace(".zh-CN.md", ".md") for link in LINK.findall(text)} for text in texts)
    assert first_links == second_links
    first_spans, second_spans = (sorted(re.findall(r"`[^`\n]+`", text)) for text in texts)
    assert first_spans == second_spans


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.exists() and target.is_relative_to(ROOT)
        if not there or (fragment and fragment not in {anchor(heading) for _, heading in headings(target)}):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "docs/dependencies.md", "docs/selection.md"])
def test_paths_in_the_documentation_exist(name: str) -> None:
    """Checks code spans that start with a folder of the repository or the package."""
    package = ROOT / "src" / "shipwheel"
    folders = {path.name for root in (ROOT, package) for path in root.iterdir() if path.is_dir()}
    spans = [span for span in re.findall(r"`(\w+/[\w./]*)`", prose(ROOT / name)) if span.partition("/")[0] in folders]
    assert spans
    assert not [span for span in spans if not (ROOT / span).exists() and not (package / span).exists()]


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of every shipwheel command line, without shell syntax around it."""
    for line in text.splitlines():
        for found in re.finditer(r"(?:^|(?<=[\s(`]))shipwheel (?=[a-z-])([^`\n]*)", line):
            yield words(found[1])


def words(rest: str) -> list[str]:
    found: list[str] = []
    lexer = shlex.shlex(rest, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    for word in lexer:
        if set(word) <= set("();<>|&"):
            break
        found.append(word)
    return found


def parse(arguments: list[str]) -> None:
    """Parse arguments as the command line does, without running the command. Raises click's errors."""
    # A command keeps the help option that its first context gives it.
    root = click.Context(cli, info_name="shipwheel", **cli.context_settings)
    if arguments[0].startswith("-"):
        cli.make_parser(root).parse_args(list(arguments))
        return
    command = cli.get_command(root, arguments[0])
    assert command is not None, f"there is no command {arguments[0]}"
    command.make_context(arguments[0], list(arguments[1:]), parent=root)


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_commands_in_the_documentation_parse(page: Path) -> None:
    shell = [text for language, text in blocks(page) if language == "sh"]
    # A command's name alone is not a command line.
    inline = [line for line in re.findall(r"`(shipwheel [^`\n]+)`", prose(page)) if line.count(" ") > 1]
    for arguments in command_lines("\n".join([*shell, *inline])):
        parse(arguments)


def test_command_lines_are_found_and_wrong_ones_rejected() -> None:
    text = 'X=1 shipwheel build . --json > out.json\n(cd a && shipwheel plan "$OLDPWD" | less)\nshipwheel validate a.oci # why'
    assert list(command_lines(text)) == [["build", ".", "--json"], ["plan", "$OLDPWD"], ["validate", "a.oci"]]
    shell = "\n".join(text for page in WRITTEN for language, text in blocks(page) if language == "sh")
    assert len(list(command_lines(shell))) > 20
    for wrong in (["build", "--no-such-flag"], ["validate"]):
        with pytest.raises(click.UsageError):
            parse(wrong)
    with pytest.raises(AssertionError):
        parse(["no-such-command"])


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_settings_in_the_documentation_are_settings(page: Path) -> None:
    for language, text in blocks(page):
        if language == "toml":
            settings_from(tomllib.loads(text).get("tool", {}).get("shipwheel", {}), name(page))


CHECKED = {
    "sh": "test_commands_in_the_documentation_parse",
    "toml": "test_settings_in_the_documentation_are_settings",
    "python": "test_python_in_the_documentation_runs_with_this_version",
    "json": "",
    "yaml": "",
    "text": "",
    "console": "",
}
"""Language of a block -> the test that reads it. What programs print and other tools' files are not checked."""


def test_every_language_in_the_documentation_is_known() -> None:
    used = {language for page in PAGES for language, _ in blocks(page)}
    assert used <= CHECKED.keys()
    assert {test for test in CHECKED.values() if test} <= globals().keys()


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_python_in_the_documentation_runs_with_this_version(page: Path) -> None:
    """The code compiles, and what it imports from shipwheel exists."""
    for language, text in blocks(page):
        if language == "python":
            for node in ast.walk(ast.parse(text, name(page))):
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith("shipwheel"):
                    module = importlib.import_module(str(node.module))
                    assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    text = text_of(ROOT / "docs" / "dependencies.md")
    rows = {found for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for found in row.replace(",", " ").split()}
    assert not [item for item in wanted if re.split(r"[<>=!~ \[;]", item)[0] not in rows]
