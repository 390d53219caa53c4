"""Writing a wheel again: without some of its files, or with other contents of them."""

import csv
import io
import re
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

__all__ = ["remove_local_urls", "rewrite_wheel"]


def remove_local_urls(wheel: Path, top: Path) -> None:
    """Remove from a wheel's requirements the URLs of directories below `top`, which is a private copy with a name of its own.

    Some backends write the sibling's path into the metadata: `Requires-Dist: shared @ file:///tmp/…`.
    """
    url = re.compile(rb" @ %b/\S*" % re.escape(top.as_uri().encode()))
    with zipfile.ZipFile(wheel) as archive:
        name = next((name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)), None)
        before = archive.read(name) if name is not None else b""
    after = url.sub(b"", before)
    if name is not None and after != before:
        rewrite_wheel(wheel, {name: after})


def rewrite_wheel(wheel: Path, changed: Mapping[str, bytes | None]) -> None:
    """Write a wheel again with other contents of some files, and its RECORD accordingly; None leaves a file out."""
    whole = wheel.with_suffix(".whole")
    wheel.rename(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            data = changed[info.filename] if info.filename in changed else old.read(info)
            if data is not None:
                is_record = info.filename.count("/") == 1 and info.filename.endswith(".dist-info/RECORD")
                new.writestr(info, _changed_record(data, changed) if is_record else data)
    whole.unlink()


def _changed_record(record: bytes, changed: Mapping[str, bytes | None]) -> bytes:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    for row in csv.reader(io.StringIO(record.decode())):
        if row and row[0] not in changed:
            out.writerow(row)
        elif row and (data := changed[row[0]]) is not None:
            out.writerow((row[0], f"sha256={urlsafe_b64encode(sha256(data).digest()).decode().rstrip('=')}", len(data)))
    return text.getvalue().encode()
