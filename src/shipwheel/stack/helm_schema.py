"""The JSON schema of a chart's values, strict: Helm refuses a key that no template reads. https://json-schema.org/draft-07/schema"""

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["values_schema"]

_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_NAME = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}
_POSITIVE = {"type": "integer", "minimum": 1}
_QUANTITY = {"type": ["string", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i?)?$"}
_QUANTITIES = {"type": "object", "additionalProperties": _QUANTITY}


def values_schema(values: Mapping[str, Any], single: Collection[str]) -> dict[str, Any]:
    """Return the schema of values with the keys of these. The `single` services have one replica at most."""
    keys: dict[str, Any] = {
        "registry": _TEXT,
        "pullSecrets": {"type": "array", "items": _NAME},
        "labels": _TEXTS,
        "secret": _NAME,
        "ingress": _object({"host": _TEXT, "className": _TEXT, "tlsSecret": _NAME, "annotations": _TEXTS}),
        "volumes": _object({name: _object({"size": {**_QUANTITY, "type": "string"}, "class": _TEXT}) for name in values["volumes"]}),
        "services": _object({name: _service(each, name in single) for name, each in values["services"].items()}),
        # What Helm itself and a chart above this one pass.
        "global": {"type": "object"},
    }
    found = _object({name: keys[name] for name in (*values, "global")})
    found["required"].remove("global")
    return {"$schema": "http://json-schema.org/draft-07/schema#", **found}


def _service(values: Mapping[str, Any], is_single: bool) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "image": {
            **_object({"registry": _TEXT, "repository": _NAME, "digest": {**_TEXT, "pattern": "^(sha256:[0-9a-f]{64})?$"}, "tag": _TEXT}),
            "anyOf": [{"properties": {key: {"minLength": 1}}} for key in ("digest", "tag")],
        },
        "resources": {
            "type": "object",
            "properties": {"requests": _QUANTITIES, "limits": _QUANTITIES},
            "additionalProperties": False,
        },
        "env": _TEXTS,
        "schedule": _NAME,
        "replicas": {**_COUNT, "maximum": 1} if is_single else _COUNT,
        "autoscaling": _object(
            {"enabled": {"type": "boolean"}, "minReplicas": _POSITIVE, "maxReplicas": _POSITIVE, "cpuPercent": _POSITIVE}
        ),
    }
    return _object({name: keys[name] for name in values})


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": dict(properties), "additionalProperties": False}
