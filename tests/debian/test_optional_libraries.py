"""Libraries that pure Python packages open by name."""

from support.debian_packages import index_of
from support.digests import ANY

from shipwheel.debian.optional_libraries import missing_optional_libraries, packages_behind, packages_opened_by, suggest_packages
from shipwheel.files.elf import ElfObject
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

AMD64 = Platform("linux", "amd64")
LIB = "usr/lib/x86_64-linux-gnu"


def _segment(label: str, *objects: ElfObject, opens: tuple[str, ...] = ()) -> Segment:
    return Segment(label, label, ANY, 0, 0, {item.path: 0 for item in objects}, {}, {}, objects, opens)


def _missing(opens: tuple[str, ...], *others: Segment, base: tuple[Segment, ...] = ()) -> dict[str, tuple[str, ...]]:
    return missing_optional_libraries(base, [_segment("demo 1", opens=opens), *others])


def test_lists_opened_libraries_that_the_image_lacks() -> None:
    assert _missing(("libocr.so.5", "ocr")) == {"opened:libocr.so.5": ("demo 1",), "opened:ocr": ("demo 1",)}
    base = _segment("libocr5 1", ElfObject(f"{LIB}/libocr.so.5.0", "EM_X86_64", "libocr.so.5"))
    assert _missing(("libocr.so.5", "ocr"), base=(base,)) == {}
    bundled = _segment("ocr-binary 1", ElfObject("x/ocr_binary.libs/libocr-9b38f5e3.so.5.17", "EM_X86_64"))
    assert _missing(("ocr",), bundled) == {}


def test_ignores_packages_with_elf_files() -> None:
    assert missing_optional_libraries((), [_segment("demo 1", ElfObject("x/demo.so", "EM_X86_64"), opens=("ocr",))]) == {}


def test_suggests_the_packages_to_add() -> None:
    index = index_of("libocr5", "libunused1", contents=b"libocr.so.5\tlibocr5\nlibunused.so.1\tlibunused1\n")
    found = list(suggest_packages(_missing(("libocr.so.5", "ocr", "unused", "libcuda.so.1")), index))
    assert [note.message for note in found] == ["demo 1 can open libocr.so.5, libunused.so.1 by name, and the image does not have them"]
    assert found[0].hint == 'If your app uses that feature, add to the settings: packages = ["libocr5", "libunused1"]'
    assert list(suggest_packages(_missing(("cuda", "AudioToolbox")), index)) == []


def test_finds_the_package_behind_the_headers_that_a_dockerfile_installs() -> None:
    depends = {"libocr-dev": "libocr5 (= 1), libc6-dev", "libother-dev": "libother1"}
    index = index_of("libocr5", "libother1", *depends, depends=depends, contents=b"libocr.so.5\tlibocr5\n")
    missing = _missing(("ocr", "libother.so.1"))
    assert [package.name for package in packages_behind(("libocr-dev", "libunknown-dev"), missing, index)] == ["libocr5"]
    assert packages_behind(("libother-dev",), missing, index) == ()
    assert packages_behind((), missing, index) == ()


def test_finds_the_packages_that_what_the_project_requires_opens() -> None:
    index = index_of("libocr5", "libother1", contents=b"libocr.so.5\tlibocr5\nlibother.so.1\tlibother1\n")
    missing = missing_optional_libraries((), [_segment("Demo_Ocr 1", opens=("ocr", "cuda")), _segment("other 1", opens=("libother.so.1",))])
    assert [package.name for package in packages_opened_by({"demo-ocr"}, missing, index)] == ["libocr5"]
    assert packages_opened_by({"flask"}, missing, index) == ()
