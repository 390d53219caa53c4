"""`shipwheel check`, `init` and `build --check` of small projects in bubblewrap, from the package index and the Debian archive."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import shipwheel
from support.programs import needs
from support.trial_projects import PROJECTS, TrialProject, serving

pytestmark = [pytest.mark.online, needs("bwrap")]

ENGINE = ("--engine", "bwrap")
MENDED = {name: project for name, project in PROJECTS.items() if project.settings}


def kinds(document: dict[str, Any], *, blocks: bool) -> set[str]:
    """Return the kinds of findings."""
    return {finding["kind"] for finding in document["findings"] if finding["blocks"] is blocks}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a project."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def settings_of(folder: Path) -> dict[str, Any]:
    """Return the settings that a project has."""
    if (own := folder / "shipwheel.toml").is_file():
        return tomllib.loads(own.read_text())
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["shipwheel"]
    return table


@pytest.mark.parametrize("name", PROJECTS)
def test_says_whether_a_project_serves(name: str, tmp_path: Path) -> None:
    project = PROJECTS[name]
    done = shipwheel("check", project.write(tmp_path), *ENGINE, "--json")
    document = json.loads(done.stdout)
    assert (document["verdict"], kinds(document, blocks=True), kinds(document, blocks=False)) == (
        project.verdict,
        project.blocking,
        project.others,
    ), done.stdout
    assert done.returncode == project.exit_code
    assert document["serves"] == (project.exit_code == 0)


@pytest.mark.parametrize("name", MENDED)
def test_init_writes_the_settings_until_the_project_serves(name: str, tmp_path: Path) -> None:
    project = MENDED[name].write(tmp_path)
    before = settings_of(project)
    done = shipwheel("init", project, *ENGINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert settings_of(project) == {**before, **MENDED[name].settings}
    written = contents(project)
    again = shipwheel("init", project, *ENGINE)
    assert again.returncode == 0
    assert "no settings are needed" in again.stdout
    assert contents(project) == written
    assert shipwheel("check", project, *ENGINE).returncode == 0


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    project = PROJECTS["module"].write(tmp_path)
    before = contents(project)
    done = shipwheel("init", project, *ENGINE, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert '+dependencies = ["pyyaml"]' in done.stdout
    assert contents(project) == before


def test_init_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    project = PROJECTS["module"].write(tmp_path)
    settings = project / "shipwheel.toml"
    mine = f"# The shop.\n{settings.read_text()}dependencies = [\n  # for later\n  'idna', # mine\n]\n\n[env]\nA = 'b' # why\n"
    settings.write_text(mine)
    assert shipwheel("init", project, *ENGINE).returncode == 0
    assert settings.read_text() == mine.replace("# mine\n", '# mine\n  "pyyaml",\n')


def test_init_does_not_replace_a_command_that_a_person_wrote(tmp_path: Path) -> None:
    project = PROJECTS["usage"].write(tmp_path)
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + 'command = "shop serve" # mine\n')
    before = contents(project)
    done = shipwheel("init", project, *ENGINE)
    assert done.returncode == 12
    assert 'which init leaves as it is: command = ["shop", "serve", "--host", "0.0.0.0"]' in done.stdout
    assert {name: data for name, data in contents(project).items() if name != "pylock.toml"} == before


def test_init_names_the_variables_that_a_project_wants_and_writes_none(tmp_path: Path) -> None:
    project = PROJECTS["variable"].write(tmp_path)
    before = settings_of(project)
    done = shipwheel("init", project, *ENGINE)
    assert done.returncode == 0, done.stderr
    assert "it wants API_TOKEN: give it a value where the container runs (-e API_TOKEN=…)" in done.stdout
    assert settings_of(project) == before


def test_init_says_what_it_cannot_mend(tmp_path: Path) -> None:
    project = PROJECTS["companion"].write(tmp_path)
    done = shipwheel("init", project, *ENGINE, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 12
    assert (document["changes"], document["written"], document["file"]) == ([], False, None)
    assert "PostgreSQL at 127.0.0.1:5432" in next(f["message"] for f in document["trial"]["findings"] if f["kind"] == "companion")


def test_variables_and_paths_come_from_the_command_line(tmp_path: Path) -> None:
    code = "os.environ['API_TOKEN']; Handler.do_GET = lambda self: self.send_error(200 if self.path == '/ready' else 500)"
    project = TrialProject(serving(code), "serves").write(tmp_path)
    done = shipwheel("check", project, *ENGINE, "-e", "API_TOKEN=x", "--path", "/ready")
    assert done.stdout.splitlines()[0].startswith("serves: /ready on port 8000 answers 200 after "), done.stdout
    assert shipwheel("check", project, *ENGINE, "--path", "ready").returncode == 2


def test_a_checked_build_writes_what_serves(tmp_path: Path) -> None:
    project = PROJECTS["server"].write(tmp_path / "shop")
    done = shipwheel("build", project, "--platform", "linux/amd64", "-o", tmp_path / "shop.oci", "--check", "bwrap")
    assert done.returncode == 0, done.stderr
    assert "serves: / on port 8000 answers 200" in done.stderr
    assert (tmp_path / "shop.oci" / "index.json").is_file()


def test_an_export_limits_memory_to_twice_of_what_a_trial_measured(tmp_path: Path) -> None:
    used = 100 << 20
    project = TrialProject(serving(f"held = b'x' * {used}"), "serves").write(tmp_path)
    done = shipwheel("export", "compose", project, "--measure", "bwrap", "--json")
    assert done.returncode == 0, done.stderr
    web = yaml.safe_load(json.loads(done.stdout)["texts"]["compose.yaml"])["services"]["web"]
    assert 2 * used <= web["mem_limit"] < 4 * used


@pytest.mark.parametrize("output", ["shop.oci", "shop.tar"])
def test_a_checked_build_of_a_broken_app_leaves_everything_as_it_is(output: str, tmp_path: Path) -> None:
    project, target = PROJECTS["server"].write(tmp_path / "shop"), tmp_path / output
    arguments = ("build", project, "--platform", "linux/amd64", "-o", target)
    broken = PROJECTS["variable"]
    assert shipwheel(*arguments).returncode == 0
    before = contents(tmp_path)
    broken.write(project)
    done = shipwheel(*arguments, "--check", "bwrap")
    assert done.returncode == 12, done.stderr
    assert "error: shop was built, and does not serve:\n" in done.stderr
    assert "it wants the environment variable API_TOKEN" in done.stderr
    assert {name: data for name, data in contents(tmp_path).items() if not name.startswith("shop/")} == {
        name: data for name, data in before.items() if not name.startswith("shop/")
    }
    target = tmp_path / f"other-{output}"
    assert shipwheel(*arguments[:-1], target, "--check", "bwrap").returncode == 12
    assert not target.exists()
