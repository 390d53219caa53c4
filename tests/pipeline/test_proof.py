"""What the proof lets through, what it warns of, what it refuses."""

import subprocess
from pathlib import Path

import pytest
from support.digests import ANY

from shipwheel.errors import ProofError
from shipwheel.files.elf import MACHINES, NO_MACHINE, ElfObject, read_elf
from shipwheel.files.segment import Segment
from shipwheel.pipeline.proof import Origin, Part, prove
from shipwheel.platform import Platform

AMD64 = Platform("linux", "amd64")
SITE = "opt/venv/lib/python3.11/site-packages"
LIBC = ElfObject("usr/lib/x86_64-linux-gnu/libc.so.6", "EM_X86_64", "libc.so.6", defines=("GLIBC_2.2.5", "GLIBC_2.36", "GLIBC_PRIVATE"))


def segment(label: str, *objects: ElfObject) -> Segment:
    return Segment(label, label, ANY, 1, 1, {found.path: 0 for found in objects}, {}, {}, objects)


def base(*more: ElfObject) -> Part:
    return Part(segment("base", LIBC, *more), Origin.BASE)


def wheel(*objects: ElfObject) -> Part:
    return Part(segment("demo 1.0", *objects), Origin.APP)


def module(name: str = "_demo.cpython-311-x86_64-linux-gnu.so", machine: str = "EM_X86_64", **facts: tuple[object, ...]) -> ElfObject:
    return ElfObject(f"{SITE}/demo/{name}", machine, **facts)  # type: ignore[arg-type]


def test_a_sound_image_passes() -> None:
    proof = prove([base(), wheel(module(needed=("libc.so.6",), wants=(("libc.so.6", "GLIBC_2.36"),)))], AMD64, ())
    assert (proof.objects, proof.warnings) == (2, ())


def test_a_module_for_another_machine_is_named_with_its_package() -> None:
    with pytest.raises(ProofError, match=r"demo 1\.0: .*_demo.* is for EM_AARCH64, not for amd64"):
        prove([base(), wheel(module(machine="EM_AARCH64"))], AMD64, ())


def test_a_module_for_another_machine_is_refused_even_beside_a_right_one() -> None:
    with pytest.raises(ProofError, match="EM_AARCH64"):
        prove([base(), wheel(module(), module("_other.cpython-311-aarch64-linux-gnu.so", "EM_AARCH64"))], AMD64, ())


def test_a_file_that_only_has_the_form_of_elf_is_for_any_machine() -> None:
    compiled = ElfObject("usr/lib/x86_64-linux-gnu/guile/3.0/ccache/web/uri.go", NO_MACHINE)
    assert prove([base(compiled), wheel(module())], AMD64, ()).warnings == ()
    with pytest.raises(ProofError, match=NO_MACHINE):
        prove([base(ElfObject("usr/lib/x86_64-linux-gnu/libx.so.1", NO_MACHINE)), wheel(module())], AMD64, ())


def test_helpers_for_other_machines_beside_our_own_are_a_warning() -> None:
    proof = prove([base(), wheel(module(), module("helper-arm64", "EM_AARCH64"))], AMD64, ())
    assert len(proof.warnings) == 1
    assert "helper-arm64" in proof.warnings[0]


def test_a_wheel_with_a_helper_for_one_machine_only_serves_the_others() -> None:
    helpers = [module(f"attach{number}.so", "EM_AARCH64") for number in range(3)]
    proof = prove([base(), wheel(*helpers)], AMD64, ())
    assert len(proof.warnings) == 1
    assert "attach0.so is for EM_AARCH64, not for amd64 (and 2 more of the kind)" in proof.warnings[0]
    newer = module("attach.so", needed=("libc.so.6",), wants=(("libc.so.6", "GLIBC_2.38"),))
    assert "needs GLIBC_2.38" in prove([base(), wheel(newer)], AMD64, ()).warnings[0]


