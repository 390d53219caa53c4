"""A stack as manifests for Kubernetes 1.30 and newer: https://kubernetes.io/docs/reference/kubernetes-api/.

A process without volumes is a Deployment, `web` with two replicas and more under load. One that writes to a volume of its project is a
Deployment with one replica, which ends before the next one starts: two would share a volume for one. Another image with volumes is a
StatefulSet. A job that others need is an init container of theirs, since nothing in Kubernetes waits for a Job; any other is one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shipwheel.container.venv import VENV
from shipwheel.engine.run_options import slug
from shipwheel.errors import UsageError
from shipwheel.stack.image import PlacedService
from shipwheel.stack.model import SECRETS_DIRECTORY, HealthCommand, HealthPath, HealthPort, ProjectSource, Stack, pieces, variables_in

__all__ = ["Manifests", "literal_words", "manifests", "secret_name"]

_TMP = "/tmp"  # noqa: S108 - in the container
_STORAGE = "1Gi"
_CPU = "100m"
_MEMORY = "128Mi"
_REPLICAS = 2
_MAX_REPLICAS = 6
_PERIOD_S = 5
_MAX_CRON_JOB = 52
"""Characters of a CronJob's name, to which Kubernetes appends 11 for each of its Jobs."""
_ROOT_USERS = ("", "0", "root")
_PULL_POLICY = "IfNotPresent"
"""A digest stays what it is, and an image that was loaded from a bundle is in no registry. The default pulls `latest` again."""

_WAIT = (
    "import socket, sys, time\n"
    "for address in sys.argv[1:]:\n"
    "    while True:\n"
    "        try:\n"
    "            host, _, port = address.rpartition(':')\n"
    "            socket.create_connection((host, int(port)), timeout=5).close()\n"
    "            break\n"
    "        except OSError as error:\n"
    "            print(f'waiting for {address}: {error}', flush=True)\n"
    "            time.sleep(2)\n"
)
"""Program for the image's own Python, in an init container: waits for services that the pod needs."""


class Manifests(msgspec.Struct, frozen=True):
    """The manifests of a stack: file name -> documents."""

    files: Mapping[str, tuple[dict[str, Any], ...]]

    @property
    def documents(self) -> tuple[dict[str, Any], ...]:
        """All documents, in the order of the files."""
        return tuple(document for documents in self.files.values() for document in documents)


def secret_name(stack: Stack) -> str:
    """Return the name of the Secret that has the values of the stack's variables. It is made by hand, never written."""
    return f"{stack.name}-secrets"


def manifests(stack: Stack, placed: Sequence[PlacedService]) -> Manifests:
    """Return the manifests of a stack. The names of the images should have digests.

    Raise UsageError if two volumes would have one name, and for a name that is too long for a CronJob.
    """
    for each in placed:
        if each.service.schedule and len(each.service.name) > _MAX_CRON_JOB:
            what = (
                f"{stack.place}: the name of services.{each.service.name}, which has a schedule, is longer than {_MAX_CRON_JOB} characters"
            )
            raise UsageError(what, hint="Give it a shorter one: Kubernetes appends the time to the name of a CronJob.")
    placed = _with_valid_volumes(stack, placed)
    writer = _Writer(stack, placed)
    files: dict[str, tuple[dict[str, Any], ...]] = {"stack.yaml": tuple(writer.shared())}
    for each in placed:
        if documents := tuple(writer.service(each)):
            files[f"{each.service.name}.yaml"] = documents
    return Manifests(files)


def _with_valid_volumes(stack: Stack, placed: Sequence[PlacedService]) -> list[PlacedService]:
    """Return the services with names of volumes that Kubernetes allows: small letters, digits and dashes."""
    names: dict[str, str] = {}
    found = []
    for each in placed:
        for volume in each.volumes:
            if (other := names.setdefault(slug(volume.name), volume.name)) != volume.name:
                hint = "Name one differently: in Kubernetes, names have small letters, digits and dashes."
                raise UsageError(f"{stack.place}: the volumes {other} and {volume.name} would both be {slug(volume.name)}", hint=hint)
        volumes = tuple(msgspec.structs.replace(volume, name=slug(volume.name)) for volume in each.volumes)
        found.append(msgspec.structs.replace(each, volumes=volumes))
    return found


