"""Builds that end in a registry: what is there is asked for first, and nothing is fetched, made or sent twice."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipwheel.errors import ImageError
from shipwheel.events import silent
from shipwheel.files.entry import directory
from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST
from shipwheel.oci.reference import Reference
from shipwheel.pipeline.previous_image import _earlier_tag
from shipwheel.pipeline.publish import Publisher
from shipwheel.registry.repository import Repository
from shipwheel.store.store import Store
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.images import AMD64, small_index
from shipwheel.testing.registry import FakeRegistry, Habits, RegistryFault
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World

BACKEND = """
import pathlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "sourced-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path, text in {
            "sourced.py": "X = 1\\n",
            "sourced-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: sourced\\nVersion: 1.0\\n",
            "sourced-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            "sourced-1.0.dist-info/RECORD": "",
        }.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return name
"""


def sourced() -> bytes:
    """An sdist with a backend of its own, which needs nothing from an index."""
    out = io.BytesIO()
    project = (
        '[project]\nname = "sourced"\nversion = "1.0"\n[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    info = "Metadata-Version: 2.2\nName: sourced\nVersion: 1.0\n"
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in {"PKG-INFO": info, "pyproject.toml": project, "backend.py": BACKEND}.items():
            member = tarfile.TarInfo(f"sourced-1.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue(), mtime=0)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def push(world: World, project: Path, name: str, *flags: str, cache: str = "") -> CommandResult:
    env = {"SHIPWHEEL_CACHE": str(world.root / cache)} if cache else None
    return world.run("build", project, "--no-bytecode", "--json", "--push", "-t", name, *flags, env=env)


def pushed(done: CommandResult) -> dict[str, int]:
    assert done.code == 0, done.err
    found: dict[str, int] = done.document["pushed"]
    return found


def fetched(world: World) -> int:
    """How many files of distributions and packages were given out."""
    asked = [request for server in (world.index, world.mirror) for request in server.requests]
    return sum(request.path.endswith((".whl", ".deb")) for request in asked)


def test_nothing_is_written_but_the_store_and_the_lock(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\nnative\n")
    before = set(world.root.iterdir())
    done = push(world, project, f"{registry.host}/team/shop:1")
    assert pushed(done)["uploaded"] > 0
    assert {path.name for path in world.root.iterdir()} - {path.name for path in before} <= {"cache", "home", "uv", "tmp"}
    assert {path.name for path in project.iterdir()} == {"main.py", "requirements.txt", "shipwheel.toml", "pylock.toml"}
    manifest = registry.received("PUT", r".*/manifests/1")
    assert len(manifest) == 1
    assert not registry.missing_blobs("team/shop", done.digest), "all that the image index leads to is there"
    order = [seen.path.rpartition("/")[2] for seen in registry.received("PUT", r".*/manifests/.*")]
    (records,) = artifacts(registry, "team/shop", done.digest)
    assert order[-2:] == ["1", records], "the tag comes when the image is complete, and waits for nothing else"


def test_an_image_that_stays_the_same_costs_short_requests_alone(world: World, registry: FakeRegistry) -> None:
    """One whose files are unchanged costs one: see tests/cli/test_repeat.py."""
    project = world.app("small\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    seen = len(registry.requests)
    (project / "main.py").touch()
    again = push(world, project, f"{registry.host}/team/shop:1")
    assert again.digest == first.digest
    # May we push, and what is there: an index of two manifests, at the end as at the beginning.
    assert sorted(one.method for one in registry.requests[seen:]) == ["DELETE", "GET", "GET", "GET", "HEAD", "POST"]
    assert not [one for one in registry.requests[seen:] if one.method == "GET" and "/manifests/" not in one.path]
    assert not registry.uploads
    assert pushed(again)["uploaded"] == 0


@pytest.mark.parametrize("moved", [True, False])
def test_a_tag_that_another_push_moves_in_the_meantime_is_moved_back(tmp_path: Path, registry: FakeRegistry, moved: bool) -> None:
    store = Store(tmp_path)
    index, name = small_index(store, [AMD64]), Reference.parse(f"{registry.host}/team/shop:1")
    with Publisher(name, store, silent) as first:
        first.begin(index)()
    with Publisher(name, store, silent) as again:
        again.find_layers(())
        registry.tags["team/shop"] = {"1": registry.put("team/shop", b"{}", MEDIA_TYPE_MANIFEST)} if moved else {}
        again.begin(index)()
    assert registry.tags["team/shop"]["1"] == index.digest


def test_nothing_names_an_image_that_turns_out_invalid(tmp_path: Path, registry: FakeRegistry) -> None:
    store = Store(tmp_path)
    with (
        pytest.raises(ImageError, match="invalid"),
        Publisher(Reference.parse(f"{registry.host}/team/shop:1"), store, silent) as publisher,
    ):
        publisher.begin(small_index(store, [AMD64]))
        raise ImageError("invalid")
    assert not registry.manifests
    assert not registry.tags


def test_an_edit_asks_for_what_the_previous_image_does_not_tell_and_sends_the_rest(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    push(world, project, f"{registry.host}/team/shop:1")
    seen = len(registry.requests)
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
    done = push(world, project, f"{registry.host}/team/shop:1")
    requests = registry.requests[seen:]
    assert len([one for one in requests if one.method == "HEAD"]) == 1, "the layer of the project"
    # Its upload is the one that was started to learn whether it may be; two configs, and what is known of the layer.
    assert [len([one for one in requests if one.method == method]) for method in ("POST", "DELETE")] == [4, 0]
    documents = [one.path.rpartition("/")[2] for one in requests if one.method == "PUT" and "/manifests/" in one.path]
    assert len(documents) == 4 and documents[2] == "1"
    assert not registry.missing_blobs("team/shop", done.digest) and not registry.uploads


def test_what_the_previous_image_lists_and_the_registry_lost_is_sent_again(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    (records,) = artifacts(registry, "team/shop", first.digest)
    kept = {one["digest"] for one in json.loads(registry.manifests["team/shop"][records][1])["layers"]}
    lost = [digest for digest in registry.blobs["team/shop"] if digest not in kept]
    for digest in lost[::2]:
        del registry.blobs["team/shop"][digest]
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
    done = push(world, project, f"{registry.host}/team/shop:1")
    assert not registry.missing_blobs("team/shop", done.digest)
    alone = push(world, project, f"{registry.host}/team/other:1")
    assert alone.digest == done.digest


def test_records_that_this_machine_attached_and_the_registry_lost_are_attached_again(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    (records,) = artifacts(registry, "team/shop", first.digest)
    for one in json.loads(registry.manifests["team/shop"].pop(records)[1])["layers"]:
        del registry.blobs["team/shop"][one["digest"]]
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
    done = push(world, project, f"{registry.host}/team/shop:1")
    assert "records" not in done.err
    (again,) = artifacts(registry, "team/shop", done.digest)
    assert not registry.missing_blobs("team/shop", again)


def test_an_empty_machine_reads_manifests_and_configs_alone(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\nnative\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    seen, files = len(registry.requests), fetched(world)
    done = push(world, project, f"{registry.host}/team/shop:1", cache="empty")
    assert done.digest == first.digest
    assert fetched(world) == files, "no wheel and no package was fetched"
    assert not [one for one in registry.requests[seen:] if one.method in ("PATCH", "PUT")]
    read = [one.path for one in registry.requests[seen:] if one.method == "GET"]
    assert len([path for path in read if "/blobs/" in path]) == 2, "two configs"
    assert not list((world.root / "empty" / "blobs").rglob("*.*")) and pushed(done)["uploaded"] == 0


def test_an_edit_on_an_empty_machine_fetches_nothing_else(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\nnative\n")
    push(world, project, f"{registry.host}/team/shop:1")
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
    files = fetched(world)
    done = push(world, project, f"{registry.host}/team/shop:1", cache="empty")
    assert fetched(world) == files
    assert pushed(done)["uploaded"] < 30_000
    assert not registry.missing_blobs("team/shop", done.digest)
    whole = push(world, project, f"{registry.host}/other/shop:1", cache="another")
    assert whole.digest == done.digest, "the same as a machine that makes all of it"


@pytest.mark.parametrize("referrers", [True, False])
def test_what_is_known_of_layers_is_a_referrer_of_the_image(world: World, referrers: bool) -> None:
    with FakeRegistry(Habits(referrers=referrers)) as registry:
        project = world.app("small\n")
        done = push(world, project, f"{registry.host}/team/shop:1")
        tags = world.run("tags", f"{registry.host}/team/shop").out.split()
        assert ("1" in tags) and (len(tags) == (1 if referrers else 2)), tags
        (project / "main.py").write_text("import small\n\nprint(small.VALUE, 3)\n")
        files = fetched(world)
        assert push(world, project, f"{registry.host}/team/shop:2", cache="empty").code == 0
        assert push(world, project, f"{registry.host}/team/shop:1", cache="empty2").code == 0
        assert fetched(world) == files, "a new tag begins from the one before it"
        assert done.code == 0


@pytest.mark.parametrize("referrers", [True, False])
def test_a_copy_with_what_refers_to_it_serves_an_empty_machine_as_the_original_does(world: World, referrers: bool) -> None:
    with FakeRegistry(Habits(referrers=referrers)) as registry:
        project = world.app("small\nnative\n")
        push(world, project, f"{registry.host}/team/shop:1")
        assert world.run("copy", f"{registry.host}/team/shop:1", f"{registry.host}/copied/shop:1", "--referrers").code == 0
        (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
        files = fetched(world)
        done = push(world, project, f"{registry.host}/copied/shop:1", cache="empty")
        assert fetched(world) == files
        assert pushed(done)["uploaded"] < 30_000


def test_layers_of_another_project_are_mounted(world: World, registry: FakeRegistry) -> None:
    push(world, world.app("small\nnative\n"), f"{registry.host}/team/shop:1")
    seen = len(registry.requests)
    other = push(world, world.app("small\nnative\n", name="other"), f"{registry.host}/elsewhere/other:1")
    moved = pushed(other)
    assert moved["mounted"] > 0 and moved["uploaded"] < 30_000
    assert [one for one in registry.requests[seen:] if "mount=" in one.query]
    assert not registry.missing_blobs("elsewhere/other", other.digest)


def test_a_registry_that_mounts_nothing_gets_all(world: World) -> None:
    with FakeRegistry(Habits(mounts=False)) as registry:
        push(world, world.app("small\n"), f"{registry.host}/team/shop:1")
        other = push(world, world.app("small\n", name="other"), f"{registry.host}/elsewhere/other:1")
        assert pushed(other)["mounted"] == 0
        assert not registry.missing_blobs("elsewhere/other", other.digest)


def test_a_cache_repository_serves_other_projects_on_empty_machines(world: World, registry: FakeRegistry) -> None:
    cache = f"{registry.host}/cache/layers"
    push(world, world.app("small\nnative\n"), f"{registry.host}/team/shop:1", "--cache-repo", cache)
    other = world.app("small\nnative\n", name="other")
    assert world.run("lock", other).code == 0
    files = fetched(world)
    done = push(world, other, f"{registry.host}/elsewhere/other:1", "--cache-repo", cache, cache="empty")
    assert pushed(done)["mounted"] > 0
    assert fetched(world) - files <= 4, "what the generated files of the base are made from at most"
    assert not registry.missing_blobs("elsewhere/other", done.digest)
    plain = push(world, other, f"{registry.host}/plain/other:1", cache="another")
    assert plain.digest == done.digest


def test_a_cache_in_another_registry(world: World, registry: FakeRegistry) -> None:
    with FakeRegistry() as second:
        cache = f"{second.host}/cache/layers"
        first = push(world, world.app("small\n"), f"{registry.host}/team/shop:1", "--cache-repo", cache)
        done = push(world, world.app("small\n"), f"{registry.host}/copy/shop:1", "--cache-repo", cache, cache="empty")
        assert done.digest == first.digest
        assert not registry.missing_blobs("copy/shop", done.digest)


def test_a_push_that_fails_leaves_no_tag(world: World, registry: FakeRegistry) -> None:
    registry.fault(RegistryFault("status", "PUT", r".*/manifests/sha256.*", times=1, status=403))
    failed = push(world, world.app("small\n"), f"{registry.host}/team/shop:1")
    assert failed.code == 5, failed.err
    assert "403" in failed.err and "hint:" in failed.err
    assert not registry.received("PUT", r".*/manifests/1")
    assert push(world, world.app("small\n"), f"{registry.host}/team/shop:1").code == 0


def test_a_registry_that_lies_about_records_stops_the_build(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 4)\n")
    (known,) = [json.loads(data) for _, data in registry.manifests["team/shop"].values() if first.digest.encode() in data]
    for one in known["layers"]:
        registry.fault(RegistryFault("corrupt", "GET", rf".*/blobs/{one['digest']}", times=99))
    failed = push(world, project, f"{registry.host}/team/shop:1", cache="empty")
    assert failed.code == 5
    assert "sends wrong data" in failed.err


def test_records_that_the_registry_has_lost_are_made_again(world: World, registry: FakeRegistry) -> None:
    project, tag = world.app("small\n"), f"{registry.host}/team/shop:1"
    first = push(world, project, tag)
    (records,) = [json.loads(data) for _, data in registry.manifests["team/shop"].values() if first.digest.encode() in data]
    lost = {one["digest"] for one in records["layers"]}
    for digest in lost:
        del registry.blobs["team/shop"][digest]
    (project / "requirements.txt").write_text("small\nnative\n")
    done = push(world, project, tag, cache="empty")
    assert done.code == 0, done.err
    assert "the registry gets its record again" in done.err
    (attached,) = artifacts(registry, "team/shop", done.digest)
    kept = json.loads(registry.manifests["team/shop"][attached][1])["layers"]
    assert {one["digest"] for one in kept} & lost
    assert {one["digest"] for one in kept} <= registry.blobs["team/shop"].keys()


def test_records_that_the_registry_refuses_are_a_warning(world: World) -> None:
    with FakeRegistry(Habits(artifacts=False, referrers=False)) as registry:
        done = push(world, world.app("small\n"), f"{registry.host}/team/shop:1")
        assert registry.tags["team/shop"] == {"1": done.digest}
        assert "the image was pushed, but not its records" in done.err and "unknown media type" in done.err
        assert "`records = false`" in done.err


@pytest.mark.parametrize("settings", ["records = false\n", ""])
def test_records_can_be_left_out(world: World, registry: FakeRegistry, settings: str) -> None:
    done = push(world, world.app("small\n", settings=settings), f"{registry.host}/team/shop:1", *([] if settings else ["--no-records"]))
    assert done.code == 0, done.err
    assert not artifacts(registry, "team/shop", done.digest)
    assert "warning" not in done.err.lower()


@pytest.mark.parametrize("fault", [500, 503])
def test_a_registry_that_fails_at_records_gets_its_image(world: World, registry: FakeRegistry, fault: int) -> None:
    project = world.app("small\n")
    push(world, project, f"{registry.host}/team/shop:1")
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
    registry.fault(RegistryFault("status", "GET", "/referrers/", 99, fault, {"Retry-After": "0"}))
    done = push(world, project, f"{registry.host}/team/shop:1", cache="empty")
    assert done.code == 0, done.err
    assert registry.tags["team/shop"]["1"] == done.digest


def test_a_cache_that_takes_nothing_is_a_warning(world: World, registry: FakeRegistry) -> None:
    with FakeRegistry(Habits(artifacts=False, referrers=False)) as second:
        done = push(world, world.app("small\n"), f"{registry.host}/team/shop:1", "--cache-repo", f"{second.host}/cache/layers")
        assert done.code == 0, done.err
        assert registry.tags["team/shop"]["1"] == done.digest
        assert "the cache got no layers" in done.err


def untouched(world: World) -> bool:
    """Return True if nothing was asked of the package index and the mirror, so that nothing was built."""
    return not world.index.requests and not world.mirror.requests


@pytest.mark.parametrize(
    ("habits", "words", "hint"),
    [
        (Habits(creates=False), "answered 404", "create it"),
        (Habits(login="ann:secret"), "requires a login", "shipwheel login"),
    ],
    ids=["no repository", "no login"],
)
def test_a_push_that_the_registry_will_refuse_fails_before_the_build(world: World, habits: Habits, words: str, hint: str) -> None:
    with FakeRegistry(habits) as registry:
        failed = push(world, world.app("small\n"), f"{registry.host}/team/shop:1")
    assert failed.code == 5
    assert words in failed.err and hint in failed.err
    assert untouched(world)


def test_a_registry_that_denies_the_push_fails_before_the_build(world: World, registry: FakeRegistry) -> None:
    registry.fault(RegistryFault("status", "POST", "/uploads/", status=403))
    failed = push(world, world.app("small\n"), f"{registry.host}/team/shop:1")
    assert failed.code == 5
    assert "the credentials lack permission" in failed.err.lower()
    assert untouched(world)


def test_a_registry_that_is_not_there_fails_before_the_build(world: World) -> None:
    with FakeRegistry() as registry:
        gone = registry.host
    failed = push(world, world.app("small\n"), f"{gone}/team/shop:1")
    assert failed.code == 5
    assert "name and port" in failed.err
    assert untouched(world)


@pytest.mark.parametrize("name", ["Team/Shop:1", "shop:.1", "registry.example/shop:1@sha256:" + "0" * 64, "https://registry.example/shop"])
@pytest.mark.parametrize("command", [("build", "--push"), ("build",), ("plan",)], ids=" ".join)
def test_an_impossible_name_fails_before_the_build(world: World, name: str, command: tuple[str, ...]) -> None:
    settings = f'tag = "{name}"\n'
    failed = world.run(*command, world.app("small\n", settings=settings))
    assert failed.code == 2, failed.err
    assert "hint:" in failed.err
    assert untouched(world)


def test_push_needs_a_name_with_a_registry(world: World) -> None:
    failed = world.run("build", world.app("small\n"), "--push", "--no-bytecode")
    assert failed.code == 2
    assert "-t registry.example/team/app:1.0" in failed.err


def test_a_cache_goes_with_a_push(world: World) -> None:
    failed = world.run("build", world.app("small\n"), "--no-bytecode", "--cache-repo", "registry.example/cache")
    assert failed.code == 2
    assert "--cache-repo needs --push" in failed.err


def test_a_cache_that_was_emptied_is_filled_again(world: World, registry: FakeRegistry) -> None:
    project, cache = world.app("small\n"), f"{registry.host}/cache/layers"
    push(world, project, f"{registry.host}/team/shop:1", "--cache-repo", cache)
    before = set(registry.tags.pop("cache/layers"))
    assert push(world, project, f"{registry.host}/team/shop:1", "--cache-repo", cache).code == 0
    assert set(registry.tags["cache/layers"]) == before


def test_load_goes_alone(world: World, registry: FakeRegistry) -> None:
    failed = push(world, world.app("small\n"), f"{registry.host}/team/shop:1", "--load")
    assert failed.code == 2
    assert "--load cannot be combined" in failed.err


def test_what_is_built_from_sources_is_known_to_an_empty_machine(world: World, registry: FakeRegistry) -> None:
    world.index.add("sourced-1.0.tar.gz", sourced())
    project = world.app("small\nsourced\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    assert "s  sourced 1.0" in first.err, first.err
    asked = len(world.index.requests)
    done = push(world, project, f"{registry.host}/team/shop:1", cache="empty")
    assert done.digest == first.digest
    assert "sourced 1.0" not in done.err
    assert not [request for request in world.index.requests[asked:] if "sourced" in request.path]
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 5)\n")
    edited = push(world, project, f"{registry.host}/team/shop:1", cache="empty2")
    assert "sourced 1.0" not in edited.err
    assert edited.digest == push(world, project, f"{registry.host}/else/shop:1", cache="another").digest


def test_all_that_a_cache_has_goes_along_when_it_was_asked_twice(world: World, registry: FakeRegistry) -> None:
    """Before the base's packages are known, and after."""
    project = world.app("small\nnative\n")
    with FakeRegistry() as second:
        cache = f"{second.host}/cache/layers"
        first = push(world, project, f"{registry.host}/team/shop:1", "--cache-repo", cache)
        (project / "pylock.toml").unlink()
        done = push(world, project, f"{registry.host}/copy/shop:1", "--cache-repo", cache, cache="empty")
        assert done.code == 0, done.err
        assert done.digest == first.digest and "damaged" not in done.err
        assert not registry.missing_blobs("copy/shop", done.digest)


