"""The contract with uv: every form of its output that is parsed, printed by the real uv and parsed into values.

Whoever raises the bound of uv's version in pyproject.toml runs these tests with the new version first.
"""

import io
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from shipwheel.locking import uv
from shipwheel.locking.diagnose.uv_errors import resolution_error
from shipwheel.locking.synthetic import Synthetic
from shipwheel.locking.uv_output import ROOT, Failure, FailureKind, Premise, UnusablePackage, lacks_upload_times
from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
NEXT = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
UPLOADED = "2024-01-01T00:00:00Z"


HALFWAY = """
import pathlib
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    made = pathlib.Path(folder, "halfway-1.0.dist-info")
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: halfway\\nVersion: 1.0\\n")
    return made.name
def build_wheel(*_):
    raise SystemExit("a compiler is missing")
"""


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        add(served, "leaf", "1.0")
        add(served, "leaf", "2.0")
        add(served, "small", "1.0", "leaf>=1,<2")
        add(served, "small", "2.0", "leaf>=2")
        add(served, "middle", "1.0", "small[extra]<2")
        add(served, "old", "1.0", tag="cp38-cp38-manylinux_2_17_x86_64")
        add(served, "ancient", "1.0", tag="cp27-cp27m-manylinux_2_17_x86_64")
        add(served, "wants_old", "1.0", "old")
        add(served, "windows", "1.0", tag="py3-none-win_amd64")
        add(served, "before_pep_440", "1.0", "leaf (>=2011k)")
        add(served, "future", "1.0", requires_python=f">={NEXT}")
        served.add("broken-1.0.tar.gz", sdist("broken", "raise SystemExit('timed out; 401 Unauthorized; No interpreter found')\n"))
        served.add("needs_broken-1.0.tar.gz", sdist("needs_broken", "", "halfway==1.0"))
        served.add("halfway-1.0.tar.gz", sdist("halfway", HALFWAY))
        yield served


@pytest.fixture(autouse=True)
def own_uv(index: PackageIndex, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.simple)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "uv-cache"))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CONFIG", "1")


def add(index: PackageIndex, name: str, version: str, *requires: str, tag: str = "py3-none-any", requires_python: str = "") -> None:
    wheel = SmallWheel(name, version, files={f"{name}.py": ""}, requires=requires, requires_python=requires_python, tag=tag)
    index.add(wheel.filename, wheel.content(), uploaded=UPLOADED)


def sdist(name: str, backend: str, *requires: str) -> bytes:
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": f'[build-system]\nrequires = {[*requires]}\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{name}-1.0/{path}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def failure(folder: Path, *requirements: str, everywhere: bool = False, limit: str | None = None) -> Failure:
    """Return how uv fails to lock these requirements."""
    Synthetic(MINOR, "requirements.txt", tuple(requirements)).write(folder, everywhere=everywhere)
    with pytest.raises(uv.UvFailed) as raised:
        uv.lock_project(folder, MINOR, exclude_newer=limit)
    return raised.value.failure


def test_runs_the_newest_version_that_is_allowed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (bound,) = (requirement.specifier for text in project["dependencies"] if (requirement := Requirement(text)).name == "uv")
    major, minor = (int(part) for part in uv.version().split(".")[:2])
    assert bound.contains(uv.version()) and not bound.contains(f"{major}.{minor + 1}.0"), "raise the bound together with these tests"


def test_names_the_requirements_that_conflict(tmp_path: Path) -> None:
    found = failure(tmp_path, "small==1.0", "leaf>=2")
    assert (found.kind, found.no_solution) == (FailureKind.NO_SOLUTION, True)
    assert set(found.premises) == {
        Premise("small", "<=1.0", "leaf", "", ">=1,<2"),
        Premise(ROOT, "", "leaf", "", ">=2"),
        Premise(ROOT, "", "small", "", "==1.0"),
    }
    assert found.summary.startswith("No solution found when resolving dependencies")
    assert " ".join(found.text.split()).startswith(found.summary)


def test_names_a_conflict_through_other_packages(tmp_path: Path) -> None:
    premises = failure(tmp_path, "middle", "leaf>=2").premises
    assert Premise("middle", "", "small", "[extra]", "<2") in premises
    assert {premise.name for premise in premises if premise.dependent == ROOT} == {"middle", "leaf"}


