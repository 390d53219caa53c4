"""A build with torch: for the CPU by default, and the plan says what that saves; for CUDA where that is chosen."""

from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, World

TAG = f"cp{MINOR.replace('.', '')}"
ON_AMD64 = "nvidia-cublas-cu12; platform_machine == 'x86_64'"


def torch(version: str, machine: str, *requires: str) -> SmallWheel:
    return SmallWheel("torch", version, files={"torch/__init__.py": ""}, requires=requires, tag=f"{TAG}-{TAG}-linux_{machine}")


def test_the_cpu_by_default_and_cuda_by_choice(world: World) -> None:
    cublas = SmallWheel("nvidia_cublas_cu12", "12.1", files={"nv.bin": bytes(range(256)) * 200}, tag="py3-none-manylinux_2_17_x86_64")
    world.add(cublas)
    with PackageIndex() as vendor:
        for name in DEBIAN_ARCHITECTURES:
            machine = Platform("linux", name).machine
            world.add(torch("2.5.1", machine, ON_AMD64))
            cpu = torch("2.5.1+cpu" if name == "amd64" else "2.5.1", machine)
            vendor.add(cpu.filename, cpu.content())
        place = world.app("small\ntorch\n", settings=f'accelerator-index = "{vendor.url}/whl"\n')
        plan = world.run("plan", place, "--json").document
        (note,) = [text for text in plan["notes"] if "CPU builds of torch, without 1 other package: saves" in text]
        assert "MB on amd64" in note
        built = world.build(place).document
        names = {image["platform"]: image["distributions"] for image in built["images"]}
        assert names["linux/amd64"]["torch"] == "2.5.1+cpu"
        assert names["linux/arm64"]["torch"] == "2.5.1"
        assert not [it for some in names.values() for it in some if it.startswith("nvidia")]
    failed = world.build(place, "--python", MINOR, "--as-of", "2024-02-01")
    assert failed.code == 5, "the vendor's index is gone"
    assert 'accelerator = "cuda"' in failed.err
    chosen = world.build(place, "--accelerator", "cuda").document
    amd64 = next(image for image in chosen["images"] if image["platform"] == "linux/amd64")
    assert amd64["distributions"]["nvidia-cublas-cu12"] == "12.1"