def artifacts(registry: FakeRegistry, name: str, subject: str) -> list[str]:
    return [digest for digest, (_, data) in registry.manifests[name].items() if f'"subject":{{"digest":"{subject}"'.encode() in data]


def test_rubbish_beside_an_image_is_said_and_left_alone(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    (known,) = artifacts(registry, "team/shop", first.digest)
    kind = json.loads(registry.manifests["team/shop"][known][1])["artifactType"]
    media_type, subject = "application/vnd.oci.image.manifest.v1+json", {"mediaType": "x", "digest": first.digest, "size": 1}
    blob = {"mediaType": "x", "digest": registry.add("team/shop", b"rubbish"), "size": 7}
    keys = [one["annotations"] for one in json.loads(registry.manifests["team/shop"][known][1])["layers"]]
    for rubbish in (
        {"config": 7},
        {"config": blob, "layers": [{**blob, "annotations": note} for note in keys]},
        {"config": blob, "layers": [{**blob, "size": 1 << 40, "annotations": note} for note in keys]},
    ):
        document = {"schemaVersion": 2, "mediaType": media_type, "artifactType": kind, "subject": subject, **rubbish}
        registry.put("team/shop", json.dumps(document).encode(), media_type)
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 5)\n")
    done = push(world, project, f"{registry.host}/team/shop:1", cache="empty")
    assert done.code == 0, done.err
    assert "warning" in done.err.lower()
    assert not registry.missing_blobs("team/shop", done.digest)
    assert push(world, project, f"{registry.host}/else/shop:1", cache="other").digest == done.digest


