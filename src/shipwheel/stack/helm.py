"""A stack as a Helm chart: the objects of `kubernetes.py`, with values where one cluster differs from the next.

With the values that the chart has, the objects are those of `export kubernetes`; only Helm's own annotation, which keeps volumes when the
release is deleted, comes in addition. https://helm.sh/docs/topics/charts
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.made_files import head_for
from shipwheel.oci.reference import Reference
from shipwheel.stack.helm_schema import values_schema
from shipwheel.stack.image import PlacedService
from shipwheel.stack.kubernetes import manifests, secret_name
from shipwheel.stack.kustomize import ingress
from shipwheel.stack.model import Stack
from shipwheel.stack.template_text import TemplateText
from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["helm_files"]

_HEAD = head_for("helm")
_VALUES_HEAD = f"""{_HEAD}# Write other values into a file of your own: helm upgrade --install --values FILE. The keys:
#   registry   takes the place of every image's registry, for a mirror that has them all; pullSecrets names the Secrets that open it
#   labels     are added to every object and pod
#   ingress    makes an Ingress to `web` as soon as it has a host
#   secret     is the name of the Secret with the passwords, which the chart does not make
#   volumes    have a size and a storage class; without one the cluster's default is used
#   services   have an image, resources, and variables. Values are text, in quotes; $(NAME) is the value of NAME in the Secret, $$ is $
"""
_NOTES = """{{ .Release.Name }} is installed in {{ .Release.Namespace }}. See what it does: kubectl -n {{ .Release.Namespace }} get pods
"""
_KEEP = {"helm.sh/resource-policy": "keep"}
_LABELS = ("{{- with $.Values.labels }}", "{{- toYaml . | nindent {indent} }}", "{{- end }}")
_PULL = ("{{- with $.Values.pullSecrets }}", "imagePullSecrets:", "{{- range . }}", "- name: {{ . | quote }}", "{{- end }}", "{{- end }}")
_IDENTIFIER = lazy_pattern(r"[a-z][a-z0-9]*")


def helm_files(stack: Stack, placed: Sequence[PlacedService]) -> dict[str, str]:
    """Return the files of a chart by relative path. The names of the images should have digests. Raise UsageError as `manifests`."""
    made = manifests(stack, placed)
    chart = _Chart(stack, placed)
    files = {f"templates/{name}": chart.template(documents) for name, documents in made.files.items()}
    if (document := ingress(stack, made.documents)) is not None:
        files["templates/ingress.yaml"] = chart.ingress(document)
    about = {
        "apiVersion": "v2",
        "name": stack.name,
        "description": f"{stack.name} and its services",
        "type": "application",
        "version": "0.1.0",
        "kubeVersion": ">=1.30.0-0",
    }
    return {
        "Chart.yaml": f"{_HEAD}# Give each release a version of its own: helm package --version.\n{yaml_documents([about])}",
        "values.yaml": _VALUES_HEAD + yaml_documents([chart.values]),
        "values.schema.json": msgspec.json.format(msgspec.json.encode(values_schema(chart.values, chart.single)), indent=2).decode() + "\n",
        "templates/_image.tpl": _image_helper(stack),
        "templates/NOTES.txt": _NOTES,
        **files,
    }


def _image_helper(stack: Stack) -> str:
    """Return the template that writes an image's name; charts share the names of their templates, so it has the chart's."""
    return (
        f'{{{{- define "{stack.name}.image" -}}}}\n'
        "{{- with .root.Values.registry | default .image.registry }}{{ . }}/{{ end -}}\n"
        "{{- .image.repository }}{{ with .image.digest }}@{{ . }}{{ else }}:{{ .image.tag }}{{ end -}}\n"
        "{{- end }}\n"
    )


class _Chart:
    """Writes the templates of one chart, and collects the values that they use."""

    def __init__(self, stack: Stack, placed: Sequence[PlacedService]) -> None:
        self._stack = stack
        self._placed = {it.service.name: it for it in placed}
        self._secret = secret_name(stack)
        self.values: dict[str, Any] = {"registry": "", "pullSecrets": [], "labels": {}}
        if stack.variables:
            self.values["secret"] = self._secret
        self.values |= {"volumes": {}, "services": {}}
        self.single: set[str] = set()
        """The services that write to a volume, which only one pod at a time can."""

    def template(self, documents: Sequence[Mapping[str, Any]]) -> str:
        """Return the template of a file of manifests."""
        text = TemplateText(documents)
        return _HEAD + "".join(self._section(text, document) for document in documents)

    def ingress(self, document: Mapping[str, Any]) -> str:
        """Return the template of the way to `web` from outside."""
        self.values["ingress"] = {"host": "", "className": "", "tlsSecret": document["spec"]["tls"][0]["secretName"], "annotations": {}}
        text = TemplateText([document])
        class_name = ("{{- with $.Values.ingress.className }}", "ingressClassName: {{ . | quote }}", "{{- end }}")
        labels, annotations = (
            (f"{{{{- with {it} }}}}", f'{{{{- dict "{key}" . | toYaml | nindent {{indent}} }}}}', "{{- end }}")
            for key, it in (("labels", "$.Values.labels"), ("annotations", "$.Values.ingress.annotations"))
        )
        host = text.inline("$.Values.ingress.host | quote")
        (rule,) = document["spec"]["rules"]
        changed = {
            **document,
            "metadata": {**document["metadata"], **text.entries(*labels), **text.entries(*annotations)},
            "spec": {
                **text.entries(*class_name),
                "rules": [{**rule, "host": host}],
                "tls": [{"hosts": [host], "secretName": text.inline("$.Values.ingress.tlsSecret | quote")}],
            },
        }
        return f"{_HEAD}{{{{- if $.Values.ingress.host }}}}\n{text.document(changed)}{{{{- end }}}}\n"

    def _section(self, text: TemplateText, original: Mapping[str, Any]) -> str:
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(original))
        metadata, kind = document["metadata"], document["kind"]
        metadata["labels"] |= text.entries(*_LABELS)
        component = metadata["labels"].get("app.kubernetes.io/name", "")
        match kind:
            case "PersistentVolumeClaim":
                metadata["annotations"] = dict(_KEEP)
                self._claim(text, document)
            case "CronJob":
                self._workload(text, {"kind": kind, **document["spec"]["jobTemplate"]}, component)
                self._values_of(component)["schedule"] = document["spec"]["schedule"]
                document["spec"]["schedule"] = text.inline(f"{_of(component)}.schedule | quote")
            case "Deployment" | "StatefulSet" | "Job":
                self._workload(text, document, component)
            case "HorizontalPodAutoscaler":
                return f"{{{{- if {_of(component)}.autoscaling.enabled }}}}\n---\n{self._scaler(text, document, component)}{{{{- end }}}}\n"
        return f"---\n{text.document(document)}"

    def _workload(self, text: TemplateText, document: dict[str, Any], component: str) -> None:
        spec = document["spec"]
        template = spec["template"]
        template["metadata"]["labels"] |= text.entries(*_LABELS)
        pod = template["spec"] = {**text.entries(*_PULL), **template["spec"]}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            self._container(text, container, component)
        for volume in pod["volumes"]:
            if "secret" in volume:
                volume["secret"]["secretName"] = text.inline("$.Values.secret | quote")
        for claim in spec.get("volumeClaimTemplates", ()):
            self._claim(text, claim)
        if document["kind"] == "CronJob":
            return
        if document["kind"] == "Job":
            self._job_name(text, document, component)
        elif "replicas" in spec:
            spec["replicas"] = text.inline(f"{_of(component)}.replicas | int")
            self._values_of(component)["replicas"] = 1
            if self._placed[component].volumes:
                self.single.add(component)
        else:
            of = _of(component)
            replicas = text.entries(f"{{{{- if not {of}.autoscaling.enabled }}}}", f"replicas: {{{{ {of}.replicas | int }}}}", "{{- end }}")
            document["spec"] = {**replicas, **spec}

    def _container(self, text: TemplateText, container: dict[str, Any], component: str) -> None:
        """Put values into a container. One that has no service of its own belongs to the pod's."""
        service = container["name"] if container["name"] in self._placed else component
        values = self._values_of(service)
        container["image"] = text.inline(f'include "{self._stack.name}.image" (dict "root" $ "image" {_of(service)}.image) | quote')
        if service != container["name"]:
            return
        values["resources"] = container["resources"]
        container["resources"] = text.entries(f"{{{{- toYaml {_of(service)}.resources | nindent {{indent}} }}}}")
        fixed, values["env"] = self._variables(text, service, container.get("env", ()))
        lines = (
            f"{{{{- range $name, $value := {_of(service)}.env }}}}",
            "- name: {{ $name | quote }}",
            "  value: {{ $value | quote }}",
            "{{- end }}",
        )
        container.pop("env", None)
        if fixed:
            container["env"] = [*fixed, text.item(*lines)]
        else:
            container |= text.entries(f"{{{{- if {_of(service)}.env }}}}", "env:", *lines, "{{- end }}")

    def _variables(
        self, text: TemplateText, service: str, env: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
        """Return the variables that the chart decides, and those that are values: what the settings say."""
        fixed: list[Mapping[str, Any]] = []
        values = {}
        for each in env:
            if "valueFrom" in each:
                key = {**each["valueFrom"]["secretKeyRef"], "name": text.inline("$.Values.secret | quote")}
                fixed.append({**each, "valueFrom": {"secretKeyRef": key}})
            elif each["name"] in self._placed[service].service.env:
                values[each["name"]] = each["value"]
            else:
                fixed.append(each)
        return fixed, values

    def _job_name(self, text: TemplateText, document: dict[str, Any], component: str) -> None:
        # A Job cannot be changed: another image means another Job.
        digest = f'({_of(component)}.image.digest | trimPrefix "sha256:" | trunc 8)'
        document["metadata"]["name"] = text.inline(f'printf "{component}-%s" {digest} | trimSuffix "-"')

    def _claim(self, text: TemplateText, claim: dict[str, Any]) -> None:
        name = claim["metadata"]["name"]
        requests = claim["spec"]["resources"]["requests"]
        self.values["volumes"][name] = {"size": requests["storage"], "class": ""}
        of = _of(name, "volumes")
        requests["storage"] = text.inline(f"{of}.size | quote")
        claim["spec"] |= text.entries(f"{{{{- with {of}.class }}}}", "storageClassName: {{ . | quote }}", "{{- end }}")

    def _scaler(self, text: TemplateText, document: dict[str, Any], component: str) -> str:
        spec = document["spec"]
        target = spec["metrics"][0]["resource"]["target"]
        values = self._values_of(component)
        values["replicas"] = spec["minReplicas"]
        values["autoscaling"] = {
            "enabled": True,
            "minReplicas": spec["minReplicas"],
            "maxReplicas": spec["maxReplicas"],
            "cpuPercent": target["averageUtilization"],
        }
        of = f"{_of(component)}.autoscaling"
        spec |= {"minReplicas": text.inline(f"{of}.minReplicas | int"), "maxReplicas": text.inline(f"{of}.maxReplicas | int")}
        target["averageUtilization"] = text.inline(f"{of}.cpuPercent | int")
        return text.document(document)

    def _values_of(self, service: str) -> dict[str, Any]:
        values: dict[str, Any] = self.values["services"].setdefault(service, {})
        values.setdefault("image", _image_values(self._placed[service].image.name))
        return values


def _image_values(name: str) -> dict[str, str]:
    reference = Reference.parse(name)
    tag = "" if reference.digest is not None else reference.tag_or_latest
    return {"registry": reference.registry or "", "repository": reference.repository, "digest": reference.digest or "", "tag": tag}


def _of(name: str, key: str = "services") -> str:
    """Return the expression for the values of a service or a volume. `$` is the root also within `range` and `with`."""
    return f"$.Values.{key}.{name}" if _IDENTIFIER.fullmatch(name) else f'(index $.Values.{key} "{name}")'
