"""Compiling: what a failed build misses is added and tried again, what was found is remembered, and a wrong wheel is refused."""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from shipwheel.builder import compile as compiling
from shipwheel.builder.compile import Compiled, SourceToCompile, compile_wheel
from shipwheel.builder.complaints import Lack
from shipwheel.builder.crates import CrateFetch, CratesFailed
from shipwheel.builder.image_workshop import ImageWorkshop
from shipwheel.builder.interpreter import BuilderPython, suite_python
from shipwheel.builder.product import check_product, strip_product
from shipwheel.builder.surroundings import Surroundings
from shipwheel.builder.workshop import Workshop
from shipwheel.digest import Sha256
from shipwheel.errors import BuildError
from shipwheel.events import silent
from shipwheel.locking.bounds import OverBounds
from shipwheel.locking.process import Finished
from shipwheel.locking.pylock import LockedDeb
from shipwheel.locking.target import Target
from shipwheel.locking.uv import UvFailed
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.debian import shared_object
from shipwheel.wheels.frontend import HookFailed
from shipwheel.wheels.isolated_build import BuildOptions

ARM64 = Platform("linux", "arm64")
TARGET = Target(ARM64, "3.13.5", (2, 41))
PYTHON = suite_python("3.13", ARM64.multiarch)
OPTIONS = BuildOptions("3.13", "2026-01-01")
HASH = Sha256("ab" * 32)
NAME = "made-1.0-cp313-cp313-linux_aarch64.whl"


PIN = f"backend==1.0 --hash=sha256:{HASH}"
NEWER_PIN, STALE = f"backend==1.1 --hash=sha256:{HASH}", f"other==1.0 --hash=sha256:{HASH}"
HIDDEN = "\nhidden:\n"
PROBE = "conftest.c:1:10: fatal error: sys/endian.h: No such file or directory"

LOCAL = "Requires-Dist: shared @ file:///build/source/shared"


def wheel_bytes(architecture: str = "arm64") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("made.so", shared_object("made.so", architecture=architecture))
        archive.writestr("made-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: made\nVersion: 1.0\n{LOCAL}\n")
        archive.writestr("made-1.0.dist-info/RECORD", "")
    return out.getvalue()


@dataclass
class FakeWorkshop:
    """A builder without an archive: `has` are the packages of missing things."""

    has: dict[str, str]
    target: Target = TARGET
    python: BuilderPython = PYTHON
    identity: str = "trixie"
    origin: str = "Debian trixie"
    newer_rust: str = "a newer Python"
    asked: list[tuple[str, ...]] = field(default_factory=list)
    now: tuple[str, ...] = ("gcc-14 14.2.0-19",)

    def addable(self, names: Iterable[str]) -> tuple[str, ...]:
        return Workshop.addable(self, names)  # type: ignore[arg-type]

    def deciders(self, names: Sequence[str]) -> tuple[LockedDeb, ...]:
        assert self.now, "the archive is not to be asked"
        labels = (*self.now, *(f"{name} 1.0" for name in names))
        return tuple(LockedDeb(name, version, "amd64", HASH) for name, _, version in (label.partition(" ") for label in labels))

    def root(self, names: Sequence[str]) -> SimpleNamespace:
        self.asked.append(tuple(names))
        return SimpleNamespace(path=Path("/nonexistent"), close=lambda: None)

    def find(self, lacks: Sequence[Lack]) -> dict[Lack, str]:
        return {lack: self.has[lack.name] for lack in lacks if lack.name in self.has}

    def rust(self) -> tuple[str, ...]:
        return ("cargo-web", "rustc-web")

    def advice(self, what: str, named: str) -> str:
        return Workshop.advice(self, what, named)  # type: ignore[arg-type]

    def surroundings(self, stated: dict[str, str]) -> Surroundings:
        return Surroundings(Platform("linux", "amd64"), ARM64, PYTHON, stated)


