"""A pipeline for GitLab CI that builds, checks, pushes and deploys a project or a workspace.

Jobs run in an ordinary container: no privileges, no docker-in-docker. Nothing there can start another container, but the runner starts
services beside a job: the image that was pushed under the name of its commit is one, and gets the name `main` when it answers.
https://docs.gitlab.com/ci/yaml
"""

from typing import Any

from shipwheel.stack.gitlab_services import ALIAS
from shipwheel.stack.pipelines import HEAD, MADE, PLACEHOLDER, PipelineSubject
from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["gitlab_component", "gitlab_pipeline", "unchecked_note"]

_VARIABLES = """\
# Set SHIPWHEEL_REGISTRY_USER and SHIPWHEEL_REGISTRY_PASSWORD as masked variables of the project in GitLab. Not here: what this file sets,
# the services of a job see.
"""
_PULLS = """\
# DOCKER_AUTH_CONFIG, another such variable, is the config.json of docker with which the runner pulls the image that it checks. GitLab's own
# registry and public ones need none.
"""
_KUBECTL = "apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends kubectl"
"""Debian's kubectl: GitHub's runners have one."""

_CHECKED = "${IMAGE#*@}"
"""The digest in the report of the job that pushes."""

_IS_MAIN = "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
_IS_MERGE = "$CI_PIPELINE_SOURCE == 'merge_request_event'"
_PASSWORD = "$SHIPWHEEL_REGISTRY_PASSWORD"  # noqa: S105 - the name of a variable


def gitlab_pipeline(subject: PipelineSubject, version: str) -> str:
    """Return .gitlab-ci.yml for a project or a workspace, with this version of shipwheel."""
    note = unchecked_note(subject)
    head = HEAD.format(form="gitlab-ci") + _VARIABLES + (f"# {note[:1].upper()}{note[1:]}.\n" if note else _PULLS)
    return head + yaml_documents([_document(subject, version)])


def unchecked_note(subject: PipelineSubject) -> str:
    """Return the sentence that says why GitLab does not check the image; empty if it does."""
    if subject.is_workspace:
        return "GitLab does not check the images: which they are is known when they are built, and the services of its jobs before that"
    return f"GitLab does not check the image: {subject.services.obstacle}" if subject.services.obstacle else ""


def _document(subject: PipelineSubject, version: str) -> dict[str, Any]:
    setup: dict[str, Any] = {"image": "python:3.13", "before_script": [f"python -m pip install --quiet shipwheel=={version}"]}
    job = {**setup, "cache": {"key": "shipwheel", "paths": [".shipwheel-cache/"]}}
    jobs = _unchecked_jobs(subject, job) if unchecked_note(subject) else _checked_jobs(subject, job, setup)
    if not subject.is_workspace:
        jobs["deploy"] = _deploy_job(subject, job, _CHECKED if "check" in jobs else "")
    return {"stages": list(dict.fromkeys(it["stage"] for it in jobs.values())), "variables": _variables(subject), **jobs}


def _variables(subject: PipelineSubject) -> dict[str, str]:
    return {
        "SHIPWHEEL_CACHE": "$CI_PROJECT_DIR/.shipwheel-cache",
        "SHIPWHEEL_CACHE_LIMIT": "5GB",
        "SHIPWHEEL_REGISTRY_HOST": subject.registry,
    }