class _Writer:
    """Writes the documents of one stack."""

    def __init__(self, stack: Stack, placed: Sequence[PlacedService]) -> None:
        self._stack = stack
        self._placed = {it.service.name: it for it in placed}
        self._awaited = {name for it in placed for name in it.service.needs if self._placed[name].service.is_job}
        self._users: dict[str, list[str]] = {}
        for it in placed:
            for volume in it.volumes:
                self._users.setdefault(volume.name, []).append(it.service.name)

    def shared(self) -> Iterator[dict[str, Any]]:
        """Yield what belongs to no service: the account of all pods, the policy that denies what nothing allows, and volumes."""
        account = self._head("v1", "ServiceAccount", self._stack.name, "")
        yield {**account, "automountServiceAccountToken": False}
        policy = self._head("networking.k8s.io/v1", "NetworkPolicy", f"{self._stack.name}-deny", "")
        part = {"matchLabels": {"app.kubernetes.io/part-of": self._stack.name}}
        yield {**policy, "spec": {"podSelector": part, "policyTypes": ["Ingress", "Egress"]}}
        for name, users in self._users.items():
            if not all(self._is_stateful(self._placed[user]) for user in users):
                claim = self._head("v1", "PersistentVolumeClaim", name, "")
                yield {**claim, "spec": _claim_spec()}

    def service(self, placed: PlacedService) -> Iterator[dict[str, Any]]:
        """Yield the documents of one service."""
        name = placed.service.name
        if placed.service.is_job:
            if name not in self._awaited:
                yield self._job(placed)
                yield self._policy(placed)
            return
        yield self._stateful_set(placed) if self._is_stateful(placed) else self._deployment(placed)
        ports = [
            {"name": _port_name(port), "port": port["containerPort"], "targetPort": _port_name(port), **_protocol(port)}
            for port in _container_ports(placed)
        ]
        if ports or self._callers(name) or self._is_stateful(placed):
            # A headless one needs no ports: its name leads to the pod.
            reached = {"ports": ports} if ports else {"clusterIP": "None"}
            yield {**self._head("v1", "Service", name, name), "spec": {"selector": self._selector(name), **reached}}
        yield self._policy(placed)
        if self._is_replicated(placed):
            yield from self._scaling(name)

    def _deployment(self, placed: PlacedService) -> dict[str, Any]:
        name = placed.service.name
        replicated = self._is_replicated(placed)
        spec: dict[str, Any] = {
            # The autoscaler decides how many replicas there are.
            **({} if replicated else {"replicas": 1}),
            "strategy": self._strategy(placed),
            "selector": {"matchLabels": self._selector(name)},
            "template": self._template(placed, "Always"),
        }
        return {**self._head("apps/v1", "Deployment", name, name), "spec": spec}

    def _strategy(self, placed: PlacedService) -> dict[str, Any]:
        """Return how its pods are replaced. Nobody misses one that serves nothing, but two schedulers would do everything twice."""
        if placed.volumes:
            return {"type": "Recreate"}
        if _container_ports(placed) or self._callers(placed.service.name):
            return {"type": "RollingUpdate"}
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}

    def _stateful_set(self, placed: PlacedService) -> dict[str, Any]:
        name = placed.service.name
        claims = [{"metadata": {"name": volume.name}, "spec": _claim_spec()} for volume in placed.volumes]
        spec = {
            "serviceName": name,
            "replicas": 1,
            "selector": {"matchLabels": self._selector(name)},
            "template": self._template(placed, "Always"),
            "volumeClaimTemplates": claims,
        }
        return {**self._head("apps/v1", "StatefulSet", name, name), "spec": spec}

    def _job(self, placed: PlacedService) -> dict[str, Any]:
        name, schedule = placed.service.name, placed.service.schedule
        spec = {"backoffLimit": 6, "ttlSecondsAfterFinished": 86400, "template": self._template(placed, "OnFailure")}
        if schedule:
            # One that takes longer than to the next time is not joined by a second.
            timed = {"schedule": schedule, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": spec}}
            return {**self._head("batch/v1", "CronJob", name, name), "spec": timed}
        # A Job cannot be changed: another image means another Job.
        digest = placed.image.name.rpartition("sha256:")[2][:8] if "@" in placed.image.name else ""
        return {**self._head("batch/v1", "Job", "-".join(filter(None, (name, digest))), name), "spec": spec}

    def _template(self, placed: PlacedService, restart: str) -> dict[str, Any]:
        name = placed.service.name
        pod: dict[str, Any] = {
            "serviceAccountName": self._stack.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": _pod_security(placed),
        }
        if before := [*self._waiting(placed), *(self._container(job, job.service.name, probes=False) for job in self._jobs_of(placed))]:
            pod["initContainers"] = before
        pod["containers"] = [self._container(placed, name, probes=not placed.service.is_job)]
        pod["volumes"] = list(self._volumes(placed))
        if restart != "Always":
            pod["restartPolicy"] = restart
        if self._is_replicated(placed):
            spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
            pod["topologySpreadConstraints"] = [{**spread, "labelSelector": {"matchLabels": self._selector(name)}}]
        if affinity := self._beside(placed):
            pod["affinity"] = affinity
        return {"metadata": {"labels": {**self._labels(name)}}, "spec": pod}

    def _container(self, placed: PlacedService, name: str, *, probes: bool) -> dict[str, Any]:
        service, image = placed.service, placed.image
        container: dict[str, Any] = {"name": name, "image": image.name}
        container["imagePullPolicy"] = _PULL_POLICY
        if placed.entrypoint is not None:
            container["command"] = literal_words(placed.entrypoint)
        elif service.command:
            container["args"] = literal_words(service.command)
        if env := list(self._env(placed)):
            container["env"] = env
        if probes and (ports := _container_ports(placed)):
            container["ports"] = ports
        if probes:
            container.update(_probes(placed))
        container["resources"] = _resources(placed)
        container["securityContext"] = _security(placed)
        container["volumeMounts"] = list(self._mounts(placed))
        return container

    def _waiting(self, placed: PlacedService) -> Iterator[dict[str, Any]]:
        """Yield the init container that waits for the services which an image of ours needs; others have no program for that."""
        needed = [self._placed[name] for name in placed.service.needs if not self._placed[name].service.is_job]
        addresses = [f"{it.service.name}:{ports[0]['containerPort']}" for it in needed if (ports := _container_ports(it))]
        if addresses and placed.image.is_ours:
            yield {
                "name": "wait",
                "image": placed.image.name,
                "imagePullPolicy": _PULL_POLICY,
                "command": [f"/{VENV}/bin/python", "-I", "-c", _WAIT, *addresses],
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                "securityContext": _security(placed),
            }

    def _env(self, placed: PlacedService) -> Iterator[dict[str, Any]]:
        service = placed.service
        secret = secret_name(self._stack)
        # Under another name if the container has another value under this one.
        names = {
            name: f"{name}_OF_STACK" if service.env.get(name, f"${{{name}}}") != f"${{{name}}}" else name
            for value in service.env.values()
            for name in variables_in(value)
        }
        # First: only variables that come before can be part of a value.
        for key, name in sorted(names.items()):
            yield {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name in service.secrets:
            yield {"name": f"{name}_FILE", "value": f"{SECRETS_DIRECTORY}/{name}"}
        # In the order that Helm gives to a map.
        for name, value in sorted(service.env.items()):
            if value != f"${{{name}}}":
                yield {"name": name, "value": _value(value, names)}

    def _mounts(self, placed: PlacedService) -> Iterator[dict[str, Any]]:
        if placed.hardened:
            yield {"name": "tmp", "mountPath": _TMP}
        for volume in placed.volumes:
            yield {"name": volume.name, "mountPath": str(volume.target)}
        for name in placed.service.secrets:
            yield {"name": "secrets", "mountPath": f"{SECRETS_DIRECTORY}/{name}", "subPath": name, "readOnly": True}

    def _volumes(self, placed: PlacedService) -> Iterator[dict[str, Any]]:
        """Yield the volumes of a pod: those of its container, and of the jobs that run before."""
        everyone = (placed, *self._jobs_of(placed))
        if any(it.hardened for it in everyone):
            yield {"name": "tmp", "emptyDir": {}}
        if not self._is_stateful(placed):
            for name in dict.fromkeys(volume.name for it in everyone for volume in it.volumes):
                yield {"name": name, "persistentVolumeClaim": {"claimName": name}}
        if names := sorted({name for it in everyone for name in it.service.secrets}):
            # For the container's user alone, through its group.
            items = [{"key": name, "path": name} for name in names]
            yield {"name": "secrets", "secret": {"secretName": secret_name(self._stack), "defaultMode": 0o440, "items": items}}

    def _callers(self, name: str) -> list[str]:
        """Return the services in whose pods something needs one: they themselves, or the jobs that run in front of them."""
        pods = {each: (it, *self._jobs_of(it)) for each, it in self._placed.items()}
        return [each for each, inside in pods.items() if any(name in it.service.needs for it in inside)]

    def _policy(self, placed: PlacedService) -> dict[str, Any]:
        """Return what may connect to the pods of a service and where they may connect: who needs it, what it needs, and names."""
        name = placed.service.name
        needed = {each for it in (placed, *self._jobs_of(placed)) for each in it.service.needs if not self._placed[each].service.is_job}
        ports = [{"port": port["containerPort"], **_protocol(port)} for port in _container_ports(placed)]
        sources: list[dict[str, Any]] = [{"podSelector": {"matchLabels": self._selector(caller)}} for caller in self._callers(name)]
        ingress: list[dict[str, Any]] = []
        if ports and (placed.service.ports or placed.service.publishes_all):
            ingress.append({"ports": ports})
        elif sources:
            ingress.append({"from": sources, **({"ports": ports} if ports else {})})
        egress: list[dict[str, Any]] = [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]
        for each in sorted(needed):
            allowed = [{"port": port["containerPort"], **_protocol(port)} for port in _container_ports(self._placed[each])]
            egress.append({"to": [{"podSelector": {"matchLabels": self._selector(each)}}], **({"ports": allowed} if allowed else {})})
        if isinstance(placed.service.source, ProjectSource):
            # Servers of others, but nothing else inside the cluster.
            private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
            egress.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": private}}]})
        spec = {
            "podSelector": {"matchLabels": self._selector(name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        }
        return {**self._head("networking.k8s.io/v1", "NetworkPolicy", name, name), "spec": spec}

    def _scaling(self, name: str) -> Iterator[dict[str, Any]]:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
        spec = {"scaleTargetRef": target, "minReplicas": _REPLICAS, "maxReplicas": _MAX_REPLICAS, "metrics": [cpu]}
        yield {**self._head("autoscaling/v2", "HorizontalPodAutoscaler", name, name), "spec": spec}
        budget = {"maxUnavailable": 1, "selector": {"matchLabels": self._selector(name)}}
        yield {**self._head("policy/v1", "PodDisruptionBudget", name, name), "spec": budget}

    def _beside(self, placed: PlacedService) -> dict[str, Any]:
        """Return the affinity to the pods that use the same volume, which one node at a time can mount; empty for the first of them."""
        users = ([name for name in self._users[volume.name] if not self._placed[name].service.is_job] for volume in placed.volumes)
        others = [first for first in dict.fromkeys(names[0] for names in users if names) if first != placed.service.name]
        if not others:
            return {}
        terms = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": self._selector(name)}} for name in others]
        return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    def _jobs_of(self, placed: PlacedService) -> list[PlacedService]:
        """Return the jobs that run in the pod of a service, each once, behind those that it needs itself."""
        jobs = [self._placed[name] for name in placed.service.needs if self._placed[name].service.is_job]
        found = {each.service.name: each for job in jobs for each in (*self._jobs_of(job), job)}
        return list(found.values())

    def _is_stateful(self, placed: PlacedService) -> bool:
        return bool(placed.volumes) and not isinstance(placed.service.source, ProjectSource)

    def _is_replicated(self, placed: PlacedService) -> bool:
        """Return whether two replicas of a service can run: those of the project's web server if it keeps nothing."""
        return placed.service.source == ProjectSource(self._stack.root) and not placed.volumes and not placed.service.is_job

    def _head(self, version: str, kind: str, name: str, component: str) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": self._labels(component)}}

    def _labels(self, component: str) -> dict[str, str]:
        return {**(self._selector(component) if component else {}), "app.kubernetes.io/part-of": self._stack.name}

    def _selector(self, component: str) -> dict[str, str]:
        return {"app.kubernetes.io/name": component, "app.kubernetes.io/instance": self._stack.name}


def _claim_spec() -> dict[str, Any]:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _STORAGE}}}


def _container_ports(placed: PlacedService) -> list[dict[str, Any]]:
    """Return the ports that the container listens on: those of its image, and those that are published or asked for its health."""
    known = {(port.number, port.protocol) for port in placed.image.config.exposed_ports} if _serves(placed) else set()
    known |= {(port.container, port.protocol) for port in placed.service.ports}
    if isinstance(placed.health, (HealthPath, HealthPort)):
        known.add((placed.health.port, "tcp"))
    ports = [
        {"containerPort": number, **({"protocol": protocol.upper()} if protocol != "tcp" else {})} for number, protocol in sorted(known)
    ]
    return [{"name": _port_name(port), **port} for port in ports]


def _serves(placed: PlacedService) -> bool:
    """Return whether a service listens on the ports of its image: another process than `web` does not."""
    return placed.service.source.process == "web"


def _port_name(port: Mapping[str, Any]) -> str:
    return f"{port.get('protocol', 'TCP').lower()}-{port['containerPort']}"


def _protocol(port: Mapping[str, Any]) -> dict[str, str]:
    return {"protocol": port["protocol"]} if "protocol" in port else {}


def _probes(placed: PlacedService) -> dict[str, Any]:
    match placed.health:
        case HealthPath(path, port):
            # A server that checks the name of its host would refuse the pod's address.
            ask: dict[str, Any] = {"httpGet": {"path": path, "port": port, "httpHeaders": [{"name": "Host", "value": "localhost"}]}}
        case HealthPort(port):
            ask = {"tcpSocket": {"port": port}}
        case HealthCommand(command):
            ask = {"exec": {"command": literal_words(command)}}
        case _:
            return {}
    attempts = max(1, -(-placed.service.start_timeout // _PERIOD_S))
    return {
        "startupProbe": {**ask, "periodSeconds": _PERIOD_S, "timeoutSeconds": 5, "failureThreshold": attempts},
        "readinessProbe": {**ask, "periodSeconds": _PERIOD_S, "timeoutSeconds": 5},
        "livenessProbe": {**ask, "periodSeconds": 2 * _PERIOD_S, "timeoutSeconds": 10, "failureThreshold": 3},
    }


def _resources(placed: PlacedService) -> dict[str, Any]:
    """Return the requests, and the limit of memory if the settings have one: a limit on CPU would only make it slower."""
    service = placed.service
    memory = f"{-(-service.memory >> 20)}Mi" if service.memory is not None else ""
    cpu = f"{round(service.cpus * 1000)}m" if service.cpus is not None else _CPU
    return {"requests": {"cpu": cpu, "memory": memory or _MEMORY}, **({"limits": {"memory": memory}} if memory else {})}


def _pod_security(placed: PlacedService) -> dict[str, Any]:
    security: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    user, _, group = placed.image.config.user.partition(":")
    if user not in _ROOT_USERS:
        security["runAsNonRoot"] = True
    if user.isdecimal() and user != "0":
        number = int(group) if group.isdecimal() else int(user)
        # The group may write to volumes.
        security |= {"runAsUser": int(user), "runAsGroup": number, "fsGroup": number}
    return security


def _security(placed: PlacedService) -> dict[str, Any]:
    security: dict[str, Any] = {"allowPrivilegeEscalation": False}
    if placed.hardened:
        security |= {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return security


def literal_words(words: Sequence[str]) -> list[str]:
    """Return words that stay as they are in a container's `command` and `args`."""
    return [_literal(word) for word in words]


def _literal(text: str) -> str:
    """Return a text that stays as it is: Kubernetes replaces `$(NAME)`, and `$$` by a single `$` wherever it stands."""
    return text.replace("$", "$$")


def _value(text: str, names: Mapping[str, str]) -> str:
    """Return a value of `env` with the container's `names` of its variables."""
    return "".join(f"{_literal(literal)}{f'$({names[name]})' if name else ''}" for literal, name in pieces(text))