def test_names_a_package_that_no_index_has(tmp_path: Path) -> None:
    found = failure(tmp_path, "Nothing_of.that-name")
    assert (found.kind, *found.not_found) == (FailureKind.NOT_FOUND, "nothing-of-that-name")


def test_names_a_package_without_the_requested_version(tmp_path: Path) -> None:
    found = failure(tmp_path, "leaf==9")
    assert (found.kind, *found.no_version) == (FailureKind.NOT_FOUND, "leaf")
    found = failure(tmp_path, "leaf", limit="2023-01-01T00:00:00Z")
    assert (found.kind, *found.no_version) == (FailureKind.NOT_FOUND, "leaf")


def test_names_a_package_whose_metadata_cannot_be_read(tmp_path: Path) -> None:
    assert failure(tmp_path, "before-pep-440==1.0").invalid == ("before-pep-440 1.0",)
    assert failure(tmp_path, "leaf==3.0").invalid == ()


def test_names_a_package_without_wheels_for_the_python(tmp_path: Path) -> None:
    found = failure(tmp_path, "wants-old", everywhere=True)
    assert (found.kind, found.unusable) == (FailureKind.NO_WHEELS_FOR_PYTHON, (UnusablePackage("old", "==1.0", ("wants-old",)),))
    found = failure(tmp_path, "ancient")
    assert (found.kind, found.unusable) == (FailureKind.NO_WHEELS_FOR_PYTHON, (UnusablePackage("ancient", "==1.0", ()),))


def test_names_a_package_without_wheels_for_linux(tmp_path: Path) -> None:
    found = failure(tmp_path, "windows")
    assert (found.kind, found.unusable) == (FailureKind.NO_WHEELS_FOR_LINUX, (UnusablePackage("windows", "==1.0", ()),))


def test_tells_that_a_package_requires_another_python(tmp_path: Path) -> None:
    assert failure(tmp_path, "future").kind is FailureKind.PYTHON_VERSION


def test_tells_that_there_is_no_interpreter(tmp_path: Path) -> None:
    Synthetic(MINOR, "requirements.txt", ("leaf",)).write(tmp_path, everywhere=False)
    finished = uv.run(["lock", "--python", "3.99"], cwd=tmp_path)
    assert uv.UvFailed(finished).failure.kind is FailureKind.NO_INTERPRETER


def test_tells_that_a_build_failed_whatever_the_backend_prints(tmp_path: Path) -> None:
    found = failure(tmp_path, "broken")
    assert (found.kind, found.unreachable, found.no_solution) == (FailureKind.BUILD, False, False)
    assert found.summary == "Failed to build `broken==1.0`"
    assert found.built == "broken"
    assert "401 Unauthorized" in found.text


def test_tells_that_a_build_requirement_cannot_be_built(tmp_path: Path) -> None:
    found = failure(tmp_path, "needs-broken")
    assert (found.kind, found.unreachable, found.built) == (FailureKind.BUILD, False, "needs-broken")
    assert found.summary == "Failed to download and build `needs-broken==1.0`"


def test_tells_that_a_repository_cannot_be_read(tmp_path: Path) -> None:
    found = failure(tmp_path, f"leaf @ git+{(tmp_path / 'nothing.git').as_uri()}")
    assert (found.kind, found.unreachable, found.host) == (FailureKind.GIT, False, "")


@pytest.mark.parametrize("url", ["git+http://127.0.0.1:1/leaf.git", "http://127.0.0.1:1/leaf-1.0.zip"], ids=["repository", "file"])
def test_tells_that_the_host_of_a_requirement_cannot_be_reached(tmp_path: Path, url: str) -> None:
    found = failure(tmp_path, f"leaf @ {url}")
    assert (found.host, found.direct) == ("127.0.0.1", "leaf")
    error = resolution_error(found, "requirements.txt", {})
    assert 'If the index has the same leaf, replace = {leaf = "leaf"} takes it from there.' in error.hint


