"""The container that an editor develops in: devcontainer.json (https://containers.dev/implementors/json_reference)."""

import json
from typing import Any

from shipwheel.container.venv import VENV
from shipwheel.dev.container import environment, import_roots, processes
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.project.project import Project

__all__ = ["devcontainer_file"]

_HEAD = "// Made once by `shipwheel export devcontainer`, which leaves it as it is from then on: it is yours.\n"
_USER = "app"
"""The name of the user in images by shipwheel. Editors give it the number of the person."""


def devcontainer_file(project: Project, image: str) -> str:
    """Return .devcontainer/devcontainer.json for an image that `shipwheel dev --devcontainer` builds, which it does before each start."""
    launch = project.launch
    assert launch is not None  # noqa: S101 - the project was resolved
    workdir = project.settings.workdir
    own = (*launch.command, *launch.arguments)
    (process,) = processes(project, ExecutionConfig(cmd=own), ())
    numbers = [int(port.partition("/")[0]) for port in launch.ports if port.endswith("/tcp")]
    document: dict[str, Any] = {
        "name": project.name,
        "initializeCommand": ["shipwheel", "dev", "--devcontainer"],
        "image": image,
        "workspaceMount": f"source=${{localWorkspaceFolder}},target={workdir},type=bind",
        "workspaceFolder": workdir,
        "remoteUser": _USER,
        # The user has no login shell.
        "userEnvProbe": "none",
        "containerEnv": environment(project, ExecutionConfig(), process, import_roots(project), {}),
        "forwardPorts": numbers,
        "customizations": {
            "vscode": {
                "extensions": ["ms-python.python"],
                "settings": {
                    "python.defaultInterpreterPath": f"/{VENV}/bin/python",
                    "terminal.integrated.defaultProfile.linux": "bash",
                },
            }
        },
    }
    return _HEAD + json.dumps(document, indent=2, ensure_ascii=False) + "\n"