Outcome = Callable[[Any], str]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The builds that were run; `outcome` decides how each ends."""
    made: list[Any] = []

    class Run:
        outcome: Outcome = staticmethod(lambda _run: "")

        def __init__(self, place: Path, root: Path, *facts: Any) -> None:
            self.place, self.requires, self.exclude_newer, self.site_packages = place, facts[4], facts[6], place / "none"
            self.installed = [PIN if pin == STALE else pin for pin in facts[11] or (PIN,)]
            made.append(self)

        def build(self) -> Path:
            if output := type(self).outcome(self):
                raise HookFailed("its backend failed in build_wheel", *output.split(HIDDEN))
            path = self.place / NAME
            path.write_bytes(wheel_bytes())
            return path

    monkeypatch.setattr(compiling, "BuildRun", Run)
    monkeypatch.setattr(compiling, "strip_product", lambda _wheel, _run: None)
    return made


def ends(monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
    monkeypatch.setattr("shipwheel.builder.compile.BuildRun.outcome", staticmethod(outcome))


def source(**more: Any) -> SourceToCompile:
    def write(directory: Path) -> str:
        directory.mkdir()
        return "."

    return SourceToCompile("made", "made 1.0", "content", write, **more)


def compiled(
    workshop: FakeWorkshop,
    store: Store,
    *,
    known: tuple[str, ...] | None = None,
    compilers: tuple[str, ...] = (),
    pins: tuple[str, ...] = (),
    **more: Any,
) -> Compiled:
    return compile_wheel(source(**more), workshop, OPTIONS, store, silent, known=known, compilers=compilers, pins=pins)  # type: ignore[arg-type]


def test_adds_what_is_missing_and_remembers_it(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = FakeWorkshop({"lber.h": "libldap-dev", "sasl2": "libsasl2-dev"})
    outputs = ["a.c:1:1: fatal error: lber.h: No such file or directory", "ld: cannot find -lsasl2", ""]
    ends(monkeypatch, lambda _run: outputs[len(runs) - 1])
    store = Store(tmp_path)
    first = compiled(workshop, store)
    assert first.packages == ("libldap-dev", "libsasl2-dev")
    assert workshop.asked == [(), ("libldap-dev",), ("libldap-dev", "libsasl2-dev")]
    assert compiled(workshop, store) == first
    assert compiled(workshop, store, known=("libldap-dev", "libsasl2-dev"), pins=first.pins).wheel == first.wheel
    assert len(runs) == 3, "the store has the wheel, and the packages for those who do not know them"


def test_what_a_compiler_said_counts_where_a_build_names_nothing(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = FakeWorkshop({"sys/endian.h": "libbsd-dev"})
    ends(monkeypatch, lambda _run: "" if len(runs) > 1 else f"CompileError: gcc failed{HIDDEN}{PROBE}")
    assert compiled(workshop, Store(tmp_path)).packages == ("libbsd-dev",)


def test_a_compiler_that_was_meant_to_fail_is_no_reason(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The build's own words come first: those of a probe are the last that is said of a compiler in many builds."""
    workshop = FakeWorkshop({"sys/endian.h": "libbsd-dev"})
    ends(monkeypatch, lambda run: "" if run.requires else f"ModuleNotFoundError: No module named 'yaml'{HIDDEN}{PROBE}")
    assert compiled(workshop, Store(tmp_path)).packages == ()
    assert [run.requires for run in runs] == [(), ("pyyaml",)]
    ends(monkeypatch, lambda _run: f"AttributeError: no ImpImporter{HIDDEN}{PROBE}")
    with pytest.raises(BuildError, match="build_wheel\n  AttributeError: no ImpImporter\n") as raised:
        compiled(FakeWorkshop({}), Store(tmp_path / "other"))
    assert "which may have been meant to:" in str(raised.value) and PROBE in str(raised.value)
    assert raised.value.hint.startswith("The output above has the reason. If it is what the last compiler said: ")


def test_a_wheel_does_not_require_a_directory_of_its_build(tmp_path: Path, runs: list[Any]) -> None:
    store = Store(tmp_path)
    made = compiled(FakeWorkshop({}), store).wheel
    with zipfile.ZipFile(io.BytesIO(store.read(made.digest))) as archive:
        assert archive.read("made-1.0.dist-info/METADATA").endswith(b"\nRequires-Dist: shared\n")


def test_symbols_are_removed_where_the_backend_was_not(tmp_path: Path) -> None:
    wheel, ran = tmp_path / NAME, []
    wheel.write_bytes(wheel_bytes())
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "strip").symlink_to("/")

    def run(command: Sequence[str], more: dict[str, tuple[Path, bool]]) -> Finished:
        ran.append((*command, *more))
        return Finished(0, "", "")

    surroundings = Surroundings(Platform("linux", "amd64"), ARM64, PYTHON, {"STRIP": "changed"})
    strip_product(wheel, SimpleNamespace(place=tmp_path, surroundings=surroundings, run=run))  # type: ignore[arg-type]
    assert ran == [("/usr/bin/aarch64-linux-gnu-strip", "--strip-debug", "/build/strip/0", "/build/strip")]


