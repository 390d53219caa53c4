"""Pipelines for CI: they are valid, and the commands in them are commands."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from uv import find_uv_bin

from shipwheel.cli import cli
from shipwheel.stack.pipelines import github_workflow, gitlab_pipeline

REPOSITORY = "registry.example/team/shop"
TEXTS = {"github-workflows": github_workflow(REPOSITORY, "1.2"), "gitlab-ci": gitlab_pipeline(REPOSITORY, "1.2")}


def texts(value: Any) -> Iterator[str]:
    """Yield every text of a document."""
    if isinstance(value, str):
        yield value
    else:
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from texts(item)


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_parses(name: str) -> None:
    found = [line for text in texts(yaml.safe_load(TEXTS[name])) for line in text.splitlines() if line.startswith("shipwheel ")]
    assert len(found) >= 5
    for line in found:
        command, *arguments = shlex.split(line.partition(" > ")[0])[1:]
        known = cli.get_command(None, command)  # type: ignore[arg-type]
        assert known is not None
        known.make_context(command, arguments, resilient_parsing=False)


def test_a_workflow_has_no_more_rights_than_it_needs() -> None:
    found = yaml.safe_load(TEXTS["github-workflows"])
    assert found["permissions"] == {}
    assert found["jobs"]["image"]["permissions"] == {"contents": "read"}
    assert found["jobs"]["image"]["steps"][0]["with"] == {"persist-credentials": False}


@pytest.mark.online
@pytest.mark.parametrize("name", TEXTS)
def test_a_pipeline_is_valid(name: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(TEXTS[name])
    transform = ["--data-transform", "gitlab-ci"] if name == "gitlab-ci" else []
    words = ["tool", "run", "--quiet", "--from", "check-jsonschema==0.39.0", "check-jsonschema", "--builtin-schema", f"vendor.{name}"]
    done = subprocess.run([find_uv_bin(), *words, *transform, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
