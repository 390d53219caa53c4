"""Wheels that are written again."""

import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

from shipwheel.wheels.rewrite import remove_local_urls, rewrite_wheel

METADATA = "Metadata-Version: 2.1\nName: api\nRequires-Dist: shared @ file:///tmp/copy-1/libs/shared ; os_name == 'posix'\n"


def _wheel(root: Path, metadata: str = METADATA) -> Path:
    path = root / "api-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("api.py", "x = 1\n")
        archive.writestr("api-1.dist-info/METADATA", metadata)
        archive.writestr("api-1.dist-info/RECORD", "api.py,sha256=a,6\napi-1.dist-info/METADATA,sha256=b,7\napi-1.dist-info/RECORD,,\n")
    return path


def _read(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_path_of_a_private_copy_is_not_in_the_metadata(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path)
    remove_local_urls(wheel, Path("/tmp/copy-1"))
    files = _read(wheel)
    assert "Requires-Dist: shared ; os_name == 'posix'\n" in files["api-1.dist-info/METADATA"]
    digest = urlsafe_b64encode(sha256(files["api-1.dist-info/METADATA"].encode()).digest()).decode().rstrip("=")
    size = len(files["api-1.dist-info/METADATA"])
    expected = f"api.py,sha256=a,6\napi-1.dist-info/METADATA,sha256={digest},{size}\napi-1.dist-info/RECORD,,\n"
    assert files["api-1.dist-info/RECORD"] == expected


def test_other_urls_stay_and_the_wheel_with_them(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path)
    before = wheel.read_bytes()
    remove_local_urls(wheel, Path("/tmp/copy"))
    assert wheel.read_bytes() == before


def test_a_file_can_be_left_out(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path)
    rewrite_wheel(wheel, {"api.py": None})
    files = _read(wheel)
    assert "api.py" not in files
    assert "api.py" not in files["api-1.dist-info/RECORD"]
