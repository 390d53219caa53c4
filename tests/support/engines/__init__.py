"""Real container engines and registries for tests. Each engine runs in namespaces of its own and leaves nothing behind.

`Dockerd`, `Podman` and `Containerd` implement `Engine`; `Registry` is Debian's docker-registry. All need root; `missing` says what else.
"""

from support.engines.container import HTTP_PROBE, NATIVE, PYTHON, STOPPED, UNPRIVILEGED, Container, Engine
from support.engines.containerd import Containerd
from support.engines.docker import Dockerd
from support.engines.emulation import BINFMT, ensure_binfmt
from support.engines.person import PERSON, enter_as_person
from support.engines.podman import Podman
from support.engines.registry import Registry
from support.engines.requirements import SEARCH_PATH, missing
from support.engines.sandbox import RUN, TIMEOUT_S, EngineError, Sandbox, wait_until

__all__ = [
    "BINFMT",
    "HTTP_PROBE",
    "NATIVE",
    "PERSON",
    "PYTHON",
    "RUN",
    "SEARCH_PATH",
    "STOPPED",
    "TIMEOUT_S",
    "UNPRIVILEGED",
    "Container",
    "Containerd",
    "Dockerd",
    "Engine",
    "EngineError",
    "Podman",
    "Registry",
    "Sandbox",
    "ensure_binfmt",
    "enter_as_person",
    "missing",
    "wait_until",
]
