"""Secrets in a wheel that was built from the user's own source: build backends pack whatever lies in a package's directory."""

import zipfile
from pathlib import Path

from shipwheel.project.secret_files import MAX_READ_BYTES, SecretRules, token_error
from shipwheel.project.secret_tokens import FoundToken
from shipwheel.wheels.rewrite import rewrite_wheel

__all__ = ["remove_secrets"]


def remove_secrets(wheel: Path, rules: SecretRules) -> tuple[str, ...]:
    """Write a wheel again without its secrets, if it has any, and return what was left out.

    Raise ProjectError for tokens in other files.
    """
    left_out: dict[str, str] = {}
    tokens: list[FoundToken] = []
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            found = rules.inspect(info.filename, info.file_size, lambda info=info: _start(archive, info))  # type: ignore[misc]
            tokens += found.tokens
            if found.left_out:
                left_out[info.filename] = found.left_out
    if tokens:
        raise token_error(tokens)
    if left_out:
        rewrite_wheel(wheel, dict.fromkeys(left_out))
    return tuple(left_out.values())


def _start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as stream:
        return stream.read(MAX_READ_BYTES)
