"""The commands push, pull, copy, inspect and tags."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from shipwheel.oci.archive import write_archive
from shipwheel.oci.layout import read_layout, write_layout
from shipwheel.oci.validate.check import validate
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, small_index
from shipwheel.testing.registry import FakeRegistry, RegistryFault


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = "from shipwheel.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "SHIPWHEEL_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"},
    )


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    store = Store(tmp_path / "store")
    write_layout(small_index(store), tmp_path / "layout", store, name="app:1")
    return tmp_path / "layout"


def test_pushes_pulls_and_copies_an_image(tmp_path: Path, layout: Path) -> None:
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/app"
        pushed = run(tmp_path, "push", str(layout), f"{name}:1")
        assert pushed.returncode == 0, pushed.stderr
        reference = pushed.stdout.strip()
        assert reference == f"{name}@{registry.tags['team/app']['1']}"
        assert run(tmp_path, "push", "-q", str(layout), f"{name}:2").stderr == ""
        digest = reference.partition("@")[2]
        same = {"name": name, "digest": digest, "reference": reference}
        assert json.loads(run(tmp_path, "push", str(layout), f"{name}:2", "--json").stdout) == same
        out = str(tmp_path / "json")
        assert json.loads(run(tmp_path, "pull", reference, out, "--json").stdout) == {**same, "output": out}
        other = f"{registry.host}/json"
        copied = json.loads(run(tmp_path, "copy", reference, f"{other}:1", "--json").stdout)
        assert copied == {"name": other, "digest": digest, "reference": f"{other}@{digest}"}
        assert run(tmp_path, "tags", name).stdout.split() == ["1", "2"]
        assert json.loads(run(tmp_path, "tags", name, "--json").stdout)["tags"] == ["1", "2"]
        pulled = run(tmp_path, "pull", reference, str(tmp_path / "out"))
        assert (pulled.returncode, pulled.stdout.strip()) == (0, reference)
        assert len(validate(tmp_path / "out").images) == 2
        one = run(tmp_path, "pull", f"{name}:1", str(tmp_path / "one"), "--platform", "linux/arm64")
        assert one.returncode == 0, one.stderr
        assert [image.platform for image in validate(tmp_path / "one").images] == ["linux/arm64"]
        copied = run(tmp_path, "copy", f"{name}:1", f"{registry.host}/other:3")
        assert copied.stdout.strip().partition("@")[2] == reference.partition("@")[2]
        assert registry.tags["other"]


@pytest.mark.parametrize("registry_named", [False, True])
def test_mounts_layers_from_a_named_repository(tmp_path: Path, layout: Path, registry_named: bool) -> None:
    with FakeRegistry() as registry:
        run(tmp_path, "push", str(layout), f"{registry.host}/team/app:1")
        origin = f"{registry.host}/team/app" if registry_named else "team/app"
        done = run(tmp_path, "push", str(layout), f"{registry.host}/other:1", "--mount-from", origin)
        assert done.returncode == 0, done.stderr
        assert "mounted" in done.stderr
        assert any("from=team/app" in seen.query for seen in registry.received("POST"))


def test_rejects_a_mount_from_another_registry(tmp_path: Path, layout: Path) -> None:
    with FakeRegistry() as registry:
        done = run(tmp_path, "push", str(layout), f"{registry.host}/app:1", "--mount-from", "registry.example/team/app")
        assert done.returncode == 2
        assert "another registry" in done.stderr
        assert not registry.received("POST")


@pytest.mark.parametrize("flags", [(), ("--referrers",)])
def test_copies_referrers_on_request(tmp_path: Path, layout: Path, flags: tuple[str, ...]) -> None:
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/app:1"
        run(tmp_path, "push", str(layout), name)
        signature = f"sha256-{registry.tags['team/app']['1'][7:]}.sig"
        one = next(iter(registry.manifests["team/app"].values()))[1]
        registry.put("team/app", one, "application/vnd.oci.image.manifest.v1+json", signature)
        done = run(tmp_path, "copy", name, f"{registry.host}/other:1", *flags)
        assert done.returncode == 0, done.stderr
        assert set(registry.tags["other"]) == {"1", *((signature,) if flags else ())}


def test_inspects_an_image_without_its_layers(tmp_path: Path, layout: Path) -> None:
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/app:1"
        run(tmp_path, "push", str(layout), name)
        shown = run(tmp_path, "inspect", name)
        for word in ("linux/amd64", "linux/arm64", "65532:65532", "/hello"):
            assert word in shown.stdout
        document = json.loads(run(tmp_path, "inspect", name, "--json").stdout)
        assert [image["platform"] for image in document["images"]] == ["linux/amd64", "linux/arm64"]
        assert document["images"][0]["config"]["config"]["User"] == "65532:65532"
        raw = run(tmp_path, "inspect", name, "--raw").stdout
        assert json.loads(raw)["manifests"][0]["digest"] == document["images"][0]["digest"]
        assert not registry.received("GET", document["images"][0]["layers"][0]["digest"])


@pytest.mark.parametrize("kind", ["layout", "archive"])
def test_inspects_a_layout_and_an_archive_without_a_registry(tmp_path: Path, layout: Path, kind: str) -> None:
    subject = layout
    if kind == "archive":
        subject = tmp_path / "app.tar"
        write_archive(read_layout(layout).images(), subject, Store(tmp_path / "store"), name="app:1")
    shown = run(tmp_path, "inspect", str(subject))
    assert shown.returncode == 0, shown.stderr
    for word in ("linux/amd64", "linux/arm64", "65532:65532", "/hello", "shared", "%"):
        assert word in shown.stdout
    one = json.loads(run(tmp_path, "inspect", str(subject), "--platform", "linux/arm64", "--json").stdout)
    assert [image["platform"] for image in one["images"]] == ["linux/arm64"]
    assert [layer["name"] for layer in one["images"][0]["layers"]] == ["shared", "app"]
    raw = run(tmp_path, "inspect", str(subject), "--raw").stdout
    assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == one["digest"]
    missing = run(tmp_path, "inspect", str(subject), "--platform", "linux/riscv64")
    assert (missing.returncode, "Available platforms: linux/amd64, linux/arm64" in missing.stderr) == (2, True)


def test_inspects_the_named_image_of_a_layout(tmp_path: Path, layout: Path) -> None:
    store = Store(tmp_path / "store")
    write_layout(small_index(store, [AMD64]), layout, store, name="other:2")
    several = run(tmp_path, "inspect", str(layout))
    assert (several.returncode, "--name" in several.stderr) == (2, True)
    named = json.loads(run(tmp_path, "inspect", str(layout), "--name", "other:2", "--json").stdout)
    assert [image["platform"] for image in named["images"]] == ["linux/amd64"]


@pytest.mark.parametrize("words", [("tags", "{}"), ("pull", "{}", "out"), ("copy", "{}", "registry.example/a:1"), ("rebase", "{}")])
def test_takes_no_path_for_an_image_in_a_registry(tmp_path: Path, layout: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *(word.format(layout) for word in words))
    assert done.returncode == 2
    assert f"{layout} is a path on this machine" in done.stderr


def test_inspect_points_from_a_project_to_plan(tmp_path: Path) -> None:
    done = run(tmp_path, "inspect", str(tmp_path))
    assert (done.returncode, f"shipwheel plan {tmp_path}" in done.stderr) == (2, True)


def test_errors_have_hints_and_exit_codes(tmp_path: Path, layout: Path) -> None:
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/app"
        registry.fault(RegistryFault("status", "POST", times=99, status=403))
        refused = run(tmp_path, "push", str(layout), f"{name}:1")
        assert refused.returncode == 5
        assert "403" in refused.stderr
        assert "hint:" in refused.stderr
        assert not registry.tags
        digest = run(tmp_path, "push", str(layout), f"{name}@sha256:{'0' * 64}")
        assert (digest.returncode, "names a digest" in digest.stderr) == (2, True)
        missing = run(tmp_path, "inspect", f"{name}:nothing")
        assert (missing.returncode, "MANIFEST_UNKNOWN" in missing.stderr) == (5, True)
        wrong = run(tmp_path, "pull", f"{name}:1", str(tmp_path / "x"), "--platform", "nonsense")
        assert (wrong.returncode, "not a platform" in wrong.stderr) == (2, True)


def test_pushes_every_byte_as_it_is(tmp_path: Path, layout: Path) -> None:
    """docker's media types, attestations and an index of one image stay."""
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/app"
        assert run(tmp_path, "push", str(layout), f"{name}:1").returncode == 0
        listed = json.loads((layout / "index.json").read_text())
        root = layout / "blobs" / "sha256" / listed["manifests"][0]["digest"].partition(":")[2]
        document = json.loads(root.read_text())
        document["manifests"] = document["manifests"][:1]
        document["mediaType"] = listed["manifests"][0]["mediaType"] = "application/vnd.docker.distribution.manifest.list.v2+json"
        data = json.dumps(document, indent=1).encode()
        digest = hashlib.sha256(data).hexdigest()
        (root.parent / digest).write_bytes(data)
        listed["manifests"][0] |= {"digest": f"sha256:{digest}", "size": len(data)}
        (layout / "index.json").write_text(json.dumps(listed))
        pushed = run(tmp_path, "push", str(layout), f"{name}:2")
        assert pushed.stdout.strip() == f"{name}@sha256:{digest}", pushed.stderr
        assert registry.manifests["team/app"][f"sha256:{digest}"] == (document["mediaType"], data)