def test_a_wheel_is_not_taken_for_one_of_another_compiler(tmp_path: Path, runs: list[Any]) -> None:
    store, workshop, old = Store(tmp_path), FakeWorkshop({}), ("gcc-14 14.2.0-19",)
    first = compiled(workshop, store)
    assert (first.compilers, first.debs) == (old, (LockedDeb("gcc-14", "14.2.0-19", "amd64", HASH),))
    workshop.now = ("gcc-14 14.2.0-20",)
    second = compiled(workshop, store)
    assert (second.compilers, second.wheel.key != first.wheel.key, len(runs)) == (workshop.now, True, 2)
    assert compiled(workshop, store, compilers=("gcc-14 14.2.0-18",)) == second, "what the archive no longer has is not compiled each time"
    workshop.now = ()
    assert compiled(workshop, store, compilers=old) == replace(first, debs=()), "the lock's is there: the archive is not asked"
    assert len(runs) == 2


def test_a_wheel_is_not_taken_for_one_of_another_library(tmp_path: Path, runs: list[Any]) -> None:
    store, workshop, names = Store(tmp_path), FakeWorkshop({}), ("libfar-dev",)
    first = compiled(workshop, store, known=names)
    assert first.compilers == ("gcc-14 14.2.0-19", "libfar-dev 1.0")
    others = ("libother-dev 2.0", *first.compilers)
    older = ("gcc-14 14.2.0-19", "libfar-dev 0.9")
    assert compiled(workshop, store, known=names, compilers=older) == first, "what the archive no longer has is not compiled each time"
    workshop.now = ()
    assert compiled(workshop, store, known=names, compilers=others) == replace(first, debs=()), (
        "packages of other builds in the lock do not matter"
    )
    assert len(runs) == 1


def test_a_wheel_is_not_taken_for_one_of_other_build_requirements(tmp_path: Path, runs: list[Any]) -> None:
    store, workshop = Store(tmp_path), FakeWorkshop({})
    first = compiled(workshop, store)
    assert (first.pins, compiled(workshop, store), compiled(workshop, store, pins=(PIN,)), len(runs)) == ((PIN,), first, first, 1)
    newer = compiled(workshop, store, pins=(NEWER_PIN,))
    assert (newer.pins, newer.wheel.key != first.wheel.key, len(runs)) == ((NEWER_PIN,), True, 2)
    for _ in range(2):
        fresh = compiled(workshop, store, pins=(STALE,))
        assert (fresh.pins, fresh.wheel.key) == ((PIN,), first.wheel.key)
    assert len(runs) == 3, "pins of what the source no longer requires do not let it be compiled each time"


def test_a_lock_starts_with_its_packages(tmp_path: Path, runs: list[Any]) -> None:
    workshop = FakeWorkshop({})
    assert compiled(workshop, Store(tmp_path), known=("libldap-dev",)).packages == ("libldap-dev",)
    assert (workshop.asked, len(runs)) == ([("libldap-dev",)], 1)


