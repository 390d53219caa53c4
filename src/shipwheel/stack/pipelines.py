"""Pipelines that build, check, push and deploy a project or a workspace: what all have in common, and a workflow for GitHub Actions.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from shipwheel.stack.gitlab_services import NO_SERVICES, GitlabServices
from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["HEAD", "MADE", "PLACEHOLDER", "PipelineSubject", "github_action", "github_workflow"]

MADE = "# Made by `make docs` from the code: do not edit.\n"
HEAD = "# Made once by `shipwheel export {form}`, which leaves it as it is from then on: it is yours.\n"
PLACEHOLDER = "check"
"""The value of a variable that a check needs and nobody has set: a password of a database that is made for it may be any."""

_VERIFY, _PUSH, _DEPLOY = "Build and check", "Build, check and push", "Deploy by digest"
_CACHE = {"SHIPWHEEL_CACHE_LIMIT": "5GB"}


class PipelineSubject(msgspec.Struct, frozen=True):
    """A project or a workspace to build: `name` is REGISTRY/NAME for a project; a workspace's projects have names of their own."""

    registry: str
    name: str = ""
    shards: int = 0
    """The number of jobs that build a workspace; 0 for a project."""
    path: str = ""
    """Another path than the directory of the repository, as a word of the shell."""
    services: GitlabServices = NO_SERVICES
    """The services of the job of GitLab that checks the image."""
    needs_stack: bool = False
    """True if a project's image cannot serve alone: it needs services, or variables."""
    variables: tuple[str, ...] = ()
    """Names of the variables that its stack takes."""
    listens: bool = True
    """True if the stack publishes the ports of the image under their own numbers."""

    @property
    def is_workspace(self) -> bool:
        """True for a workspace."""
        return self.shards > 0

    def build(self, shard: str, rest: str) -> str:
        """Return the command that builds it, `shard` of it if several jobs do."""
        part = f' --shard "{shard}"' if self.shards > 1 else ""
        return f"shipwheel build {self.path or '.'}{f' --all{part}' if self.is_workspace else ''} --locked{rest}"

    @property
    def lock_check(self) -> str:
        """The command that checks the lock of a project."""
        return f"shipwheel lock --check {self.path}".rstrip()

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

    def verify_in_stack(self) -> list[str]:
        """Return the commands that start a project with what it needs, and push nothing."""
        return ["shipwheel up . --locked", "shipwheel down . --volumes"]

    def push_from_stack(self, commit: str) -> list[str]:
        """Return the commands that start a project with what it needs, ask it, and push it as `main` and under the name of the commit."""
        up, down = self.verify_in_stack()
        tag = f'{self.name}:"{commit}"'
        pushed = f'IMAGE="$({self.build("", f" --tag {tag} --push")})"'
        ask = ['shipwheel check "$IMAGE" --at 127.0.0.1'] if self.listens else []
        return [up, pushed, *ask, down, f'shipwheel copy "$IMAGE" {self.name}:main']

    def deploy(self, directory: str = "deploy", digest: str = "") -> list[str]:
        """Return the commands that write a project's manifests into a directory, with the digests of the images, and apply them.

        The image is that of the same commit, so that its digest is the one that was pushed; if `digest`, text of the shell, says that one,
        no other is deployed.
        """
        write = f"shipwheel export kubernetes {self.path or '.'} --locked --push -o {directory}"
        refuse = f'{{ echo "the manifests have another image than {digest}, which was checked" >&2; exit 1; }}'
        same = [f'grep --quiet --recursive --fixed-strings "{digest}" {directory} || {refuse}'] if digest else []
        return [write, *same, f"kubectl apply -k {directory}/overlays/production"]


def github_workflow(subject: PipelineSubject, version: str) -> str:
    """Return .github/workflows/image.yaml for a project or a workspace, with this version of shipwheel.

    A pull request is built and checked; the main branch is pushed too, under the names `main` and that of its commit. There is no emulator
    and no build daemon; docker, which the runners have, starts the image: alone, as production would, or with what its settings say that it
    needs.
    """
    checkout = {"uses": "actions/checkout@v5", "with": {"persist-credentials": False}}
    setup = [checkout, *_setup(subject, f"shipwheel=={version}")]
    is_main, is_not = "github.ref == 'refs/heads/main'", "github.ref != 'refs/heads/main'"
    shard, check = f"${{{{ matrix.shard }}}}/{subject.shards}", " --check docker"
    login = {
        "SHIPWHEEL_REGISTRY_HOST": subject.registry,
        # Made for this registry: the job's own token is for another one, as a rule.
        "SHIPWHEEL_REGISTRY_USER": "${{ vars.REGISTRY_USER || github.actor }}",
        "SHIPWHEEL_REGISTRY_PASSWORD": "${{ secrets.REGISTRY_PASSWORD }}",
    }
    verify, push, values = [subject.verify(shard, check)], subject.push(shard, "$GITHUB_SHA", check), {}
    if subject.needs_stack:
        verify, push = subject.verify_in_stack(), subject.push_from_stack("$GITHUB_SHA")
        values = {name: f"${{{{ secrets.{name} || '{PLACEHOLDER}' }}}}" for name in subject.variables}
    steps = [
        *setup,
        {"name": _VERIFY, "if": is_not, **({"env": values} if values else {}), "run": "\n".join(verify) + "\n" * (len(verify) > 1)},
        {"name": _PUSH, "if": is_main, "env": {**login, **values}, "run": "\n".join(push) + "\n"},
    ]
    deploy = [*setup, {"name": _DEPLOY, "env": login, "run": "\n".join(subject.deploy()) + "\n"}]
    job = {"runs-on": "ubuntu-24.04", "timeout-minutes": 30, "permissions": {"contents": "read"}, "env": _CACHE}
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