def test_pushes_an_archive(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    index = small_index(store)
    write_archive(index, tmp_path / "image.tar", store, name="app:1")
    with FakeRegistry() as registry:
        pushed = run(tmp_path, "push", str(tmp_path / "image.tar"), f"{registry.host}/app:1")
        assert pushed.stdout.strip() == f"{registry.host}/app@{index.digest}", pushed.stderr


def test_does_not_push_a_damaged_layout(tmp_path: Path, layout: Path) -> None:
    largest = max((layout / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[-1] ^= 1
    largest.write_bytes(data)
    with FakeRegistry() as registry:
        pushed = run(tmp_path, "push", str(layout), f"{registry.host}/app:1")
        assert (pushed.returncode, "error:" in pushed.stderr) in ((10, True), (9, True))
        assert not registry.tags


def test_check_asks_a_running_container_by_the_config_in_the_registry(tmp_path: Path, layout: Path) -> None:
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/app:1"
        run(tmp_path, "push", str(layout), name)
        asked = run(tmp_path, "check", name, "--at", "127.0.0.1")
        assert (asked.returncode, f"error: {name} exposes no TCP port" in asked.stderr) == (2, True), "its config was read"
        engine = run(tmp_path, "check", name, "--at", "127.0.0.1", "--engine", "docker")
        assert (engine.returncode, "--at asks what runs already" in engine.stderr) == (2, True)