def gitlab_component(version: str) -> str:
    """Return templates/image.yml: the same jobs, to include with inputs. Later stages of the pipeline have the image's name in IMAGE."""
    subject = PipelineSubject(_of("registry"), f"{_of('registry')}/{_of('repository')}", path=f'"{_of("path")}"')
    setup: dict[str, Any] = {
        "image": _of("python-image"),
        "before_script": [f"python -m pip install --quiet shipwheel=={_of('version')}"],
    }
    job = {**setup, "cache": {"key": "shipwheel", "paths": [".shipwheel-cache/"]}}
    jobs = {**_checked_jobs(subject, job, setup), "deploy": {**_deploy_job(subject, job, _CHECKED), "needs": ["push", "publish"]}}
    for name in ("check", "deploy"):
        jobs[name]["rules"] = [{"if": f'"{_of(name)}" == "false"', "when": "never"}, *jobs[name]["rules"]]
    jobs["check"] |= {
        "services": _of("services"),
        "variables": {**jobs["check"]["variables"], "FF_NETWORK_PER_BUILD": "true"},
    }
    jobs["publish"]["needs"] = ["push", {"job": "check", "optional": True}]
    inputs = {
        "registry": {"description": "Host of the registry."},
        "repository": {"description": "Name of the image in the registry, without a tag."},
        "path": {"description": "Directory of the project, with its pylock.toml.", "default": "."},
        "stage": {"description": "Stage of the jobs.", "default": "build"},
        "version": {"description": "Version of shipwheel.", "default": version},
        "python-image": {"description": "Image of the jobs: one with Python and pip.", "default": "python:3.13"},
        "check": {"description": "Whether to start the image before it becomes main.", "type": "boolean", "default": True},
        "deploy": {
            "description": "Whether there is a job, to start by hand, that applies its manifests; python-image is then one of Debian.",
            "type": "boolean",
            "default": False,
        },
        "services": {
            "description": "Services of the job that checks the image: what it needs, then itself, with its variables.",
            "type": "array",
            "default": subject.services.documents("$IMAGE"),
        },
    }
    stage = {"stage": _of("stage")}
    placed = {name: {**job, **stage, "variables": {**_variables(subject), **job.get("variables", {})}} for name, job in jobs.items()}
    return MADE + _VARIABLES + _PULLS + yaml_documents([{"spec": {"inputs": inputs}}, placed])


def _of(name: str) -> str:
    """Return the place of an input."""
    return f"$[[ inputs.{name} ]]"


def _checked_jobs(subject: PipelineSubject, job: dict[str, Any], setup: dict[str, Any]) -> dict[str, Any]:
    """Return the jobs of a project. A merge request from a fork has no password, so its image goes nowhere, and is not checked."""
    push = subject.build("", f' --tag {subject.name}:"$CI_COMMIT_SHA" --push')
    pushed = [{"if": _IS_MAIN}, {"if": f"{_IS_MERGE} && {_PASSWORD}"}]
    # Without a network for the job, its services do not reach each other.
    network = {"FF_NETWORK_PER_BUILD": "true"} if subject.services.companions else {}
    return {
        "verify": {
            **job,
            "stage": "image",
            "rules": [{"if": f"{_IS_MERGE} && {_PASSWORD} == null"}],
            "script": [subject.lock_check, subject.verify("")],
        },
        "push": {
            **job,
            "stage": "image",
            "rules": pushed,
            "script": [
                subject.lock_check,
                # In two lines: the status of a command in the argument of another is lost, and a file would be in the image.
                f'IMAGE="$({push})"',
                'echo "IMAGE=$IMAGE" > image.env',
            ],
            "artifacts": {"reports": {"dotenv": "image.env"}},
        },
        "check": {
            **setup,
            "stage": "check",
            "rules": pushed,
            "needs": ["push"],
            # The project's variables in GitLab come before these.
            "variables": {"CI_DEBUG_SERVICES": "true", **network, **dict.fromkeys(subject.services.variables, PLACEHOLDER)},
            "services": subject.services.documents("$IMAGE"),
            "script": [f'shipwheel check "$IMAGE" --at {ALIAS}'],
        },
        "publish": {
            **setup,
            "stage": "publish",
            "rules": [{"if": _IS_MAIN}],
            "needs": ["push", "check"],
            "script": [f'shipwheel copy "$IMAGE" {subject.name}:main'],
        },
    }


def _deploy_job(subject: PipelineSubject, job: dict[str, Any], digest: str) -> dict[str, Any]:
    return {
        **job,
        "before_script": [*job["before_script"], _KUBECTL],
        "stage": "deploy",
        "rules": [{"if": _IS_MAIN, "when": "manual"}],
        "environment": "production",
        "script": subject.deploy(digest=digest),
    }


def _unchecked_jobs(subject: PipelineSubject, job: dict[str, Any]) -> dict[str, Any]:
    lock = [] if subject.is_workspace else [subject.lock_check]
    parallel = {"parallel": subject.shards} if subject.shards > 1 else {}
    shard = "$CI_NODE_INDEX/$CI_NODE_TOTAL"
    job = {**job, **parallel, "stage": "image"}
    return {
        "verify": {**job, "rules": [{"if": _IS_MERGE}], "script": [*lock, subject.verify(shard)]},
        "push": {
            **job,
            "rules": [{"if": _IS_MAIN}],
            "script": [*lock, *subject.push(shard, "$CI_COMMIT_SHA")],
        },
    }