def test_build_requirements_are_of_the_sources_time_and_then_newer(
    tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(monkeypatch, lambda run: "too old" if run.exclude_newer < "2025-07" else "")
    compiled(FakeWorkshop({}), Store(tmp_path), uploaded=date(2025, 6, 1))
    assert [run.exclude_newer for run in runs] == ["2025-06-02T00:00:00Z", "2026-01-02T00:00:00Z"]


def test_build_requirements_are_the_oldest_that_have_wheels(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def installs(run: Any) -> str:
        if run.exclude_newer < "2025-01-01":
            raise UvFailed(Finished(2, "", "numpy has no wheels for this Python"))
        return ""

    ends(monkeypatch, installs)
    compiled(FakeWorkshop({}), Store(tmp_path), uploaded=date(2015, 6, 1))
    assert [run.exclude_newer[:10] for run in runs] == ["2024-10-08", "2024-12-07", "2025-02-05"]


def test_build_requirements_that_nobody_has_are_named(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def installs(_run: Any) -> str:
        raise UvFailed(Finished(2, "", "numpy has no wheels for this Python"))

    ends(monkeypatch, installs)
    with pytest.raises(BuildError, match=r"(?s)what its build requires cannot be installed.*no wheels"):
        compiled(FakeWorkshop({}), Store(tmp_path), uploaded=date(2015, 6, 1))
    assert runs[-1].exclude_newer[:10] == "2026-01-02" and len(runs) == 5


def test_build_requirements_are_not_older_than_the_python(tmp_path: Path, runs: list[Any]) -> None:
    compiled(FakeWorkshop({}), Store(tmp_path), uploaded=date(2015, 6, 1))
    assert [run.exclude_newer for run in runs] == ["2024-10-08T00:00:00Z"]


def test_a_failure_shows_its_reason_and_keeps_the_output(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, lambda _run: "a.c:7: fatal error: own.h: No such file or directory\n" + "noise\n" * 200)
    with pytest.raises(BuildError, match=r"(?s)made 1\.0 cannot be compiled for linux/arm64.*own\.h") as raised:
        compiled(FakeWorkshop({}), Store(tmp_path))
    assert "own.h" in raised.value.hint and "packages" in raised.value.hint
    assert len(raised.value.message) < 1000
    log = Path(raised.value.message.rpartition("whole output: ")[2])
    assert log.read_text().count("noise") == 200


def test_rust_is_added_with_the_crates_of_the_source(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, lambda _run: "error: can't find Rust compiler\nNo such file or directory: 'cargo'" if len(runs) == 1 else "")
    fetched: list[Path] = []
    monkeypatch.setattr(CrateFetch, "run", lambda fetch: fetched.append(fetch.place))
    workshop = FakeWorkshop({"cargo": "cargo"})
    assert compiled(workshop, Store(tmp_path)).packages == workshop.rust()
    assert workshop.asked == [(), workshop.rust()]
    assert fetched == [runs[1].place], "nothing is fetched for a build without cargo"


def test_a_lock_of_another_suite_gets_the_rust_of_this_one(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrateFetch, "run", lambda _fetch: None)
    workshop = FakeWorkshop({})
    compiled(workshop, Store(tmp_path), known=("cargo-old", "libffi-dev"))
    assert workshop.asked == [("cargo-old", "cargo-web", "libffi-dev", "rustc-web")]


def test_the_cargo_of_a_base_image_gets_no_passwords(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Path] = []
    monkeypatch.setattr(CrateFetch, "run", lambda fetch: fetched.append(fetch.root))
    monkeypatch.setattr(ImageWorkshop, "root", lambda *_: SimpleNamespace(path=tmp_path, close=lambda: None))
    image: Any = SimpleNamespace(digest=f"sha256:{HASH}")
    store = Store(tmp_path)
    workshop = ImageWorkshop(image, "team/base:1", TARGET, "/usr/bin/python3.13", store, silent)
    options = replace(OPTIONS, build_packages=("cargo",))
    made = compile_wheel(source(), workshop, options, store, silent, known=("cargo-web", "libffi-dev"), compilers=("cargo-web 1.96.0-1",))
    assert (fetched, made.packages, made.compilers) == ([], (), ())


def test_crates_that_cannot_be_fetched_end_the_search(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_fetch: Any) -> None:
        raise CratesFailed("its crates cannot be fetched", "error: no matching package named `pyo3` found")

    monkeypatch.setattr(CrateFetch, "run", fails)
    with pytest.raises(BuildError, match=r"(?s)its crates cannot be fetched.*no matching package") as raised:
        compiled(FakeWorkshop({}), Store(tmp_path), known=("cargo-web",), uploaded=date(2025, 6, 1))
    assert (runs, "Cargo.lock" in raised.value.hint) == ([], True)


@pytest.mark.parametrize(
    "output",
    [
        "error: package `a v1.0` cannot be built because it requires rustc 1.90 or newer, while the active version is 1.85.1",
        "error: rustc 1.85.1 is not supported by the following packages:",
        "lock file version 4 requires `-Znext-lockfile-bump`",
        "feature `edition2024` is required",
    ],
)
def test_a_rust_that_is_too_old_is_named(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    ends(monkeypatch, lambda _run: output)
    monkeypatch.setattr(CrateFetch, "run", lambda _fetch: None)
    with pytest.raises(BuildError) as raised:
        compiled(FakeWorkshop({}), Store(tmp_path), known=("cargo-web",))
    assert "newest Rust of Debian trixie is too old" in raised.value.hint and "or a newer Python." in raised.value.hint


def test_what_runs_its_own_programs_needs_an_emulator(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, lambda _run: "OSError: [Errno 8] Exec format error: './probe'")
    with pytest.raises(BuildError) as raised:
        compiled(FakeWorkshop({}), Store(tmp_path))
    assert "qemu-user-binfmt" in raised.value.hint


def test_a_build_over_its_bounds_is_not_tried_again(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def over(_run: Any) -> str:
        raise OverBounds("its build was stopped after 180 minutes")

    ends(monkeypatch, over)
    with pytest.raises(BuildError, match=r"made 1\.0 cannot be compiled for linux/arm64: its build was stopped") as raised:
        compiled(FakeWorkshop({}), Store(tmp_path), uploaded=date(2025, 6, 1))
    assert len(runs) == 1 and "max-minutes" in raised.value.hint


def test_a_package_that_does_not_help_ends_the_search(tmp_path: Path, runs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ends(monkeypatch, lambda _run: "a.c:7: fatal error: x.h: No such file or directory")
    with pytest.raises(BuildError):
        compiled(FakeWorkshop({"x.h": "libx-dev"}), Store(tmp_path))
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("name", "architecture", "words"),
    [
        (NAME, "amd64", "made.so is for X86_64 instead of linux/arm64"),
        ("made-1.0-cp313-cp313-linux_x86_64.whl", "arm64", "which is not for linux/arm64"),
        ("made-1.0-cp312-cp312-linux_aarch64.whl", "arm64", "which is not for linux/arm64"),
    ],
)
def test_a_wheel_for_another_target_is_refused(tmp_path: Path, name: str, architecture: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(wheel_bytes(architecture))
    with pytest.raises(BuildError, match=words):
        check_product(path, TARGET, "made 1.0")


@pytest.mark.parametrize("tags", ["cp313-cp313-linux_aarch64", "cp39-abi3-linux_aarch64", "py3-none-any"])
def test_a_wheel_for_the_target_is_taken(tmp_path: Path, tags: str) -> None:
    path = tmp_path / f"made-1.0-{tags}.whl"
    path.write_bytes(wheel_bytes())
    check_product(path, TARGET, "made 1.0")


def test_a_build_is_told_its_target_and_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "secret")
    cross = Surroundings(Platform("linux", "amd64"), ARM64, PYTHON, {"MYSQLCLIENT_CFLAGS": "-I/usr/include/mariadb"})
    variables = cross.variables()
    assert variables["CC"] == "aarch64-linux-gnu-gcc"
    assert variables["_PYTHON_HOST_PLATFORM"] == "linux-aarch64"
    assert variables["MYSQLCLIENT_CFLAGS"] == "-I/usr/include/mariadb"
    assert "secret" not in variables.values()
    assert "aarch64" in cross.start_up()
    assert Surroundings(ARM64, ARM64, PYTHON, {}).start_up() == ""


def test_meson_and_autoconf_are_told_of_another_machine() -> None:
    cross = Surroundings(Platform("linux", "amd64"), ARM64, PYTHON, {})
    (name, text), (site, script), (_, variables) = cross.backend_files().items()
    assert cross.backend_settings("mesonpy")["setup-args"] == f"--cross-file=/build/{name}"
    assert "c = 'aarch64-linux-gnu-gcc'" in text and "cpu_family = 'aarch64'" in text
    assert cross.variables()["CONFIG_SITE"] == f"/build/{site}"
    assert "host_alias=aarch64-linux-gnu" in script
    assert '"_sysconfigdata__aarch64-linux-gnu"' in variables.replace("'", '"')
    assert cross.backend_settings("setuptools.build_meta") == {}
    native = Surroundings(ARM64, ARM64, PYTHON, {})
    assert (native.backend_files(), "setup-args" in native.backend_settings("mesonpy")) == ({}, False)


@pytest.mark.parametrize("host", ["amd64", "arm64"])
def test_meson_builds_in_a_directory_that_is_the_same_each_time(host: str) -> None:
    settings = Surroundings(Platform("linux", host), ARM64, PYTHON, {}).backend_settings("mesonpy:build")
    assert settings["builddir"] == ".mesonpy-build"