def test_a_layer_that_the_registry_lost_is_made_again(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    first = push(world, project, f"{registry.host}/team/shop:1")
    image = json.loads(registry.manifests["team/shop"][first.document["images"][0]["digest"]][1])
    del registry.blobs["team/shop"][image["layers"][0]["digest"]]
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 6)\n")
    done = push(world, project, f"{registry.host}/team/shop:1", cache="empty")
    assert done.code == 0, done.err
    assert not registry.missing_blobs("team/shop", done.digest)


@pytest.mark.parametrize("what", ["diff", "digest", "size", "document", "layers"])
def test_a_cache_that_holds_something_else(world: World, registry: FakeRegistry, what: str) -> None:
    project, cache = world.app("small\n"), f"{registry.host}/cache/layers"
    first = push(world, project, f"{registry.host}/team/shop:1", "--cache-repo", cache)
    for tag, digest in list(registry.tags["cache/layers"].items()):
        media_type, data = registry.manifests["cache/layers"][digest]
        document = json.loads(data)
        if what == "diff":
            document["annotations"] = {}
        elif what == "digest":
            document["layers"][0]["digest"] = "sha256:../../x"
        elif what == "size":
            document["layers"][0]["annotations"]["io.shipwheel.layer.unpacked-size"] = "9" * 5000
        elif what == "document":
            document = {"schemaVersion": 1}
        else:
            document["layers"] *= 3000
        registry.put("cache/layers", json.dumps(document).encode(), media_type, tag)
    done = push(world, project, f"{registry.host}/copy/shop:1", "--cache-repo", cache, cache="empty")
    assert done.code == 0, done.err
    assert done.digest == first.digest
    assert not registry.missing_blobs("copy/shop", done.digest)


