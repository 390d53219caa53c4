"""The manifests of a stack as files for `kubectl apply -k`: a base, and an overlay for one place where it runs.

https://kubectl.docs.kubernetes.io/references/kustomize/kustomization
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shipwheel.made_files import head_for
from shipwheel.stack.image import PlacedService
from shipwheel.stack.kubernetes import manifests
from shipwheel.stack.model import Stack
from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["ingress", "kustomize_files"]

_HEAD = head_for("kubernetes")
_OVERLAY_HEAD = "# Made once by `shipwheel export kubernetes`, which leaves it as it is from then on: it is yours.\n"
_HOST = "shop.example.com"


def kustomize_files(stack: Stack, placed: Sequence[PlacedService]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files of the base, which are made anew each time, and those of an overlay, which a person changes; by relative path."""
    made = manifests(stack, placed)
    base = {f"base/{name}": _HEAD + yaml_documents(documents) for name, documents in made.files.items()}
    base["base/kustomization.yaml"] = _HEAD + yaml_documents([_kustomization(resources=list(made.files))])
    overlay: dict[str, Any] = {"resources": ["namespace.yaml", "../../base"], "namespace": stack.name}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stack.name}}
    files = {"overlays/production/namespace.yaml": _OVERLAY_HEAD + yaml_documents([namespace])}
    if (document := ingress(stack, made.documents)) is not None:
        overlay["resources"].append("ingress.yaml")
        files["overlays/production/ingress.yaml"] = _OVERLAY_HEAD + yaml_documents([document])
    files["overlays/production/kustomization.yaml"] = _OVERLAY_HEAD + yaml_documents([_kustomization(**overlay)])
    return base, files


def _kustomization(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **fields}


def ingress(stack: Stack, documents: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the Ingress to the first port of the Service `web`; None if the documents have no such Service."""
    ports = [it["spec"]["ports"][0]["name"] for it in documents if (it["kind"], it["metadata"]["name"]) == ("Service", "web")]
    if not ports:
        return None
    backend = {"service": {"name": "web", "port": {"name": ports[0]}}}
    rule = {"host": _HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    spec = {"rules": [rule], "tls": [{"hosts": [_HOST], "secretName": f"{stack.name}-tls"}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": stack.name}, "spec": spec}