def test_debian_may_bring_files_of_a_processor_that_this_one_includes() -> None:
    prove([base(ElfObject("usr/lib32/libc.so.6", "EM_386", "libc.so.6"))], AMD64, ())
    with pytest.raises(ProofError, match="is for EM_386, not for arm64"):
        prove([base(ElfObject("usr/lib32/libc.so.6", "EM_386", "libc.so.6"))], Platform("linux", "arm64"), ())


def test_what_a_module_needs_and_programs_must_be_for_the_machine() -> None:
    library = ElfObject(f"{SITE}/demo.libs/libx.so", "EM_AARCH64", "libx.so.1")
    for wrong in (library, ElfObject("opt/venv/bin/demo", "EM_AARCH64")):
        with pytest.raises(ProofError, match="is for EM_AARCH64"):
            prove([base(), wheel(module(needed=("libx.so.1",)), wrong)], AMD64, ("libx.so.1",))


def test_nothing_is_asked_of_helpers_for_other_machines() -> None:
    helper = module("helper-arm64", "EM_AARCH64", needed=("libc.so.6", "libgone.so.1"))
    assert len(prove([base(), wheel(module(), helper)], AMD64, ()).warnings) == 1


def test_a_wheels_library_does_not_serve_the_base() -> None:
    python = ElfObject("usr/bin/python3.11", "EM_X86_64", needed=("libz.so.1",))
    with pytest.raises(ProofError, match=r"base: libz\.so\.1 is nowhere"):
        prove([base(python), wheel(module("libz.so.1"))], AMD64, ())


def test_what_a_wheel_misses_is_one_warning() -> None:
    modules = [module(f"plugin{number}.so", needed=(f"libgone{number}.so.1",)) for number in range(9)]
    proof = prove([base(), wheel(*modules)], AMD64, [f"libgone{number}.so.1" for number in range(9)])
    assert len(proof.warnings) == 1
    assert "libgone5.so.1 and 3 more are nowhere" in proof.warnings[0]
    assert "(needed by plugin0.so, plugin1.so, plugin2.so and 6 more)" in proof.warnings[0]


def test_the_base_may_hold_nothing_for_another_machine() -> None:
    with pytest.raises(ProofError, match="base: usr/lib/libx"):
        prove([base(ElfObject("usr/lib/libx.so", "EM_AARCH64"))], AMD64, ())


def test_a_newer_libc_than_the_images_is_refused_with_both_versions() -> None:
    with pytest.raises(ProofError, match=r"needs GLIBC_2\.38 of libc\.so\.6, and the image's has at most GLIBC_2\.36"):
        prove([base(), wheel(module(needed=("libc.so.6",), wants=(("libc.so.6", "GLIBC_2.38"),)))], AMD64, ())


def test_a_library_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ProofError, match=r"demo 1\.0: libgone\.so\.1 is nowhere"):
        prove([base(), wheel(module(needed=("libgone.so.1",)))], AMD64, ())


def test_a_library_that_no_package_has_is_a_warning_for_a_wheel() -> None:
    proof = prove([base(), wheel(module(needed=("libcuda.so.1",)))], AMD64, ("libcuda.so.1",))
    assert "libcuda.so.1" in proof.warnings[0]
    assert "demo 1.0" in proof.warnings[0]


def test_a_library_that_no_package_has_is_refused_for_the_base() -> None:
    with pytest.raises(ProofError, match=r"libcuda\.so\.1"):
        prove([base(ElfObject("usr/bin/tool", "EM_X86_64", needed=("libcuda.so.1",)))], AMD64, ("libcuda.so.1",))


def test_everything_that_fails_is_said_at_once() -> None:
    wrong = (module("_a.abi3.so", "EM_AARCH64"), module("_b.abi3.so", needed=("libgone.so.1",)))
    with pytest.raises(ProofError) as caught:
        prove([base(), wheel(*wrong)], AMD64, ())
    assert "_a.abi3.so" in caught.value.message
    assert "libgone.so.1" in caught.value.message


