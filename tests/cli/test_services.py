"""`shipwheel export compose`, and what `up` refuses before an engine has anything to do: offline, with a fake registry and fake engines."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.fake_programs import Programs

from shipwheel.errors import ImageError
from shipwheel.oci.bundle import Bundle, read_bundle, write_bundle
from shipwheel.oci.image import make_image, make_index
from shipwheel.oci.layout import create_empty_layout, write_layout
from shipwheel.oci.model import ContainerConfig
from shipwheel.platform import Platform
from shipwheel.testing.images import small_layer
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import CommandResult, World

PLATFORM = 'platforms = "linux/amd64"\nbytecode = false\n'


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """Programs for the PATH of commands."""
    return Programs(tmp_path / "bin")


def pushed_image(world: World, registry: FakeRegistry) -> str:
    """Push an image by another tool. Return its NAME@DIGEST."""
    layer = small_layer(world.store, {"bin/db": ""})
    image = make_image([layer], ContainerConfig(volumes={"/var/lib/db": {}}), Platform("linux", "amd64"), created=0)
    write_layout(make_index([image]), world.root / "db.oci", world.store, name="db:1")
    done = world.run("push", world.root / "db.oci", f"{registry.host}/db:1")
    assert done.code == 0, done.err
    return done.out.strip()


def test_manifests_that_are_printed_are_those_that_kubectl_takes(world: World) -> None:
    app = world.app("small\n", settings=PLATFORM)
    done = world.run("export", "kubernetes", app)
    assert done.code == 0, done.err
    kinds = {document["kind"] for document in yaml.safe_load_all(done.out)}
    assert "Deployment" in kinds or "StatefulSet" in kinds or "Job" in kinds
    assert "Kustomization" not in kinds
    done = world.run("export", "kubernetes", app, "-o", "deploy", "--json")
    assert "base/kustomization.yaml" in json.loads(done.out)["texts"]


def test_a_compose_file_names_every_image_by_its_digest(world: World, registry: FakeRegistry) -> None:
    db = pushed_image(world, registry)
    settings = f"""{PLATFORM}
