"""Images in manifests, and their replacement in the text."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import UsageError
from shipwheel.stack.manifest_images import manifest_images, with_images

TEXT = """\
# image: of a comment
apiVersion: batch/v1
kind: CronJob
metadata:
  annotations: {image: "kept"}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          initContainers: [{name: a, image: 'one:1'}]  # kept
          containers:
            - name: b
              image: "shipwheel://../shop"   # and this
              env: [{name: image, value: kept}]
---
kind: ConfigMap
data: {image: kept}
"""


def test_finds_the_images_of_containers_alone() -> None:
    assert [(image.name, image.line) for image in manifest_images(TEXT, "x.yaml")] == [("one:1", 11), ("shipwheel://../shop", 14)]


def test_finds_a_project_under_any_key() -> None:
    """Resources that a cluster's own extensions define have images elsewhere, and some programs take one as an argument."""
    text = "kind: Runner\nspec: {image: shipwheel://., args: [--image, 'shipwheel://../shop'], note: see shipwheel://x}\n"
    assert [(image.name, image.line) for image in manifest_images(text, "x.yaml")] == [("shipwheel://.", 2), ("shipwheel://../shop", 2)]


def test_changes_nothing_else() -> None:
    one, shop = manifest_images(TEXT, "x.yaml")
    changed = with_images(TEXT, {one: "one@sha256:1", shop: "r.example/shop@sha256:2"})
    assert changed == TEXT.replace("'one:1'", "one@sha256:1").replace('"shipwheel://../shop"', "r.example/shop@sha256:2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "containers:\n- image: &own !!str one\n  name: a\n- image: *own\n",
            "containers:\n- image: &own !!str two\n  name: a\n- image: *own\n",
        ),
        ("containers:\n- image: >-\n    one\n  name: a\n", "containers:\n- image: two\n  name: a\n"),
        ("containers:\r\n- image: one\r\n", "containers:\r\n- image: two\r\n"),
        ("? [a]\n: b\n", "? [a]\n: b\n"),
    ],
)
def test_any_form_of_a_value_is_replaced(text: str, expected: str) -> None:
    assert with_images(text, dict.fromkeys(manifest_images(text, "x.yaml"), "two")) == expected


def test_names_the_line_of_what_is_no_yaml() -> None:
    with pytest.raises(UsageError, match=r"x.yaml, line 2: not YAML"):
        manifest_images("a: 1\nb: {{ .Values.x }}: [\n", "x.yaml")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        images = manifest_images(text, "x.yaml")
    except UsageError:
        return
    assert with_images(text, {image: text[image.start : image.end] for image in images}) == text


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_every_name_is_found_whatever_its_characters(names: list[str]) -> None:
    text = yaml.safe_dump({"spec": {"containers": [{"image": name} for name in names]}})
    images = manifest_images(text, "x.yaml")
    assert [image.name for image in images] == names
    replaced = with_images(text, dict.fromkeys(images, "new@sha256:0"))
    assert [it["image"] for it in yaml.safe_load(replaced)["spec"]["containers"]] == ["new@sha256:0"] * len(names)
