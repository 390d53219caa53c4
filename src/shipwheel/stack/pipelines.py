"""Pipelines that build, check, push and deploy a project: a workflow for GitHub Actions, a file for GitLab CI.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax, https://docs.gitlab.com/ci/yaml
"""

from typing import Any

from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["github_workflow", "gitlab_pipeline"]

_HEAD = "# Made once by `shipwheel export {form}`, which leaves it as it is from then on: it is yours.\n"
_VERIFY = "shipwheel build . --locked --check {engine} --output image.oci"
_PUSH = "shipwheel build . --locked --check {engine} --tag {repository}:main --push --json > build.json"
_RELEASE = "shipwheel copy {repository}:main {repository}:{commit}"
_DEPLOY = ("shipwheel export kubernetes . --locked --push -o deploy", "kubectl apply -k deploy/overlays/production")


def github_workflow(repository: str, version: str) -> str:
    """Return .github/workflows/image.yaml for an image `REGISTRY/NAME`, with this version of shipwheel.

    A pull request is built and checked; the main branch is pushed too, under the names `main` and that of its commit. There is no emulator
    and no build daemon; docker, which the runners have, starts the image.
    """
    registry = repository.partition("/")[0]
    setup = [
        {"uses": "actions/checkout@v5", "with": {"persist-credentials": False}},
        {"uses": "actions/setup-python@v6", "with": {"python-version": "3.13"}},
        {
            "uses": "actions/cache@v4",
            "with": {"path": "~/.cache/shipwheel", "key": "shipwheel-${{ hashFiles('pylock.toml') }}", "restore-keys": "shipwheel-"},
        },
        {"run": f"pipx install shipwheel=={version}"},
        {"name": "Check the lock", "run": "shipwheel lock --check"},
    ]
    is_main, is_not = "github.ref == 'refs/heads/main'", "github.ref != 'refs/heads/main'"
    names = {"repository": repository, "engine": "docker", "commit": '"$GITHUB_SHA"'}
    login = {
        "SHIPWHEEL_REGISTRY_HOST": registry,
        # Made for this registry: the job's own token is for another one, as a rule.
        "SHIPWHEEL_REGISTRY_USER": "${{ vars.REGISTRY_USER || github.actor }}",
        "SHIPWHEEL_REGISTRY_PASSWORD": "${{ secrets.REGISTRY_PASSWORD }}",
    }
    push = [_PUSH.format(**names), _RELEASE.format(**names)]
    steps = [
        *setup,
        {"name": "Build and check", "if": is_not, "run": _VERIFY.format(**names)},
        {"name": "Build, check and push", "if": is_main, "env": login, "run": "\n".join(push) + "\n"},
    ]
    deploy = [*setup, {"name": "Deploy by digest", "env": login, "run": "\n".join(_DEPLOY) + "\n"}]
    cache = {"SHIPWHEEL_CACHE_LIMIT": "5GB"}
    job = {"runs-on": "ubuntu-24.04", "timeout-minutes": 30, "permissions": {"contents": "read"}, "env": cache}
    document: dict[str, Any] = {
        "name": "image",
        "on": {"push": {"branches": ["main"]}, "pull_request": {}},
        "permissions": {},
        "concurrency": {"group": "image-${{ github.ref }}", "cancel-in-progress": "${{ " + is_not + " }}"},
        "jobs": {
            "image": {**job, "steps": steps},
            # The runner's kubectl needs the cluster's address: add the step of your cluster, and set the variable.
            "deploy": {"needs": "image", "if": f"{is_main} && vars.DEPLOY == 'true'", **job, "environment": "production", "steps": deploy},
        },
    }
    return _HEAD.format(form="github-actions") + yaml_documents([document])


def gitlab_pipeline(repository: str, version: str) -> str:
    """Return .gitlab-ci.yml for an image `REGISTRY/NAME`, with this version of shipwheel.

    Jobs run in an ordinary container: no privileges, no docker-in-docker. Nothing there can start another container, so the image is not
    checked before it is pushed.
    """
    registry = repository.partition("/")[0]
    is_main, is_not = "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", "$CI_PIPELINE_SOURCE == 'merge_request_event'"
    push = f"shipwheel build . --locked --tag {repository}:main --push --json > build.json"
    names = {"repository": repository, "commit": '"$CI_COMMIT_SHA"'}
    job = {
        "image": "python:3.13",
        "before_script": [f"python -m pip install --quiet shipwheel=={version}"],
        "cache": {"key": "shipwheel", "paths": [".shipwheel-cache/"]},
    }
    document = {
        "stages": ["image", "deploy"],
        "variables": {
            "SHIPWHEEL_CACHE": "$CI_PROJECT_DIR/.shipwheel-cache",
            "SHIPWHEEL_CACHE_LIMIT": "5GB",
            "SHIPWHEEL_REGISTRY_HOST": registry,
            "SHIPWHEEL_REGISTRY_USER": "$REGISTRY_USER",
            "SHIPWHEEL_REGISTRY_PASSWORD": "$REGISTRY_PASSWORD",
        },
        "verify": {
            **job,
            "stage": "image",
            "rules": [{"if": is_not}],
            "script": ["shipwheel lock --check", "shipwheel build . --locked --output image.oci"],
        },
        "push": {
            **job,
            "stage": "image",
            "rules": [{"if": is_main}],
            "script": ["shipwheel lock --check", push, _RELEASE.format(**names)],
            "artifacts": {"paths": ["build.json"]},
        },
        "deploy": {
            **job,
            "stage": "deploy",
            "rules": [{"if": is_main, "when": "manual"}],
            "environment": "production",
            "script": [*_DEPLOY],
        },
    }
    return _HEAD.format(form="gitlab-ci") + yaml_documents([document])
