"""The JSON schema of the settings, for editors that check and complete shipwheel.toml. `make docs` writes it into docs/reference."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shipwheel.settings.settings import Settings
from shipwheel.settings.values import pattern_of

__all__ = ["settings_schema"]

_DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest draft that editors for TOML know."""

_TEXT: dict[str, Any] = {"type": "string"}
_PORT = {"anyOf": [_TEXT, {"type": "integer", "minimum": 1, "maximum": 65535}]}
_OTHER_FORMS: dict[str, dict[str, Any]] = {
    "ports": {"anyOf": [*_PORT["anyOf"], {"type": "array", "items": _PORT}]},
    "user": {"anyOf": [_TEXT, {"type": "integer", "minimum": 0}]},
    "processes": {"type": "object", "additionalProperties": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}},
    "services.ports": {"anyOf": [*_PORT["anyOf"], {"type": "array", "items": _PORT}]},
    "bytecode": {"anyOf": [{"type": "boolean"}, {"enum": ["all", "used", "none"]}]},
    "services.health": {"anyOf": [{**_TEXT, "pattern": "^/"}, {"type": "array", "items": _TEXT, "minItems": 1}]},
}
"""The forms that a file may have, where they are not those of the type."""


_TABLES = {"services": "ServiceSettings", "steps": "StepSettings", "assets": "AssetSettings"}
"""Keys with tables that have keys of their own, and the types of these."""


def settings_schema(descriptions: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of a shipwheel.toml. `descriptions` are those of the keys; tables have prefixes: `services.image`."""
    (schema,), parts = msgspec.json.schema_components([Settings], ref_template="#/definitions/{name}")
    settings = parts.pop(schema["$ref"].rpartition("/")[2])
    for key, name in _TABLES.items():
        parts[name]["properties"] = _properties(parts[name], descriptions, f"{key}.")
    # A table in this one with the name of a package has settings for that package.
    of_packages = parts["BuildSettings"]["properties"].pop("by-package")
    parts["BuildSettings"]["additionalProperties"] = of_packages["additionalProperties"]
    properties = _properties(settings, descriptions)
    return {
        "$schema": _DRAFT,
        "title": "Settings of shipwheel",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "definitions": parts,
    }


def _properties(struct: Mapping[str, Any], descriptions: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    return {key: _property(f"{prefix}{key}", form, descriptions[f"{prefix}{key}"]) for key, form in struct["properties"].items()}


def _property(key: str, form: dict[str, Any], description: str) -> dict[str, Any]:
    """Return the schema of one key, in the forms that a TOML file can have: without null, and a list of one text as the text."""
    default = form.pop("default", None)
    form = _OTHER_FORMS.get(key) or _without_null(form)
    pattern = {"pattern": f"^(?:{found})$"} if (found := pattern_of(key)) else {}
    if form == _TEXT:
        form = {**form, **pattern}
    elif form == {"type": "array", "items": _TEXT}:
        text = {**_TEXT, **pattern}
        form = {"anyOf": [text, {"type": "array", "items": text}]}
    return {"description": description, **form, **({"default": default} if default not in (None, (), {}) else {})}


def _without_null(form: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in form.get("anyOf", ()) if kind != {"type": "null"}]
    if "enum" in form:
        return {**form, "enum": [value for value in form["enum"] if value is not None]}
    return kinds[0] if len(kinds) == 1 else form
