"""A stack as a file for `podman kube play`, which knows no Service and no StatefulSet, and has no cluster around it.

https://docs.podman.io/en/v5.4.2/markdown/podman-kube-play.1.html
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shipwheel.container.venv import VENV
from shipwheel.errors import UsageError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.made_files import head_for
from shipwheel.stack.image import PlacedService
from shipwheel.stack.kubernetes import literal_words, manifests
from shipwheel.stack.model import Stack
from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["podman_pods"]

_PROBES = ("startupProbe", "livenessProbe")
"""The probes that podman runs. It has no load balancer that would ask for readiness."""

_VARIABLE = lazy_pattern(r"(?<!\$)(?:\$\$)*\$\(")
_SET = (
    "import os, sys; end = 2 + int(sys.argv[1]); "
    "os.environ.update(word.partition('=')[::2] for word in sys.argv[2:end]); "
    "os.execvp(sys.argv[end], sys.argv[end:])"
)
"""Program for the image's own Python: sets variables, and becomes the program that follows them."""

_CLUSTER = ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "topologySpreadConstraints", "affinity")
"""Fields of a pod that mean nothing outside of a cluster."""


def podman_pods(stack: Stack, placed: Sequence[PlacedService]) -> str:
    """Return the text of a file that `podman kube play` plays as it is, with volumes, a pod for each service, and jobs.

    A pod has the name of its service, by which podman's name server knows it. Its health is checked by a program of its image: podman would
    ask for a path or a port with curl or nc. Published ports are those of this machine. Raise UsageError as `manifests` does, and for a
    secret in the middle of a value of an image by another tool.
    """
    made = manifests(stack, placed)
    volumes = [it for it in made.documents if it["kind"] == "PersistentVolumeClaim"]
    pods: list[dict[str, Any]] = []
    services = {it.service.name: it for it in placed}
    # Podman starts the next pod once this one runs, so each comes behind those that it needs, as in the stack.
    for name in services:
        for document in made.files.get(f"{name}.yaml", ()):
            volumes += _claims(document)
            pods += _pod(document, name, services, stack.place)
    return head_for("podman") + yaml_documents([*volumes, *pods])


def _claims(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the volumes that a StatefulSet would make, by the names that they have in the pod."""
    for template in document["spec"].get("volumeClaimTemplates", ()):
        metadata = {**document["metadata"], "name": template["metadata"]["name"]}
        yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}


def _pod(document: Mapping[str, Any], name: str, services: Mapping[str, PlacedService], place: str) -> Iterator[dict[str, Any]]:
    """Yield the pod of a Deployment or StatefulSet, or the Job with its pod; nothing for other documents."""
    kind = document["kind"]
    if kind not in ("Deployment", "StatefulSet", "Job"):
        return
    template = document["spec"]["template"]
    spec = {key: value for key, value in template["spec"].items() if key not in _CLUSTER}
    claims = [template["metadata"]["name"] for template in document["spec"].get("volumeClaimTemplates", ())]
    spec["volumes"] = [*map(_volume, spec["volumes"]), *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims)]
    for part in ("initContainers", "containers"):
        if part in spec:
            # A job that runs before is named after its service, and what waits has the image of the pod's.
            spec[part] = [_container(each, services.get(each["name"], services[name]), place) for each in spec[part]]
    if kind == "Job":
        yield {**document, "spec": {"template": {**template, "spec": spec}}}
    else:
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": document["metadata"], "spec": {**spec, "restartPolicy": "Always"}}


def _container(container: Mapping[str, Any], placed: PlacedService, place: str) -> dict[str, Any]:
    """Return a container without requests, which divide the nodes of a cluster, with podman's probes and published ports.

    The limit of what waits is not the settings'; podman starts no container with a limit where it may not set one.
    """
    found = {key: value for key, value in container.items() if not key.endswith("Probe")}
    limits = container["resources"].get("limits") if container["name"] == placed.service.name else None
    found["resources"] = {"limits": limits} if limits else {}
    found |= _with_values(container, placed, place)
    command = list(placed.health_command)
    if command:
        found |= {name: {**_timing(container[name]), "exec": {"command": command}} for name in _PROBES if name in container}
    if "ports" in container:
        published = {(port.container, port.protocol): port for port in placed.ports}
        found["ports"] = [_port(port, published) for port in container["ports"]]
    return found


def _with_values(container: Mapping[str, Any], placed: PlacedService, place: str) -> dict[str, Any]:
    """Return the fields of a container's variables as podman reads them: it replaces `$(NAME)` and `$$` in words, not in variables.

    A program of the image sets variables that have secrets in them, and becomes the container's own.
    """
    if not (env := container.get("env", [])):
        return {}
    composed = [each for each in env if "value" in each and _VARIABLE.search(each["value"])]
    plain = [{**each, "value": each["value"].replace("$$", "$")} if "value" in each else each for each in env if each not in composed]
    if not composed:
        return {"env": plain}
    if not placed.image.is_ours:
        name = composed[0]["name"]
        where = f"{place}: services.{placed.service.name}.env.{name}"
        hint = f'Make the whole value the secret: {name} = "${{{name}}}".'
        raise UsageError(f"{where}: podman puts no secret into a longer value", hint=hint)
    config = placed.image.config
    own = container.get("command", literal_words(config.entrypoint))
    words = [*own, *container.get("args", () if "command" in container else literal_words(config.cmd))]
    values = [f"{each['name']}={each['value']}" for each in composed]
    return {"env": plain, "command": [f"/{VENV}/bin/python", "-I", "-c", _SET, str(len(values)), *values, *words], "args": []}


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    """Return a volume whose secrets everyone in the container may read: podman gives them to root, and knows no fsGroup."""
    return {**volume, "secret": {**volume["secret"], "defaultMode": 0o444}} if "secret" in volume else dict(volume)


def _timing(probe: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in probe.items() if key not in ("httpGet", "tcpSocket", "exec")}


def _port(port: Mapping[str, Any], published: Mapping[tuple[int, str], Any]) -> dict[str, Any]:
    known = published.get((port["containerPort"], port.get("protocol", "TCP").lower()))
    if known is None:
        return dict(port)
    return {**port, "hostPort": known.host, **({"hostIP": known.address} if known.address else {})}