tag = "{registry.host}/shop:1"
ports = 8000
[services.web]
needs = "db"
secrets = "KEY"
[services.db]
image = "{registry.host}/db:1"
"""
    done = world.run("export", "compose", world.app("small\n", settings=settings), "--push", "-o", "deploy", "--json")
    assert done.code == 0, done.err
    found = yaml.safe_load((world.root / "deploy" / "compose.yaml").read_text())
    assert found["services"]["db"]["image"] == db
    assert found["services"]["db"]["volumes"] == [{"type": "volume", "source": "db-var-lib-db", "target": "/var/lib/db"}]
    web = found["services"]["web"]
    assert web["image"] == f"{registry.host}/shop@{registry.tags['shop']['1']}"
    assert web["user"] == "65532:65532"
    assert done.document["images"] == {"db": db, "web": web["image"]}
    assert "it reads secrets/KEY beside it" in done.err


def test_an_image_in_no_registry_is_named_with_a_warning(world: World) -> None:
    done = world.run("export", "compose", world.app("small\n", settings=PLATFORM))
    assert done.code == 0, done.err
    found = yaml.safe_load(done.out)
    assert found["services"]["web"]["image"] == "shop:latest"
    assert found["services"]["web"]["pull_policy"] == "never"
    assert "shop:latest is in no registry" in done.err


def test_a_service_of_a_profile_is_in_the_compose_file_alone(world: World) -> None:
    app = world.app("small\n", settings=f'{PLATFORM}[services.again]\nprocess = "web"\nprofiles = "debug"\n')
    compose, manifests = (world.run("export", form, app, "--json") for form in ("compose", "kubernetes"))
    assert (compose.document["images"].keys(), manifests.document["images"].keys()) == ({"web", "again"}, {"web"})


@pytest.mark.parametrize(("form", "where"), [("kubernetes", " --namespace shop"), ("podman", ""), ("helm", " --namespace shop")])
def test_no_password_is_to_be_written_on_a_command_line(world: World, form: str, where: str) -> None:
    app = world.app("small\n", settings=f'{PLATFORM}[services.web.env]\nURL = "pg://${{PASSWORD}}@db"\n')
    done = world.run("export", form, app, "-o", "deploy")
    assert f"a file with PASSWORD=…: kubectl create secret generic shop-secrets --from-env-file=FILE{where}" in done.err


def test_an_image_that_a_registry_lacks_is_named_with_its_key(world: World, registry: FakeRegistry) -> None:
    app = world.app("small\n", settings=f'{PLATFORM}[services.db]\nimage = "{registry.host}/db:1"\n')
    done = world.run("export", "compose", app)
    assert done.code == 5
    assert f"{app}/shipwheel.toml: services.db.image: " in done.err


DOCKER = """
if args[0] == 'version': print(json.dumps({'Version': '26.1.5', 'Arch': 'amd64', 'KernelVersion': 'x'}))
elif args[:2] == ['image', 'inspect']: print('[]'); sys.exit(1)
elif args[0] == 'pull': sys.exit(1)
"""


def up(world: World, programs: Programs, app: Path, *arguments: str, body: str = "") -> CommandResult:
    programs.add("docker", DOCKER + body)
    path = f"{programs.folder}:{world.environment()['PATH']}"
    return world.run("up", app, "--engine", "docker", *arguments, env={"PATH": path})


def changes(programs: Programs) -> list[list[str]]:
    """Return the calls that would have changed something in the engine."""
    return [call[1:] for call in programs.calls if call[1] in ("run", "load", "rm") or call[2:3] == ["create"]]


def test_a_secret_that_is_not_set_is_named_before_anything_is_built(world: World, programs: Programs) -> None:
    app = world.app("small\n", settings='[services.web]\nsecrets = "KEY"\n')
    done = up(world, programs, app)
    assert done.code == 2
    assert f"{app}/shipwheel.toml: services.web: the variable KEY is not set" in done.err
    assert "--env-file FILE" in done.err
    assert programs.calls == []


def test_an_engine_elsewhere_gets_no_secrets(world: World, programs: Programs) -> None:
    app = world.app("small\n", settings='[services.web]\nsecrets = "KEY"\n')
    done = up(world, programs, app, "-e", "KEY=1", body="if args[0] == 'context': print('ssh://elsewhere')\n")
    assert done.code == 11
    assert "docker runs on another machine" in done.err
    assert changes(programs) == []


def test_an_image_that_does_not_exist_is_named_before_anything_is_built(world: World, programs: Programs) -> None:
    app = world.app("small\n", settings='[services.db]\nimage = "nowhere:1"\n')
    done = up(world, programs, app)
    assert done.code == 11
    assert f"{app}/shipwheel.toml: services.db.image: docker could not pull nowhere:1" in done.err
    assert changes(programs) == []
    assert not (app / "pylock.toml").exists()


def test_an_image_that_does_not_suit_its_service_is_named_before_anything_is_built(world: World, programs: Programs) -> None:
    app = world.app("small\n", settings='[services.db]\nimage = "there:1"\nhealth = "/ready"\n')
    image = {"Id": f"sha256:{'1' * 64}", "Architecture": "amd64", "Os": "linux", "Config": {"Cmd": ["db"]}, "RootFS": {"Layers": []}}
    there = f"if args[:2] == ['image', 'inspect'] and 'there:1' in args: print({json.dumps(json.dumps([image]))}); sys.exit()\n"
    programs.add("docker", there + DOCKER)
    done = world.run("up", app, "--engine", "docker", env={"PATH": f"{programs.folder}:{world.environment()['PATH']}"})
    assert done.code == 2
    assert f"{app}/shipwheel.toml: services.db.health: there:1 may have no Python that asks for a path" in done.err
    assert changes(programs) == []
    assert not (app / "pylock.toml").exists()


def test_a_taken_port_is_named_before_anything_is_built(world: World, programs: Programs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        app = world.app("small\n", settings=f'{PLATFORM}[services.web]\nports = ["127.0.0.1:{number}:8000"]\n')
        done = up(world, programs, app)
    assert (done.code, f"{app}/shipwheel.toml: services.web.ports: port {number} of this machine is taken" in done.err) == (2, True), (
        done.err
    )
    assert changes(programs) == []
    assert not (app / "pylock.toml").exists()


def test_a_project_that_does_not_build_starts_nothing(world: World, programs: Programs) -> None:
    done = up(world, programs, world.app("no-such-package\n", settings=PLATFORM))
    assert done.code == 4
    assert "no-such-package" in done.err
    assert changes(programs) == []


def test_manifests_get_the_digests_of_what_they_name(world: World, registry: FakeRegistry) -> None:
    db = pushed_image(world, registry)
    app = world.app("small\n", settings=f'{PLATFORM}tag = "{registry.host}/shop:1"\n')
    folder = world.root / "k8s" / "parts"
    folder.mkdir(parents=True)
    text = f"# mine\nspec:\n  containers:\n    - image: shipwheel://../../{app.name}\n    - {{image: '{registry.host}/db:1'}} # old\n"
    (folder / "pod.yaml").write_text(text)
    done = world.run("resolve", "-f", "k8s", "-o", "out")
    assert done.code == 0, done.err
    shop = f"{registry.host}/shop@{registry.tags['shop']['1']}"
    expected = text.replace(f"shipwheel://../../{app.name}", shop).replace(f"'{registry.host}/db:1'", db)
    assert (world.root / "out" / "parts" / "pod.yaml").read_text() == expected
    done = world.run("resolve", "-f", "k8s", "--no-push")
    assert done.out == f"---\n{expected}"
    assert "or --push here" not in done.err, "it has no such option"


def test_manifests_of_one_name_are_all_printed_and_never_written_over(world: World) -> None:
    for name in ("a", "b"):
        (world.root / name).mkdir()
        (world.root / name / "pod.yaml").write_text(f"kind: {name}\n")
    files = ("-f", "a/pod.yaml", "-f", "b")
    assert world.run("resolve", *files).out == "---\nkind: a\n---\nkind: b\n"
    done = world.run("resolve", *files, "-o", "out")
    assert done.code == 2
    assert "a/pod.yaml and b/pod.yaml would both be written to pod.yaml" in done.err


def test_a_manifest_that_cannot_be_resolved_is_named_with_its_line(world: World, registry: FakeRegistry) -> None:
    (world.root / "pod.yaml").write_text(f"containers:\n- image: {registry.host}/db:1\n")
    done = world.run("resolve", "-f", "pod.yaml")
    assert (done.code, done.out) == (5, "")
    assert f"pod.yaml, line 2: {registry.host}/db:1: " in done.err
    (world.root / "pod.yaml").write_text("containers:\n- image: shipwheel://nowhere\n")
    assert "pod.yaml, line 2: shipwheel://nowhere: nowhere does not exist" in world.run("resolve", "-f", "pod.yaml").err


def test_a_bundle_brings_everything_to_another_registry(world: World, registry: FakeRegistry) -> None:
    db = pushed_image(world, registry)
    settings = f'{PLATFORM}tag = "{registry.host}/team/shop:1"\nports = 8000\n[services.db]\nimage = "{registry.host}/db:1"\n'
    app = world.app("small\n", settings=settings)
    done = world.run("bundle", app, "-o", "shop.tar", "--json")
    assert done.code == 0, done.err
    lock = (app / "pylock.toml").read_bytes()
    shop = done.document["images"]["team/shop"]
    assert done.document["images"]["db"] == db.partition("@")[2]
    assert not (world.root / "shop.tar.partial").exists()
    bundle = (world.root / "shop.tar").read_bytes()
    assert world.run("bundle", app, "-o", "again.tar").code == 0
    assert (world.root / "again.tar").read_bytes() == bundle, "the same twice"
    with FakeRegistry() as other:
        done = world.run("unbundle", "shop.tar", "--push", f"{other.host}/air", "-o", "there")
        assert done.code == 0, done.err
        assert other.tags == {"air/db": {"1": db.partition("@")[2]}, "air/team/shop": {"1": shop}}
        found = yaml.safe_load((world.root / "there" / "compose.yaml").read_text())
        assert found["services"]["web"]["image"] == f"{other.host}/air/team/shop@{shop}"
        assert found["services"]["db"]["image"] == f"{other.host}/air/db@{db.partition('@')[2]}"
        shutil.rmtree(app)
        done = world.run("export", "compose", "there")
        assert done.out == (world.root / "there" / "compose.yaml").read_text(), "its settings are as good as those of the project"
    assert registry.host not in "".join(path.read_text() for path in (world.root / "there" / "kubernetes").rglob("*.yaml"))
    assert registry.host not in (world.root / "there" / "shipwheel.toml").read_text()
    assert (world.root / "there" / "locks" / "shop" / "pylock.toml").read_bytes() == lock
    start = bundle.index(b"shipwheel-bundle.json")
    assert start == 0, "a reader of the stream knows first what comes"


def test_an_interrupted_bundle_goes_on_where_it_was(world: World, registry: FakeRegistry) -> None:
    pushed_image(world, registry)
    settings = f'{PLATFORM}[services.db]\nimage = "{registry.host}/db:1"\n[services.late]\nimage = "{registry.host}/late:1"\n'
    app = world.app("small\n", settings=settings)
    failed = world.run("bundle", app, "-o", "shop.tar")
    assert (failed.code, (world.root / "shop.tar").exists()) == (5, False)
    layer = small_layer(world.store, {"bin/db": ""}).descriptor.digest
    assert len(registry.received("GET", f"/db/blobs/{layer}")) == 1
    assert world.run("push", world.root / "db.oci", f"{registry.host}/late:1").code == 0
    assert world.run("bundle", app, "-o", "shop.tar").code == 0
    assert len(registry.received("GET", f"/db/blobs/{layer}")) == 1, "no layer is fetched twice"


@pytest.mark.parametrize("damage", ["a changed byte", "a missing end"])
def test_a_damaged_bundle_is_refused_before_anything_is_pushed(world: World, registry: FakeRegistry, damage: str) -> None:
    assert world.run("bundle", world.app("small\n", settings=PLATFORM), "-o", "shop.tar").code == 0
    file = world.root / "shop.tar"
    bundle = bytearray(file.read_bytes())
    if damage == "a changed byte":
        bundle[bundle.rindex(b"\x1f\x8b\x08") + 20] ^= 1
    else:
        del bundle[len(bundle) // 2 :]
    file.write_bytes(bundle)
    done = world.run("unbundle", file, "--push", registry.host, "-o", "there")
    assert (done.code, registry.tags, (world.root / "there").exists()) == (9, {}, False), done.err
    assert "shop.tar" in done.err


def test_a_bundle_does_not_take_the_place_of_a_project(world: World, registry: FakeRegistry) -> None:
    app = world.app("small\n", settings=PLATFORM)
    before = (app / "shipwheel.toml").read_bytes()
    assert world.run("bundle", app, "-o", "shop.tar").code == 0
    done = world.run("unbundle", "shop.tar", "--push", registry.host, "-o", app)
    assert (done.code, registry.tags) == (2, {})
    assert f"{app} is the directory of a project" in done.err
    assert (app / "shipwheel.toml").read_bytes() == before
    for _ in range(2):
        assert world.run("unbundle", "shop.tar", "--push", registry.host, "-o", "there").code == 0


def test_whole_names_alone_are_replaced_and_once() -> None:
    bundle = Bundle("shop", (), {"x": "shop:1 shop:10 my/shop:1 'db:1'"})
    assert bundle.renamed({"shop:1": "db:1", "db:1": "r.example/db@sha256:0"})["x"] == "db:1 shop:10 my/shop:1 'r.example/db@sha256:0'"
    assert bundle.renamed({}) == bundle.files


def test_a_bundle_has_no_two_images_of_one_name(world: World) -> None:
    other = world.app("small\n", name="other", settings=f'{PLATFORM}tag = "shop:1"\nlabels = {{other = "1"}}\n')
    app = world.app("small\n", settings=f'{PLATFORM}tag = "team.example/shop:1"\n[services.other]\npath = "../{other.name}"\n')
    done = world.run("bundle", app, "-o", "shop.tar")
    assert (done.code, (world.root / "shop.tar").exists()) == (2, False)
    assert "two images of the bundle would be named shop:1" in done.err


@pytest.mark.parametrize(
    ("stack", "path"),
    [("shop", "/etc/cron.d/x"), ("shop", "a/../../x"), ("shop", "a\\b"), ("/etc/cron.d", "x"), ("..", "x"), ("", "x")],
)
def test_a_bundle_writes_nothing_outside_its_directory(tmp_path: Path, stack: str, path: str) -> None:
    layout = tmp_path / "layout"
    create_empty_layout(layout)
    write_bundle(layout, Bundle(stack, (), {path: "text"}), tmp_path / "shop.tar")
    with pytest.raises(ImageError, match="not a path below a directory"):
        read_bundle(tmp_path / "shop.tar")


def test_an_archive_that_is_no_bundle_is_refused(world: World) -> None:
    assert world.run("build", world.app("small\n", settings=PLATFORM), "-o", "shop.tar").code == 0
    done = world.run("unbundle", "shop.tar", "--load")
    assert (done.code, "is an image archive, but no bundle" in done.err) == (2, True)
    assert world.run("unbundle", "shop.tar").code == 2