def files(label: str, **crcs: int) -> Part:
    return Part(Segment(label, label, ANY, 1, 1, {f"{SITE}/{name}.py": crc for name, crc in crcs.items()}, {}, {}, ()), Origin.APP)


def test_two_packages_with_other_bytes_for_one_path_are_both_named() -> None:
    proof = prove([base(), files("one 1.0", shared=1, same=5), files("two 2.0", shared=2, same=5)], AMD64, ())
    assert len(proof.warnings) == 1
    assert "one 1.0 and two 2.0 both bring" in proof.warnings[0]
    assert "those of two 2.0" in proof.warnings[0]


def test_the_package_on_top_is_named_whatever_lies_between() -> None:
    """A large package's files are repeated above the others if it comes last in the lock."""
    parts = [files("zeta 1.0", shared=2, own=1), files("alpha 1.0", shared=1), files("beta 1.0", shared=2), files("zeta 1.0", shared=2)]
    proof = prove([base(), *parts], AMD64, ())
    assert len(proof.warnings) == 1
    assert proof.warnings[0].startswith("alpha 1.0 and zeta 1.0 both bring") and "those of zeta 1.0" in proof.warnings[0]


@pytest.mark.parametrize("path", [f"{SITE}/.wh.uvicorn", f"{SITE}/.wh..wh..opq"])
def test_a_file_that_deletes_others_is_refused_except_in_a_base_image(path: str) -> None:
    deleting = Segment("evil 1.0", "evil 1.0", ANY, 1, 1, {path: 0}, {}, {}, ())
    with pytest.raises(ProofError, match=r"evil 1\.0: .*\.wh\..* would delete other files"):
        prove([base(), Part(deleting, Origin.APP)], AMD64, ())


def test_replaced_objects_are_not_checked() -> None:
    parts = [wheel(module(machine="EM_AARCH64")), wheel(module(needed=("libc.so.6",)))]
    assert prove([base(), *parts], AMD64, ()).objects == 2
    with pytest.raises(ProofError, match="EM_AARCH64"):
        prove([base(), *reversed(parts)], AMD64, ())


MUSL = ElfObject("lib/ld-musl-x86_64.so.1", "EM_X86_64", "libc.musl-x86_64.so.1")


def test_what_is_built_for_musl_names_its_libc_as_it_likes() -> None:
    upon = Part(segment("base", MUSL), Origin.PARENT)
    for names in (("libc.so",), ("libc.musl-x86_64.so.1",), ("libm.so", "libc.so")):
        assert prove([upon, wheel(module(needed=names))], AMD64, names).warnings == ()
    assert "libc.so is nowhere" in prove([base(), wheel(module(needed=("libc.so",)))], AMD64, ("libc.so",)).warnings[0]


@pytest.mark.engines
def test_an_object_that_is_really_built_for_musl(tmp_path: Path) -> None:
    """musl-gcc, which that tier installs, writes libc.so, since Debian's musl has no soname."""
    made = tmp_path / "_demo.cpython-311-x86_64-linux-gnu.so"
    (tmp_path / "demo.c").write_text('#include <stdlib.h>\nint demo(void) { return atoi(getenv("DEMO")); }\n')
    subprocess.run(["musl-gcc", "-shared", "-fPIC", "-o", str(made), str(tmp_path / "demo.c")], check=True)
    with made.open("rb") as stream:
        found = read_elf(stream, f"{SITE}/demo/{made.name}", "demo")
    assert found is not None
    assert found.needed == ("libc.so",)
    machine = next(name for name, known in MACHINES.items() if known == found.machine)
    cpu = {"amd64": "x86_64", "arm64": "aarch64"}[machine]
    loader = ElfObject(f"lib/ld-musl-{cpu}.so.1", found.machine)
    upon = Part(segment("base", loader), Origin.PARENT)
    assert prove([upon, wheel(found)], Platform("linux", machine), ("libc.so",)).warnings == ()