def github_action() -> str:
    """Return action.yml, which builds, checks and pushes one image: a step of a workflow that is written by hand.

    Inputs come to the shell as variables: in the text of a command they would be code.
    """
    subject = PipelineSubject("${{ inputs.registry }}", path='"$TARGET"')
    inputs = {
        "path": _input("Directory of the project, with its pylock.toml.", "."),
        "tag": _input("Name of the image, REGISTRY/NAME:TAG. The default is the tag of the project's settings."),
        "platform": _input("Platforms to build for, separated by commas. The default is both, or those of the settings."),
        "check": _input("Engine of the runner that starts the image before it is pushed; empty to start none.", "docker"),
        "push": _input("Whether to push the image.", "true"),
        "deploy": _input("Whether to apply its manifests, with its digest, by the kubectl of the runner.", "false"),
        "registry": _input("Host of the registry to log in to."),
        "user": _input("User to log in as."),
        "password": _input("Password, or token, to log in with."),
    }
    outputs = {
        "reference": {"description": "Name of the image that was pushed, with its digest.", "value": "${{ steps.push.outputs.reference }}"},
        "digest": {"description": "Digest of the image that was pushed.", "value": "${{ steps.push.outputs.digest }}"},
    }
    env = {name: f"${{{{ inputs.{key} }}}}" for name, key in _ACTION_VARIABLES.items()}
    login = {f"SHIPWHEEL_REGISTRY_{key.upper()}": f"${{{{ inputs.{key} }}}}" for key in ("user", "password")}
    login = {"SHIPWHEEL_REGISTRY_HOST": subject.registry, **login}
    options = "".join(f' ${{{name}:+--{key} "${name}"}}' for name, key in _ACTION_VARIABLES.items() if name != "TARGET")
    push = [f'reference="$({subject.build("", options)} --push)"', _OUTPUT]
    deploy = subject.deploy('"$RUNNER_TEMP"/deploy', "$DIGEST")
    checked = {**login, "DIGEST": outputs["digest"]["value"]}
    steps = [
        *_setup(subject, '"$GITHUB_ACTION_PATH"'),
        {"name": _VERIFY, "if": "inputs.push != 'true'", "run": subject.build("", f'{options} --output "$RUNNER_TEMP/image.oci"')},
        {"name": _PUSH, "id": "push", "if": "inputs.push == 'true'", "run": "\n".join(push) + "\n", "env": login},
        {"name": _DEPLOY, "if": "inputs.push == 'true' && inputs.deploy == 'true'", "run": "\n".join(deploy) + "\n", "env": checked},
    ]
    document = {
        "name": "shipwheel",
        "description": "Build production OCI images of a Python project for every architecture, check that they serve, and push them",
        "inputs": inputs,
        "outputs": outputs,
        "runs": {"using": "composite", "steps": [_in_bash(step, env) if "run" in step else step for step in steps]},
    }
    return MADE + yaml_documents([document])


_ACTION_VARIABLES = {"TARGET": "path", "TAG": "tag", "PLATFORM": "platform", "CHECK": "check"}
_OUTPUT = r'''printf 'reference=%s\ndigest=%s\n' "$reference" "${reference#*@}" >> "$GITHUB_OUTPUT"'''


def _in_bash(step: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    used = {name: value for name, value in env.items() if name in step["run"]}
    return {**step, "shell": "bash", "env": {**used, **_CACHE, **step.get("env", {})}}


def _input(description: str, default: str = "") -> dict[str, str]:
    return {"description": description, "default": default}


def _setup(subject: PipelineSubject, package: str) -> list[dict[str, Any]]:
    """Return the steps that get Python, the cache, and a package of shipwheel, and check the lock."""
    lock = [] if subject.is_workspace else [{"name": "Check the lock", "run": subject.lock_check}]
    return [
        {"uses": "actions/setup-python@v6", "with": {"python-version": "3.13"}},
        {
            "uses": "actions/cache@v5",
            "with": {"path": "~/.cache/shipwheel", "key": "shipwheel-${{ hashFiles('**/pylock.toml') }}", "restore-keys": "shipwheel-"},
        },
        {"name": "Install shipwheel", "run": f"pipx install {package}"},
        *lock,
    ]
