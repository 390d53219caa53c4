"""The JSON schema of the settings accepts what the reader of the settings accepts, and says what is wrong with the rest."""

import datetime
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import fastjsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import UsageError
from shipwheel.settings.settings import Settings, settings_from

ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "docs" / "reference" / "settings.schema.json").read_text(encoding="utf-8"))
KEYS = sorted(field.encode_name for field in msgspec.structs.fields(Settings))
CHECK = fastjsonschema.compile(SCHEMA)


def accepts(table: dict[str, Any]) -> bool:
    """Return whether the schema accepts a table, as an editor reads it."""
    try:
        CHECK(json.loads(json.dumps(table, default=lambda value: value.isoformat())))
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def reads(table: dict[str, Any]) -> bool:
    try:
        settings_from(table, "here")
    except UsageError:
        return False
    return True


def test_every_setting_is_described() -> None:
    assert sorted(SCHEMA["properties"]) == KEYS
    assert [key for key, form in SCHEMA["properties"].items() if not form["description"].strip()] == []


@pytest.mark.parametrize(
    "table",
    [
        {"command": "python main.py"},
        {"command": ["python", "main.py"], "ports": [8000, "53/udp"]},
        {"ports": 8000},
        {"ports": "53/udp", "user": 65532},
        {"user": "1000:0", "as-of": datetime.date(2024, 9, 15)},
        {"before-start": [["python", "manage.py", "migrate"]], "env": {"A": "1"}},
        {"platforms": "linux/arm64", "packages": ["libpq5"], "install": "source", "bytecode": False},
        {"allow-secrets": [{"path": "a.pem", "reason": "for a demo"}]},
        {"build": {"packages": ["swig"], "max-minutes": 9, "pandas": {"constraints": ["cython<3"]}}},
    ],
)
def test_accepts_every_form_of_a_value(table: dict[str, Any]) -> None:
    assert reads(table)
    assert accepts(table)


@pytest.mark.parametrize(
    "table",
    [
        {"platfroms": ["linux/amd64"]},
        {"python": 3.11},
        {"python": "2.7"},
        {"bytecode": "yes"},
        {"ports": [0]},
        {"packages": ["Not a name"]},
        {"env": {"A": 1}},
        {"before-start": ["python"]},
        {"allow-secrets": [{"path": "a.pem"}]},
        {"install": "zip"},
        {"build": {"pandas": {"max-minutes": 9}}},
        {"build": {"pandas": 9}},
        {"accelerator": "fast"},
    ],
)
def test_rejects_what_the_reader_rejects(table: dict[str, Any]) -> None:
    assert not reads(table)
    assert not accepts(table)


VALUES = st.recursive(
    st.one_of(
        st.text(max_size=12), st.integers(-5, 70000), st.booleans(), st.sampled_from(["3.11", "linux/arm64", "/data", "cpu", "8000"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_never_rejects_what_the_reader_accepts(table: dict[str, Any]) -> None:
    if reads(table):
        assert accepts(table), table


def test_accepts_the_settings_of_the_documentation() -> None:
    texts = [page.read_text(encoding="utf-8") for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))]
    blocks = [block for text in texts for block in re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]
    tables = [tomllib.loads(block).get("tool", {}).get("shipwheel", {}) for block in blocks]
    assert sum(map(bool, tables)) > 10
    assert all(map(accepts, tables))
