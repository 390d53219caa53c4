"""Pipelines that build, check, push and deploy a project or a workspace: what all have in common, and a workflow for GitHub Actions.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
"""

from typing import Any

import msgspec

from shipwheel.stack.gitlab_services import NO_SERVICES, GitlabServices
from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["DEPLOY", "HEAD", "PipelineSubject", "github_workflow"]

HEAD = "# Made once by `shipwheel export {form}`, which leaves it as it is from then on: it is yours.\n"
DEPLOY = ("shipwheel export kubernetes . --locked --push -o deploy", "kubectl apply -k deploy/overlays/production")


class PipelineSubject(msgspec.Struct, frozen=True):
    """A project or a workspace to build: `name` is REGISTRY/NAME for a project; a workspace's projects have names of their own."""

    registry: str
    name: str = ""
    shards: int = 0
    """The number of jobs that build a workspace; 0 for a project."""
    services: GitlabServices = NO_SERVICES
    """The services of the job of GitLab that checks the image."""

    @property
    def is_workspace(self) -> bool:
        """True for a workspace."""
        return self.shards > 0

    def build(self, shard: str, rest: str) -> str:
        """Return the command that builds it, `shard` of it if several jobs do."""
        part = f' --shard "{shard}"' if self.shards > 1 else ""
        return f"shipwheel build .{f' --all{part}' if self.is_workspace else ''} --locked{rest}"

    def verify(self, shard: str, check: str = "") -> str:
        """Return the command that builds it, and pushes nothing."""
        return self.build(shard, f"{check} --output {'images' if self.is_workspace else 'image.oci'}")

    def push(self, shard: str, commit: str, check: str = "") -> list[str]:
        """Return the commands that push it as `main` and under the name of the commit, which is a variable of the shell."""
        if self.is_workspace:
            main = self.build(shard, f"{check} --tag '{{repository}}:main' --push")
            return [main, self.build(shard, f' --tag "{{repository}}:{commit}" --push')]
        main = self.build(shard, f"{check} --tag {self.name}:main --push")
        return [main, f'shipwheel copy {self.name}:main {self.name}:"{commit}"']


def github_workflow(subject: PipelineSubject, version: str) -> str:
    """Return .github/workflows/image.yaml for a project or a workspace, with this version of shipwheel.

    A pull request is built and checked; the main branch is pushed too, under the names `main` and that of its commit. There is no emulator
    and no build daemon; docker, which the runners have, starts the image.
    """
    lock = [] if subject.is_workspace else [{"name": "Check the lock", "run": "shipwheel lock --check"}]
    setup = [
        {"uses": "actions/checkout@v5", "with": {"persist-credentials": False}},
        {"uses": "actions/setup-python@v6", "with": {"python-version": "3.13"}},
        {
            "uses": "actions/cache@v5",
            "with": {"path": "~/.cache/shipwheel", "key": "shipwheel-${{ hashFiles('**/pylock.toml') }}", "restore-keys": "shipwheel-"},
        },
        {"run": f"pipx install shipwheel=={version}"},
        *lock,
    ]
    is_main, is_not = "github.ref == 'refs/heads/main'", "github.ref != 'refs/heads/main'"
    shard, check = f"${{{{ matrix.shard }}}}/{subject.shards}", " --check docker"
    login = {
        "SHIPWHEEL_REGISTRY_HOST": subject.registry,
        # Made for this registry: the job's own token is for another one, as a rule.
        "SHIPWHEEL_REGISTRY_USER": "${{ vars.REGISTRY_USER || github.actor }}",
        "SHIPWHEEL_REGISTRY_PASSWORD": "${{ secrets.REGISTRY_PASSWORD }}",
    }
    push = subject.push(shard, "$GITHUB_SHA", check)
    steps = [
        *setup,
        {"name": "Build and check", "if": is_not, "run": subject.verify(shard, check)},
        {"name": "Build, check and push", "if": is_main, "env": login, "run": "\n".join(push) + "\n"},
    ]
    deploy = [*setup, {"name": "Deploy by digest", "env": login, "run": "\n".join(DEPLOY) + "\n"}]
    cache = {"SHIPWHEEL_CACHE_LIMIT": "5GB"}
    job = {"runs-on": "ubuntu-24.04", "timeout-minutes": 30, "permissions": {"contents": "read"}, "env": cache}
    matrix = {"strategy": {"fail-fast": False, "matrix": {"shard": list(range(1, subject.shards + 1))}}} if subject.shards > 1 else {}
    document: dict[str, Any] = {
        "name": "image",
        "on": {"push": {"branches": ["main"]}, "pull_request": {}},
        "permissions": {},
        "concurrency": {"group": "image-${{ github.ref }}", "cancel-in-progress": "${{ " + is_not + " }}"},
        "jobs": {
            "image": {**job, **matrix, "steps": steps},
        },
    }
    if not subject.is_workspace:
        document["jobs"] |= {
            # The runner's kubectl needs the cluster's address: add the step of your cluster, and set the variable.
            "deploy": {"needs": "image", "if": f"{is_main} && vars.DEPLOY == 'true'", **job, "environment": "production", "steps": deploy},
        }
    return HEAD.format(form="github-actions") + yaml_documents([document])
