"""Images laid upon another base in the registry: what they become, what is checked before, and what is never read."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.digests import ANY

from shipwheel.base.base_requirements import BaseRequirements, required_libraries, unmet_requirements
from shipwheel.errors import FetchError
from shipwheel.events import silent
from shipwheel.files.elf import ElfObject
from shipwheel.files.entry import FileEntry, directory, file, symlink
from shipwheel.files.segment import Segment
from shipwheel.oci.image import FileLayer, make_image, make_index
from shipwheel.oci.layer import layer_chunks
from shipwheel.oci.layout import write_layout
from shipwheel.oci.model import ContainerConfig, Descriptor
from shipwheel.oci.read.file_tree import FileTree
from shipwheel.oci.reference import Reference
from shipwheel.pipeline.rebase import push_rebased, rebase
from shipwheel.pipeline.rebase_info import ANNOTATION_BASE_DIGEST, ANNOTATION_REBASE_INFO, read_rebase_info
from shipwheel.platform import Platform
from shipwheel.registry.repository import Repository
from shipwheel.store.store import Store
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.debian import shared_object
from shipwheel.testing.images import AMD64, ARM64, small_layer
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World

SETTINGS = """
volumes = ["/data"]
ports = [8000]
stop-signal = "SIGQUIT"
[env]
MINE = "1"
BOTH = "same"
[labels]
team = "shop"
[annotations]
"org.example.ticket" = "1"
"""
BELOW = {"PATH": "/usr/local/bin:/usr/bin:/bin", "BOTH": "same", "FROM_BASE": "1"}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def libfoo(platform: Platform) -> FileEntry:
    return file(f"usr/lib/{platform.multiarch}/libfoo.so.1", shared_object("libfoo.so.1", architecture=platform.architecture), 0o755)


def put_base(
    world: World,
    registry: FakeRegistry,
    patch: int = 7,
    tag: str = "1",
    *,
    without: str = "",
    more: tuple[str, ...] = (),
    link: str = "",
    own: FileEntry | None = None,
    env: Mapping[str, str] | None = None,
    platforms: tuple[Platform, ...] = (AMD64, ARM64),
    version: str = "",
    name: str = "bases/python",
    prefix: str = "usr/local",
    musl: str = "",
    codename: str = "",
    **config: object,
) -> str:
    """A base in the registry, with the library that the wheel `native` needs."""
    images = []
    for platform in platforms:
        files = python_files(version or f"{MINOR}.{patch}", prefix, platform, musl or "2.36", bool(musl), codename or SUITE.codename)
        files = [
            entry
            for entry in (
                *files,
                libfoo(platform),
                *(file(path, "x", 0o755) for path in more),
                *([symlink(*link.split("->"))] if link else []),
                *([own] if own else []),
            )
            if without not in entry.path or not without
        ]
        images.append(python_base(world.store, platform, files, {**BELOW, **(env or {})}, **config))
    layout = world.root / f"base-{tag}-{patch}.oci"
    write_layout(make_index(images), layout, world.store, name="base:1")
    reference = f"{registry.host}/{name}:{tag}"
    done = world.run("push", layout, reference)
    assert done.code == 0, done.err
    return reference


def built(
    world: World, registry: FakeRegistry, base: str, settings: str = SETTINGS, *flags: str, requirements: str = "small\nnative\n"
) -> CommandResult:
    project = world.app(requirements, settings=settings)
    done = world.run("build", project, "--no-bytecode", "--json", "--push", "-t", f"{registry.host}/team/shop:1", "--base", base, *flags)
    assert done.code == 0, done.err
    return done


def annotations(registry: FakeRegistry, digest: str, name: str = "team/shop") -> list[dict[str, str]]:
    index = json.loads(registry.manifests[name][digest][1])
    return [json.loads(registry.manifests[name][entry["digest"]][1])["annotations"] for entry in index["manifests"]]


def blobs_read(registry: FakeRegistry, since: int, name: str) -> set[str]:
    return {seen.path.rpartition("/")[2] for seen in registry.requests[since:] if seen.method == "GET" and f"/{name}/blobs/" in seen.path}


def layers_of(registry: FakeRegistry, digest: str, name: str = "team/shop") -> set[str]:
    index = json.loads(registry.manifests[name][digest][1])
    manifests = [json.loads(registry.manifests[name][entry["digest"]][1]) for entry in index["manifests"]]
    return {layer["digest"] for manifest in manifests for layer in manifest["layers"]}


def test_a_rebase_is_what_a_build_upon_the_new_base_would_be(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry, 7, labels={"theirs": "old", "gone": "1"}, stop_signal="SIGINT")
    first = built(world, registry, base)
    put_base(world, registry, 8, env={"FROM_BASE": "2", "NEW": "1"}, labels={"theirs": "new"}, stop_signal="SIGHUP")
    since = len(registry.requests)
    name = f"{registry.host}/team/shop"
    cache = Store(world.root / "empty")
    unused = cache.path(cache.add(b"unused" * 2000))
    os.utime(unused, (time.time() - 3600,) * 2)
    done = world.run("rebase", f"{name}:1", env={"SHIPWHEEL_CACHE": str(cache.root), "SHIPWHEEL_CACHE_LIMIT": "1kB"})
    assert done.code == 0, done.err
    assert not unused.exists(), "it keeps the limit of the cache"
    assert done.out.strip() == f"{name}@{registry.tags['team/shop']['1']}"
    assert not registry.missing_blobs("team/shop", done.digest)
    old, new = layers_of(registry, first.digest), layers_of(registry, done.digest)
    assert len(old & new) >= 3 and len(new - old) == 2, "ours are kept, the base's two are new"
    assert not blobs_read(registry, since, "team/shop") & (old | new), "no layer of the image is read"
    assert blobs_read(registry, since, "bases/python") & (old | new) == new - old, "of the bases' layers, the new one's"
    assert f"{MINOR}.7 → {MINOR}.8" in done.err and "mounted" in done.err and "to check its files" in done.err
    fresh = built(world, registry, base, SETTINGS, "--upgrade-base")
    assert fresh.digest == done.digest, "the same bytes"
    assert first.digest != fresh.digest


def test_after_a_rebase_an_empty_machine_builds_the_same_from_documents_alone(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry, 7)
    built(world, registry, base)
    put_base(world, registry, 8)
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    files = len(world.index.requests)
    project = world.app("small\nnative\n", settings=SETTINGS)
    (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
    again = world.run(
        *("build", project, "--no-bytecode", "--json", "--push", "-t", f"{registry.host}/team/shop:1", "--base", base, "--upgrade-base"),
        env={"SHIPWHEEL_CACHE": str(world.root / "empty")},
    )
    assert again.code == 0, again.err
    assert not [one for one in world.index.requests[files:] if one.path.endswith(".whl")], "what was known of the layers is known still"
    assert again.digest != done.digest


def test_what_an_image_needs_is_known_to_an_empty_machine(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry)
    first = built(world, registry, base)
    since, files = len(registry.requests), len(world.index.requests)
    project = world.app("small\nnative\n", settings=SETTINGS)
    again = world.run(
        *("build", project, "--no-bytecode", "--json", "--push", "-t", f"{registry.host}/team/shop:1", "--base", base),
        env={"SHIPWHEEL_CACHE": str(world.root / "empty")},
    )
    assert again.digest == first.digest
    assert not [one for one in world.index.requests[files:] if one.path.endswith(".whl")]
    assert not blobs_read(registry, since, "team/shop") & layers_of(registry, first.digest)
    noted = json.loads(annotations(registry, first.digest)[0][ANNOTATION_REBASE_INFO])
    assert noted["needs"] == {"libraries": ["libfoo.so.1"]} and noted["facts"]["python"] == f"{MINOR}.7"


def test_the_same_base_leaves_nothing_to_do(world: World, registry: FakeRegistry) -> None:
    first = built(world, registry, put_base(world, registry))
    since = len(registry.requests)
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    assert (done.code, done.digest) == (0, first.digest)
    assert "The image is already on " in done.err
    assert {seen.method for seen in registry.requests[since:]} <= {"GET", "HEAD"}
    document = world.run("rebase", f"{registry.host}/team/shop:1", "--json").document
    assert (document["changed"], document["digest"], document["pushed"]) == (False, first.digest, None)


def test_a_name_with_a_digest_never_moves(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry)
    digest = registry.tags["bases/python"]["1"]
    built(world, registry, f"{base}@{digest}")
    put_base(world, registry, 8)
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    assert done.code == 0 and "name a new base with --base" in done.err
    assert world.run("rebase", f"{registry.host}/team/shop:1", "--base", base).digest != done.digest


def test_a_composed_base_cannot_be_rebased(world: World, registry: FakeRegistry) -> None:
    project = world.app("small\n")
    assert world.run("build", project, "--no-bytecode", "--push", "-t", f"{registry.host}/team/shop:1").code == 0
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry))
    assert done.code == 2 and "is built on Debian packages" in done.err and "--upgrade-base --push" in done.err


def test_an_image_of_somebody_else(world: World, registry: FakeRegistry) -> None:
    layout = world.root / "other.oci"
    write_layout(make_index([make_image([elsewhere(world)], ContainerConfig(), AMD64, created=0)]), layout, world.store, name="other:1")
    assert world.run("push", layout, f"{registry.host}/other/one:1").code == 0
    done = world.run("rebase", f"{registry.host}/other/one:1", "--base", put_base(world, registry))
    assert done.code == 2 and "not built by shipwheel" in done.err


def elsewhere(world: World) -> FileLayer:
    """A layer without a key."""
    layer = small_layer(world.store, {"a": "b"})
    path = world.root / "layer"
    path.write_bytes(b"".join(layer_chunks(layer, world.store)))
    return FileLayer(Descriptor(layer.descriptor.media_type, layer.digest, layer.size), layer.diff_id, path)


OTHER_MINOR = "3.12" if MINOR != "3.12" else "3.13"
WRONG = {
    "another Python": ({"version": f"{OTHER_MINOR}.1"}, f"no Python {MINOR}, but python{OTHER_MINOR}"),
    "elsewhere": (
        {"prefix": "usr"},
        f"its Python is /usr/bin/python{MINOR}, and the virtual environment is for /usr/local/bin/python{MINOR}",
    ),
    "musl": ({"musl": "1.2.5"}, "its C library is musl, and the wheels are for glibc"),
    "a library": ({"without": "libfoo"}, "it does not have libfoo.so.1"),
    "no Python": ({"without": "bin/python"}, "no Python"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_base_that_would_not_do(case: str, world: World, registry: FakeRegistry) -> None:
    first = built(world, registry, put_base(world, registry))
    how, message = WRONG[case]
    base = put_base(world, registry, tag="2", **how)  # type: ignore[arg-type]
    since = len(registry.requests)
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", base)
    assert done.code == 8, done.err
    said = done.err.replace(f"the base {base} has ", "")
    assert f"linux/amd64: {message}" in said and f"linux/arm64: {message}" in said, done.err
    assert "shipwheel build --base" in done.err
    assert {seen.method for seen in registry.requests[since:]} <= {"GET", "HEAD"}, "nothing was written"
    assert registry.tags["team/shop"]["1"] == first.digest


def test_a_base_that_has_something_where_ours_are(world: World, registry: FakeRegistry) -> None:
    built(world, registry, put_base(world, registry))
    for number, (entry, message) in enumerate(IN_THE_WAY.items()):
        base = put_base(
            world, registry, tag=f"way-{number}", more=(entry,) if "->" not in entry else (), link=entry if "->" in entry else ""
        )
        done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", base)
        assert done.code == 8 and message in done.err, done.err


def test_a_base_whose_directories_are_others(world: World, registry: FakeRegistry) -> None:
    built(world, registry, base := put_base(world, registry, own=directory("opt", 0o775)), "")
    for number, own in enumerate((directory("opt", 0o700), directory("srv", 0o711))):
        done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry, tag=f"other-{number}", own=own))
        assert done.code == 8 and "modes or owners of its /opt differ" in done.err, done.err
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry, tag="tmpless", without="tmp"))
    assert done.code == 8 and "it has no /tmp" in done.err
    put_base(world, registry, 8, own=directory("opt", 0o775))
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    assert done.digest == built(world, registry, base, "", "--upgrade-base").digest


IN_THE_WAY = {
    "opt/venv/bin/pip": "it has a virtual environment or other files of its own in /opt/venv",
    "opt->elsewhere": "its /opt is a link to elsewhere",
    "data": "its /data is a file",
    "data->/mnt": "its /data is a link to /mnt",
    "app->/srv": "its /app is a link to /srv",
}


def test_an_older_musl(world: World, registry: FakeRegistry) -> None:
    built(world, registry, base := put_base(world, registry, musl="1.2.5"), requirements="small\n")
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry, tag="2", musl="1.1.24"))
    assert done.code == 8 and "its musl is 1.1, older than the 1.2 that the image was built for" in done.err
    put_base(world, registry, 8, musl="1.2.6")
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    assert done.digest == built(world, registry, base, SETTINGS, "--upgrade-base", requirements="small\n").digest


def test_a_base_that_lacks_a_platform(world: World, registry: FakeRegistry) -> None:
    built(world, registry, put_base(world, registry))
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry, tag="2", platforms=(AMD64,)))
    assert done.code == 2 and "no image for linux/arm64" in done.err


def test_a_program_of_the_base_that_is_gone(world: World, registry: FakeRegistry) -> None:
    settings = 'command = ["serve", "main.py"]\n'
    project = world.app("small\n")
    (project / "shipwheel.toml").write_text(f'{settings}python = "{MINOR}"\n')
    base = put_base(world, registry, more=("usr/local/bin/serve",))
    command = ("build", project, "--no-bytecode", "--push", "-t", f"{registry.host}/team/shop:1", "--base", base)
    assert (done := world.run(*command)).code == 0, done.err
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry, tag="2"))
    assert done.code == 8 and "it does not have serve, which the image starts" in done.err


def test_packages_of_one_suite_do_not_go_upon_another(world: World, registry: FakeRegistry) -> None:
    first = built(world, registry, put_base(world, registry, without="libfoo"))
    assert first.document["images"][0]["packages"] == {"libfoo1": "1.0-1", "tini": "1.0-1"}
    other = put_base(world, registry, tag="2", without="libfoo", codename="bullseye")
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", other)
    assert done.code == 8 and f"it is Debian bullseye, and libfoo1 of Debian {SUITE.codename} were added" in done.err
    put_base(world, registry, 8, without="libfoo")
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    assert done.digest == built(world, registry, f"{registry.host}/bases/python:1", SETTINGS, "--upgrade-base").digest


def test_whose_user_it_is(world: World, registry: FakeRegistry) -> None:
    built(world, registry, base := put_base(world, registry, user="worker"), "")
    put_base(world, registry, 8, user="7:8")
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--tag", "2")
    assert configs(registry, done.digest)[0]["config"]["User"] == "7:8"
    built(world, registry, base, 'user = "1001:1002"\n')
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry, 9, tag="9", user="9"))
    assert configs(registry, done.digest)[0]["config"]["User"] == "1001:1002", "the user said so, though the base did too"


def test_volumes_belong_to_the_user_of_the_base(world: World, registry: FakeRegistry) -> None:
    built(world, registry, put_base(world, registry, user="worker"))
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", put_base(world, registry, 8, tag="2", user="7:8"))
    assert done.code == 8 and "its user is 7:8, and the volumes belong to 1001:1002" in done.err


def configs(registry: FakeRegistry, digest: str, name: str = "team/shop") -> list[dict[str, Any]]:
    index = json.loads(registry.manifests[name][digest][1])
    manifests = [json.loads(registry.manifests[name][entry["digest"]][1]) for entry in index["manifests"]]
    return [json.loads(registry.blobs[name][manifest["config"]["digest"]]) for manifest in manifests]


def test_an_old_base_that_is_gone(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry)
    built(world, registry, base)
    gone = registry.tags["bases/python"]["1"]
    put_base(world, registry, 8)
    del registry.manifests["bases/python"][gone]
    done = world.run("rebase", f"{registry.host}/team/shop:1", env={"SHIPWHEEL_CACHE": str(world.root / "empty")})
    assert done.code == 0 and "the old base" in done.err and "own record of its layers is used" in done.err, done.err
    assert done.digest == built(world, registry, base, SETTINGS, "--upgrade-base").digest


def changed(registry: FakeRegistry, digest: str, **more: str) -> None:
    """The images of a tag with other annotations."""
    index = json.loads(registry.manifests["team/shop"][digest][1])
    for entry in index["manifests"]:
        manifest = json.loads(registry.manifests["team/shop"][entry["digest"]][1])
        manifest["annotations"] |= more
        data = json.dumps(manifest).encode()
        entry |= {"digest": registry.put("team/shop", data, entry["mediaType"]), "size": len(data)}
    registry.put("team/shop", json.dumps(index).encode(), index["mediaType"], "1")


def test_layers_that_are_not_those_of_the_base(world: World, registry: FakeRegistry) -> None:
    first = built(world, registry, base := put_base(world, registry))
    put_base(world, registry, 8, tag="2")
    changed(registry, first.digest, **{ANNOTATION_BASE_DIGEST: registry.tags["bases/python"]["2"]})
    put_base(world, registry, 9)
    done = world.run("rebase", f"{registry.host}/team/shop:1")
    assert done.code == 9 and f"are not those of {base}@" in done.err


def test_what_is_noted_of_the_base_is_damaged_or_does_not_fit(world: World, registry: FakeRegistry) -> None:
    first = built(world, registry, put_base(world, registry))
    put_base(world, registry, 8)
    noted = json.loads(annotations(registry, first.digest)[0][ANNOTATION_REBASE_INFO])
    for text in ("", "{}", '{"layers":1', '{"layers": -1, "manifest": "", "facts": {}}', "null"):
        changed(registry, first.digest, **{ANNOTATION_REBASE_INFO: text})
        done = world.run("rebase", f"{registry.host}/team/shop:1")
        assert done.code == 2 and "did not record what it needs" in done.err, text
    for layers, message in ((0, "does not fit its layers"), (-1, "does not fit"), (99, "does not fit"), (2, "are not those of")):
        changed(registry, first.digest, **{ANNOTATION_REBASE_INFO: json.dumps({**noted, "layers": layers})})
        done = world.run("rebase", f"{registry.host}/team/shop:1")
        assert done.code == 9 and message in done.err, layers


def test_the_config_alone(world: World, registry: FakeRegistry) -> None:
    built(world, registry, put_base(world, registry, env={"PYTHON_VERSION": f"{MINOR}.7"}))
    put_base(world, registry, 8, env={"PYTHON_VERSION": f"{MINOR}.8"})
    since = len(registry.requests)
    command = ("rebase", f"{registry.host}/team/shop:1", "--trust-config")
    done = world.run(*command, env={"SHIPWHEEL_CACHE": str(world.root / "empty")})
    assert done.code == 0 and "were not checked" in done.err, done.err
    assert not blobs_read(registry, since, "bases/python") & layers_of(registry, done.digest), "no layer at all"
    assert not registry.missing_blobs("team/shop", done.digest)
    assert "io.shipwheel.proof" not in annotations(registry, done.digest)[0], "nobody looked at it"
    for env, user, message in (({}, "", "PYTHON_VERSION"), ({"PYTHON_VERSION": "3.8.1"}, "", "its Python is 3.8.1"), ({}, "worker", "")):
        base = put_base(world, registry, 9, tag="9", env=env or {"PYTHON_VERSION": f"{MINOR}.9"} if user else env, user=user)
        done = world.run(*command, "--base", base)
        assert done.code == 8 and (message or "is not a number") in done.err, done.err


def test_a_dry_run_pushes_nothing(world: World, registry: FakeRegistry) -> None:
    first = built(world, registry, put_base(world, registry))
    put_base(world, registry, 8)
    since = len(registry.requests)
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--dry-run")
    assert (done.code, done.out) == (0, "") and "dry run" in done.err
    document = world.run("rebase", f"{registry.host}/team/shop:1", "--dry-run", "--json").document
    assert document["changed"] and document["pushed"] is None and document["tags"] == []
    assert {seen.method for seen in registry.requests[since:]} <= {"GET", "HEAD"}
    assert registry.tags["team/shop"]["1"] == first.digest
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--json")
    assert done.digest == document["digest"], "it was said before"
    image = done.document["images"][0]
    assert (image["old-python"], image["python"], image["libc"]) == (f"{MINOR}.7", f"{MINOR}.8", "glibc 2.36")
    assert len(image["removed"]) == len(image["added"]) == 1 and image["kept"] >= 3
    assert done.document["pushed"]["mounted"] > 0 and done.document["old-base"]["digest"] != done.document["new-base"]["digest"]


def test_tags_of_the_result(world: World, registry: FakeRegistry) -> None:
    first = built(world, registry, put_base(world, registry))
    put_base(world, registry, 8)
    name = f"{registry.host}/team/shop"
    done = world.run("rebase", f"{name}@{first.digest}")
    assert done.code == 2 and "--tag" in done.err
    assert "shipwheel copy" in world.run("rebase", f"{name}:1", "--tag", "other/shop:2").err
    done = world.run("rebase", f"{name}@{first.digest}", "--tag", "2", "-t", "3")
    assert registry.tags["team/shop"] == {"1": first.digest, "2": done.digest, "3": done.digest}


def test_a_tag_that_moves_meanwhile_keeps_what_it_got(world: World, registry: FakeRegistry) -> None:
    built(world, registry, put_base(world, registry))
    base = f"{put_base(world, registry, 8)}@{registry.tags['bases/python']['1']}"
    assert world.run("rebase", f"{registry.host}/team/shop:1", "--base", base, "--dry-run").code == 0, "the base is known from here on"
    reference = Reference.parse(f"{registry.host}/team/shop:1")
    with Repository(reference) as repository:
        rebased = rebase(repository, "1", world.store, silent, base=base)
        registry.tags["team/shop"]["1"] = moved = registry.put("team/shop", b"{}", "application/vnd.oci.image.index.v1+json")
        with pytest.raises(FetchError, match="pushed again or deleted in the meantime"):
            push_rebased(repository, rebased, ("1",), "1", world.store, silent)
    assert registry.tags["team/shop"]["1"] == moved


def test_upon_a_layout_and_back(world: World, registry: FakeRegistry) -> None:
    base = put_base(world, registry)
    first = built(world, registry, base)
    put_base(world, registry, 8, tag="2")
    done = world.run("rebase", f"{registry.host}/team/shop:1", "--base", f"oci:{world.root / 'base-2-8.oci'}")
    assert done.code == 0, done.err
    assert "org.opencontainers.image.base.name" not in annotations(registry, done.digest)[0], "a path of this machine"
    assert not registry.missing_blobs("team/shop", done.digest)
    unnamed = world.run("rebase", f"{registry.host}/team/shop:1")
    assert unnamed.code == 2 and "does not name its base" in unnamed.err
    assert world.run("rebase", f"{registry.host}/team/shop:1", "--base", base).digest == first.digest, "what it was"


LIBC = tuple(f"GLIBC_2.{number}" for number in (2, 17, 28, 34))


def segment(label: str, *objects: ElfObject) -> Segment:
    return Segment(label, label, ANY, 0, 0, {item.path: 0 for item in objects}, {}, {}, objects)


def below(*versions: str) -> Segment:
    return segment(
        "base",
        ElfObject("usr/lib/libc.so.6", "EM_X86_64", "libc.so.6", defines=versions),
        ElfObject("usr/lib/libz.so.1", "EM_X86_64", "libz.so.1"),
    )


def test_what_is_needed_is_what_the_base_brings() -> None:
    wheel = segment(
        "wheel",
        ElfObject(
            "opt/venv/lib/a.so",
            "EM_X86_64",
            "a.so",
            needed=("libc.so.6", "b.so", "libnone.so"),
            wants=(("libc.so.6", LIBC[0]), ("libc.so.6", LIBC[2])),
        ),
        ElfObject(
            "opt/venv/lib/b.so",
            "EM_X86_64",
            "b.so",
            needed=("libc.so.6", "libz.so.1"),
            wants=(("libc.so.6", LIBC[1]), ("libc.so.6", "GLIBC_ABI_DT_RELR")),
        ),
        ElfObject("opt/venv/lib/foreign.so", "EM_AARCH64", "foreign.so", needed=("libz.so.1",)),
    )
    found = required_libraries([below(*LIBC, "GLIBC_ABI_DT_RELR")], [], [wheel], AMD64)
    assert found == ("libc.so.6(GLIBC_2.28)", "libc.so.6(GLIBC_ABI_DT_RELR)", "libz.so.1")


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (LIBC, []),
        (LIBC[:3], []),
        (LIBC[:2], ["its libc.so.6 has GLIBC_2.17 at most, and GLIBC_2.28 is needed"]),
        ((), []),
    ],
)
def test_a_libc_that_is_too_old(versions: tuple[str, ...], expected: list[str]) -> None:
    needs = BaseRequirements(("libc.so.6(GLIBC_2.28)",))
    assert list(unmet_requirements(needs, FileTree(below(*versions), {}, {}), "/usr/bin", AMD64)) == expected


def test_programs_are_looked_for_on_the_path() -> None:
    tree = FileTree(Segment("", "", ANY, 0, 0, {"usr/bin/sh": 1}, {"bin": "usr/bin"}, {}, ()), {}, {})
    assert list(unmet_requirements(BaseRequirements(programs=("sh", "/bin/sh")), tree, "/opt/venv/bin:/bin", AMD64)) == []
    assert list(unmet_requirements(BaseRequirements(programs=("/bin/bash",)), tree, "/bin", AMD64)) == [
        "it does not have /bin/bash, which the image starts"
    ]


@given(st.text())
def test_any_text_is_a_note_or_none(text: str) -> None:
    assert read_rebase_info({ANNOTATION_REBASE_INFO: text}) is None
