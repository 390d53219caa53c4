"""Variables for a container, given to an engine's program so that the list of processes shows none of their values."""

import os
import re
from collections.abc import Mapping

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["container_variables"]

_CLIENT_VARIABLES = lazy_pattern(
    r"(DOCKER_|CONTAINER|NERDCTL_|BUILDKIT_|PODMAN_|STORAGE_|XDG_|LD_|SSH_|LC_|TMP)\w*|(HTTPS?|NO|ALL)_PROXY|"
    r"GO(DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)|PATH|HOME|USER|LOGNAME|SHELL|PWD|TERM|LANG|LANGUAGE|TZ|DBUS_SESSION_BUS_ADDRESS|"
    r"REGISTRY_AUTH_FILE|NOTIFY_SOCKET",
    re.IGNORECASE,
)
"""Variables that the engines' programs read themselves."""


def container_variables(variables: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the environment of the engine's program, and the flags that give the container its variables.

    `--env NAME` takes the value from the program's environment, which keeps it out of the list of processes. Variables that the program
    itself reads are given with their value, unless it has the same: a proxy may have a password.
    """
    environment, flags = dict(os.environ), []
    for name, value in variables.items():
        if (_CLIENT_VARIABLES.fullmatch(name) and environment.get(name) != value) or not name:
            flags += ["--env", f"{name}={value}"]
        else:
            environment[name] = value
            flags += ["--env", name]
    return environment, flags
