"""direct_url.json: where a package that is not from an index comes from, without anything of this machine."""

import base64
import csv
import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from packaging.direct_url import DirectUrl

from shipwheel.container.venv import VENV, Paths
from shipwheel.files.segment import key_of, make_segment, uncompressed_chunks
from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import select
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.wheels import SmallWheel
from shipwheel.wheels.direct_url import direct_url, local_direct_url
from shipwheel.wheels.wheel import WheelSource

SHA256 = hashlib.sha256(b"wheel").hexdigest()
COMMIT = "d1b78c9a4acb415c47bef57167d5e5ac6d6c79aa"
WHEEL = "small-1.0-py3-none-any.whl"
ORIGIN = "small-1.0.dist-info/direct_url.json"
TARGET = Target(Platform("linux", "amd64"), "3.11.2", (2, 36))


def locked(package: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the document of a package of a lock in /home/ann/secret-project."""
    data = {"lock-version": "1.0", "created-by": "x", "packages": [{"name": "small", "version": "1.0", **package}]}
    (found,) = select(Lock(Path("/home/ann/secret-project/pylock.toml"), data), TARGET).distributions
    document = direct_url(found)
    assert b"ann" not in (document or b"") and b"secret" not in (document or b"")
    return None if document is None else json.loads(document)


def archive(**place: str) -> dict[str, Any]:
    return {"archive": {**place, "hashes": {"sha256": SHA256}}}


def vcs(**place: str) -> dict[str, Any]:
    return {"vcs": {"type": "git", "commit-id": COMMIT, **place}}


INFO = {"hashes": {"sha256": SHA256}}
GIT = {"vcs": "git", "commit_id": COMMIT}


@pytest.mark.parametrize(
    ("package", "document"),
    [
        ({"directory": {"path": "../lib"}}, {"url": "file:///small", "dir_info": {}}),
        (
            {"directory": {"path": "/home/ann/lib", "subdirectory": "python"}},
            {"url": "file:///small", "subdirectory": "python", "dir_info": {}},
        ),
        (archive(url=f"https://files.example/{WHEEL}"), {"url": f"https://files.example/{WHEEL}", "archive_info": INFO}),
        (
            archive(url=f"https://ann:secret@files.example:8443/{WHEEL}?token=secret#egg=secret"),
            {"url": f"https://files.example:8443/{WHEEL}", "archive_info": INFO},
        ),
        (archive(path=f"../wheels/{WHEEL}"), {"url": f"file:///{WHEEL}", "archive_info": INFO}),
        (archive(url=f"file:///home/ann/{WHEEL}"), {"url": f"file:///{WHEEL}", "archive_info": INFO}),
        (
            archive(url="https://files.example/small-1.0.tar.gz", subdirectory="python"),
            {"url": "https://files.example/small-1.0.tar.gz", "subdirectory": "python", "archive_info": INFO},
        ),
        (vcs(url="https://git.example/small.git"), {"url": "https://git.example/small.git", "vcs_info": GIT}),
        (
            vcs(**{"url": "https://ann:secret@git.example/small.git", "requested-revision": "v1", "subdirectory": "lib"}),
            {"url": "https://git.example/small.git", "subdirectory": "lib", "vcs_info": {**GIT, "requested_revision": "v1"}},
        ),
        (vcs(url="ssh://git@git.example/small.git"), {"url": "ssh://git@git.example/small.git", "vcs_info": GIT}),
        (vcs(url="ssh://ann@git.example/small.git"), {"url": "ssh://git.example/small.git", "vcs_info": GIT}),
        (vcs(url="ssh://git:secret@git.example/small.git"), {"url": "ssh://git.example/small.git", "vcs_info": GIT}),
        (vcs(path="../small"), {"url": "file:///small", "vcs_info": GIT}),
        (vcs(url="file:///home/ann/small"), {"url": "file:///small", "vcs_info": GIT}),
        ({"wheels": [{"name": WHEEL, "url": f"https://index.example/{WHEEL}", "hashes": {"sha256": SHA256}}]}, None),
        ({"wheels": [{"name": WHEEL, "path": f"wheels/{WHEEL}", "hashes": {"sha256": SHA256}}]}, None),
        ({"sdist": {"name": "small-1.0.tar.gz", "url": "https://index.example/s.tar.gz", "hashes": {"sha256": SHA256}}}, None),
    ],
)
def test_a_package_that_is_not_from_an_index_has_its_origin(package: Mapping[str, Any], document: dict[str, Any] | None) -> None:
    found = locked(package)
    assert found == document
    if found is not None:
        DirectUrl.from_dict(found)


def installed(wheel: SmallWheel, folder: Path, origin: bytes | None) -> dict[str, bytes]:
    """Return the files of a wheel below its site-packages."""
    store = Store(folder / "store")
    source = WheelSource("small 1.0", wheel.filename, store.add(wheel.content()), store, Paths("3.11"), direct_url=origin)
    data = b"".join(uncompressed_chunks(make_segment(source, store), store)) + bytes(1024)
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {name.partition("site-packages/")[2]: stream.read() for name, stream in files.items() if stream is not None}


def test_it_is_among_the_metadata_and_in_the_record(tmp_path: Path) -> None:
    origin = local_direct_url("small")
    files = installed(SmallWheel(), tmp_path, origin)
    assert files[ORIGIN] == origin
    rows = {row[0]: row[1:] for row in csv.reader(files["small-1.0.dist-info/RECORD"].decode().splitlines())}
    hashed = base64.urlsafe_b64encode(hashlib.sha256(origin).digest()).rstrip(b"=").decode()
    assert rows[ORIGIN] == [f"sha256={hashed}", str(len(origin))]


def test_it_replaces_one_that_the_wheel_brings(tmp_path: Path) -> None:
    wheel = SmallWheel(files={"small.py": "", ORIGIN: '{"url": "file:///home/ann"}'})
    assert installed(wheel, tmp_path, local_direct_url("small"))[ORIGIN] == local_direct_url("small")


def test_a_package_from_an_index_is_as_it_was(tmp_path: Path) -> None:
    """Keys and bytes of everything else stay: a new key would make each image anew."""
    assert ORIGIN not in installed(SmallWheel(), tmp_path, None)
    store = Store(tmp_path)
    source = WheelSource("small 1.0", WHEEL, store.add(b"wheel"), store, Paths("3.11"))
    assert source.key == key_of("wheel", source.digest, "3.11", VENV, "", "True", WHEEL)
    keys = {replace(source, direct_url=origin).key for origin in (None, b"{}", local_direct_url("small"))}
    assert len(keys) == 3


def test_the_standard_library_reads_it(tmp_path: Path) -> None:
    for name, data in installed(SmallWheel(), tmp_path, local_direct_url("small")).items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_bytes(data)
    program = "from importlib.metadata import distribution; print(distribution('small').read_text('direct_url.json'))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "site", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"url": "file:///small", "dir_info": {}}