@pytest.mark.parametrize(
    ("path", "fault", "kind", "unreachable"),
    [
        ("/simple/*", Fault(status=401), FailureKind.CREDENTIALS, False),
        ("/simple/*", Fault(status=403), FailureKind.CREDENTIALS, False),
        ("/simple/*", Fault(status=404), FailureKind.NOT_FOUND, False),
        ("/simple/*", Fault(status=429), FailureKind.UNREACHABLE, True),
        ("/simple/*", Fault(status=500), FailureKind.UNREACHABLE, True),
        ("/simple/*", Fault(cut=10), FailureKind.UNREACHABLE, True),
        ("/simple/*", Fault(data=b"<html>log in</html>"), FailureKind.NOT_AN_INDEX, False),
        ("/simple/*", Fault(data=b"hello", headers={"Content-Type": "text/plain"}), FailureKind.NOT_AN_INDEX, False),
        ("/files/*", Fault(status=404), FailureKind.UNREACHABLE, True),
        ("/files/*", Fault(status=500), FailureKind.UNREACHABLE, True),
        ("/files/*", Fault(cut=10), FailureKind.UNREACHABLE, True),
    ],
)
def test_tells_what_is_wrong_with_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, fault: Fault, kind: FailureKind, unreachable: bool
) -> None:
    with PackageIndex() as faulty:
        add(faulty, "leaf", "1.0")
        faulty.fault(path, fault)
        monkeypatch.setenv("UV_DEFAULT_INDEX", faulty.simple)
        found = failure(tmp_path, "leaf")
        assert (found.kind, found.unreachable) == (kind, unreachable)
        assert not unreachable or found.url.startswith(faulty.url)


@pytest.mark.parametrize("url", ["http://user:secret@127.0.0.1:9/simple/", "http://nowhere.invalid/simple/"])
def test_names_the_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", url)
    found = failure(tmp_path, "leaf")
    assert (found.kind, found.unreachable) == (FailureKind.UNREACHABLE, True)
    assert found.url == f"{url.replace('user:secret@', '')}leaf/"


def test_tells_that_an_index_has_no_upload_times(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/whl/cpu/")
    found = failure(tmp_path, "leaf", limit="2024-06-01T00:00:00Z")
    assert found.kind is FailureKind.NO_UPLOAD_TIMES
    assert lacks_upload_times(found.printed)


def test_tells_that_the_time_is_up(tmp_path: Path) -> None:
    Synthetic(MINOR, "requirements.txt", ("leaf",)).write(tmp_path, everywhere=False)
    with pytest.raises(uv.UvFailed) as raised:
        uv.lock_project(tmp_path, MINOR, exclude_newer=None, timeout=0.0001)
    assert raised.value.failure.kind is FailureKind.TIMED_OUT


def test_keeps_what_a_build_backend_prints_apart_from_uvs_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    (tmp_path / "backend.py").write_text("raise SystemExit('error: no compiler')\n")
    finished = uv.run(["build", "--wheel", "--python", sys.executable, str(tmp_path)], cwd=tmp_path)
    found = uv.UvFailed(finished).failure
    assert found.kind is FailureKind.BUILD
    assert "error: no compiler" in found.printed and "no compiler" not in found.text


def test_tells_an_outdated_lock(tmp_path: Path) -> None:
    Synthetic(MINOR, "requirements.txt", ("leaf",)).write(tmp_path, everywhere=True)
    assert not uv.lock_is_outdated(tmp_path, MINOR), "there is no lock yet"
    uv.lock_project(tmp_path, MINOR, exclude_newer=None)
    assert not uv.lock_is_outdated(tmp_path, MINOR)
    Synthetic(MINOR, "requirements.txt", ("small",)).write(tmp_path, everywhere=True)
    assert uv.lock_is_outdated(tmp_path, MINOR)


def test_tells_the_default_index_and_the_torch_backend() -> None:
    assert uv.default_index().startswith("https://") and not uv.default_index().endswith("/")
    assert uv.detected_backend() == "cpu" or Path("/proc/driver/nvidia").exists()


def test_tells_the_hash_of_a_standalone_python(tmp_path: Path) -> None:
    download = next(item for item in uv.python_downloads(tmp_path) if item.arch == "x86_64")
    release, filename = download.url.replace("%2B", "+").split("/")[-2:]
    assert uv.python_sha256(download.key, release, filename) is not None
