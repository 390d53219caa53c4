"""A cluster as `kubectl --dry-run=client` needs it: a server that says which kinds there are, and has no objects."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

__all__ = ["cluster"]

_KINDS = {
    "v1": ("Namespace", "PersistentVolumeClaim", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "batch/v1": ("CronJob", "Job"),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
    "policy/v1": ("PodDisruptionBudget",),
}
"""The kinds of Kubernetes that stacks have, by version (https://kubernetes.io/docs/reference/using-api)."""


@contextmanager
def cluster() -> Iterator[str]:
    """Run the server. Yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Discovery) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Discovery(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        found = _groups() if path == "apis" else _core() if path == "api" else _kinds(path.partition("/")[2])
        document = found or {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps({"apiVersion": "v1", **document}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _core() -> dict[str, Any]:
    return {"kind": "APIVersions", "versions": ["v1"]}


def _groups() -> dict[str, Any]:
    versions = [(name.partition("/")[0], {"groupVersion": name, "version": name.partition("/")[2]}) for name in _KINDS if "/" in name]
    return {"kind": "APIGroupList", "groups": [{"name": group, "versions": [it], "preferredVersion": it} for group, it in versions]}


def _kinds(version: str) -> dict[str, Any] | None:
    if version not in _KINDS:
        return None
    resources = [
        {"name": _plural(kind), "kind": kind, "namespaced": kind != "Namespace", "verbs": ["create", "get", "patch"]}
        for kind in _KINDS[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _plural(kind: str) -> str:
    name = kind.lower()
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("s") else f"{name}s"
