"""Run jobs of GitLab as a runner with docker does: services beside a job by their aliases, and variables from one job to the next."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.engines import Dockerd

__all__ = ["run_jobs"]


def run_jobs(docker: Dockerd, jobs: Sequence[Mapping[str, Any]], folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Run the scripts of jobs, one after the other, in a directory, and return the variables of their dotenv reports."""
    reported: dict[str, str] = {}
    for job in jobs:
        variables = {**job.get("variables", {}), **env, **reported}
        with _services(docker, job.get("services", ()), variables):
            words = [f"{name}={value}" for name, value in variables.items()]
            lines = "\n".join([f"cd {shlex.quote(str(folder))}", *job["script"]])
            docker.sandbox.run(["env", *words, "bash", "-eo", "pipefail", "-c", lines])
        if "artifacts" in job:
            text = (folder / job["artifacts"]["reports"]["dotenv"]).read_text()
            reported |= dict(line.split("=", 1) for line in text.splitlines())
    return reported


@contextmanager
def _services(docker: Dockerd, services: Sequence[Mapping[str, Any]], variables: Mapping[str, str]) -> Iterator[None]:
    """Start services, whose aliases are host names in the sandbox meanwhile: the job is a process of it."""
    if not services:
        yield
        return
    hosts = docker.sandbox.root / "hosts"
    lines = ["127.0.0.1 localhost"]
    names = []
    try:
        for service in services:
            image = variables.get(service["name"].removeprefix("$"), service["name"])
            names.append(docker.cli("run", "--detach", image).stdout.strip())
            address = docker.cli("inspect", "--format", "{{.NetworkSettings.IPAddress}}", names[-1]).stdout.strip()
            lines.append(f"{address} {service['alias']}")
        hosts.write_text("".join(f"{line}\n" for line in lines))
        docker.sandbox.run(["mount", "--bind", str(hosts), "/etc/hosts"])
        yield
    finally:
        docker.sandbox.run(["umount", "/etc/hosts"], check=False)
        for name in names:
            docker.container(name).remove()
