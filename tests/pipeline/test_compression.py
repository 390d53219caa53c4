"""Images with layers in zstd: the same files, found again by their keys like any other layers."""

import json

from shipwheel.oci.layout import read_layout
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import World

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


def test_a_setting_makes_all_layers_zstd(world: World) -> None:
    plain = world.app("small\nnative\n")
    packed = world.app("small\nnative\n", "packed", 'compression = "zstd"\nname = "shop"\n')
    assert world.build(plain).code == 0
    done = world.build(packed)
    assert done.code == 0, done.err
    images, others = (read_layout(world.output(project)).images().images for project in (packed, plain))
    for image, other in zip(images, others, strict=True):
        assert {layer["mediaType"] for layer in json.loads(image.manifest)["layers"]} == {ZSTD}
        assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in other.layers]
    assert world.run("validate", world.output(packed)).code == 0
    assert world.build(packed).digest == done.digest


def test_an_empty_machine_finds_the_layers(world: World) -> None:
    project = world.app("small\nnative\n", settings='compression = "zstd"\n')
    with FakeRegistry() as registry:
        push = ("build", project, "--no-bytecode", "--json", "--push", "-t", f"{registry.host}/team/shop:1")
        first = world.run(*push)
        assert first.code == 0, first.err
        seen = len(world.index.requests)
        again = world.run(*push, env={"SHIPWHEEL_CACHE": str(world.root / "empty")})
        assert again.digest == first.digest
        assert not [request for request in world.index.requests[seen:] if request.path.endswith(".whl")]


def test_rejects_another_compression(world: World) -> None:
    failed = world.build(world.app("small\n", settings='compression = "xz"\n'))
    assert failed.code == 2
    assert "compression: 'xz' is not allowed" in failed.err and 'Write "gzip" or "zstd"' in failed.err