def test_upon_a_base_image_the_digest_is_the_same_however_it_is_built(world: World, registry: FakeRegistry) -> None:
    """Into a layout, pushed, from machines that have all or nothing, with a cache or without."""
    files = [*python_files(f"{MINOR}.7", codename=SUITE.codename), directory("app", 0o700, uid=1001, gid=1002)]
    image = python_base(world.store, AMD64, [one for one in files if one.path != "tmp"], {"PATH": "/usr/local/bin"}, user="worker")
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    base, cache = f"{registry.host}/bases/python:1", f"{registry.host}/cache/layers"
    assert world.run("push", world.root / "base.oci", base).code == 0
    project = world.app("small\nnative\n")
    flags = ("--base", base, "--platform", "linux/amd64", "--volume", "/app/data")
    first = world.build(project, *flags, "--no-bytecode")
    assert first.code == 0, first.err
    made = [
        push(world, project, f"{registry.host}/team/one:1", *flags, "--cache-repo", cache),
        push(world, project, f"{registry.host}/team/two:1", *flags, cache="two"),
        push(world, project, f"{registry.host}/team/two:1", *flags, cache="three"),
        push(world, project, f"{registry.host}/team/four:1", *flags, "--cache-repo", cache, cache="four"),
        push(world, project, f"{registry.host}/team/five:1", *flags, "-o", str(world.root / "five.oci"), cache="five"),
    ]
    assert [done.err for done in made if done.code] == []
    assert {done.digest for done in made} == {first.digest}
    for name in ("one", "two", "four", "five"):
        assert not registry.missing_blobs(f"team/{name}", first.digest)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["1.9", "1.10", "1.2"], "1.10"),
        (["v2", "latest", "v3"], "latest"),
        (["7", "b", "0a"], "7"),
        ([f"sha256-{'0' * 64}", f"layer-{'1' * 64}"], None),
        ([], None),
    ],
)
def test_the_tag_that_a_new_one_begins_from(tags: list[str], expected: str | None) -> None:
    with FakeRegistry() as registry, Repository(Reference.parse(f"{registry.host}/team/shop")) as repository:
        for tag in tags:
            registry.put("team/shop", b"{}", "application/json", tag)
        assert _earlier_tag(repository) == expected
