"""The base images that other tests use: they run, and have the properties of the public images that they imitate."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.bases.musl import MUSL_TOOLS
from support.bases.parts import TOOLS
from support.bases.shapes import BASES
from support.engines import SEARCH_PATH, Podman

IMPORTS = "import asyncio, ctypes, hashlib, select, socket, ssl, zlib, sys, sysconfig; "
OTHERS = "import bz2, lzma, readline, sqlite3, uuid; "
"""Modules that the Python for musl does not have."""

FACTS = "print(sys.version.split()[0], sys.prefix, sysconfig.get_path('platlib'), len(ssl.create_default_context().get_ca_certs()) > 100)"
VENV = """
import os, subprocess, sys
real = os.path.realpath(sys.executable)
os.makedirs("/tmp/venv/bin")
with open("/tmp/venv/pyvenv.cfg", "w") as config:
    config.write("home = %s\\ninclude-system-site-packages = false\\n" % os.path.dirname(real))
os.makedirs("/tmp/venv/lib/python%d.%d/site-packages" % sys.version_info[:2])
os.symlink(real, "/tmp/venv/bin/python")
code = "import ssl, sys, sysconfig; print(sys.prefix, sys.path[-1] == sysconfig.get_path('purelib'))"
print(subprocess.check_output(["/tmp/venv/bin/python", "-c", code], text=True))
"""
"""Creates a virtual environment as shipwheel does: pyvenv.cfg and a link, without copies."""

EXPECTED = {
    "official": ("python", "3.13 /usr/local /usr/local/lib/python3.13/site-packages True"),
    "official_docker": ("python3", "3.13 /usr/local /usr/local/lib/python3.13/site-packages True"),
    "distroless": ("python", "3.11 /usr /usr/local/lib/python3.11/dist-packages True"),
    "ubuntu": ("python3", "3.13 /usr /usr/local/lib/python3.13/dist-packages True"),
    "ubi": ("python", "3.11 /opt/app-root /opt/app-root/lib64/python3.11/site-packages True"),
    "conda": ("python", "3.11 /opt/conda /opt/conda/lib/python3.11/site-packages True"),
    "alpine": ("python", "3.13 /usr/local /usr/local/lib/python3.13/site-packages True"),
}
"""Base -> the interpreter on PATH; its minor version, prefix, directory for wheels, and whether it has certificate authorities."""


@cache
def layout(name: str) -> Path:
    """Return the layout of a base. Fail with the names of missing programs."""
    lacking = [tool for tool in {*TOOLS, *MUSL_TOOLS} if shutil.which(tool, path=SEARCH_PATH) is None]
    if lacking:
        pytest.fail(f"the bases need programs that are not installed: {' '.join(lacking)}", pytrace=False)
    return BASES[name]()


@cache
def loaded(podman: Podman, name: str) -> str:
    """Load a base. The manifest for no platform must not be in the way."""
    return podman.load(layout(name))


def document(name: str, digest: str) -> dict[str, Any]:
    """Read a document of a base and check its digest."""
    data = (layout(name) / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    found: dict[str, Any] = json.loads(data)
    return found


def index(name: str) -> dict[str, Any]:
    """Read the image index of a base."""
    (entry,) = json.loads((layout(name) / "index.json").read_text())["manifests"]
    return document(name, entry["digest"])


@cache
def paths(name: str) -> Mapping[str, tarfile.TarInfo]:
    """Return the members of the layers for amd64 by their paths, after checking the diff_ids."""
    manifest = document(name, index(name)["manifests"][0]["digest"])
    found: dict[str, tarfile.TarInfo] = {}
    digests = []
    for layer in manifest["layers"]:
        data = (layout(name) / "blobs" / "sha256" / layer["digest"].partition(":")[2]).read_bytes()
        plain = gzip.decompress(data)
        digests.append(f"sha256:{hashlib.sha256(plain).hexdigest()}")
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            found.update((member.name, member) for member in tar)
    assert digests == document(name, manifest["config"]["digest"])["rootfs"]["diff_ids"]
    return found


def config(name: str) -> dict[str, Any]:
    """Return the container configuration of the image for amd64."""
    manifest = document(name, index(name)["manifests"][0]["digest"])
    found: dict[str, Any] = document(name, manifest["config"]["digest"])["config"]
    return found


def test_every_base_has_expectations() -> None:
    assert {*EXPECTED, "pythonless"} == set(BASES)


@pytest.mark.parametrize("name", EXPECTED)
def test_python_runs_in_every_base(name: str, podman: Podman) -> None:
    program, expected = EXPECTED[name]
    image = loaded(podman, name)
    done = podman.run_once(image, entrypoint=[program], command=["-c", IMPORTS + (OTHERS if name != "alpine" else "") + FACTS])
    assert done.returncode == 0, done.stderr
    version, _, rest = done.stdout.strip().partition(" ")
    assert f"{version.rpartition('.')[0]} {rest}" == expected
    done = podman.run_once(image, entrypoint=[program], command=["-c", VENV])
    assert (done.returncode, done.stdout.split()) == (0, ["/tmp/venv", "True"]), done.stderr


def test_the_base_without_python_has_none(podman: Podman) -> None:
    done = podman.run_once(loaded(podman, "pythonless"), command=["sh", "-c", "cat /etc/os-release; ls /usr/bin/*python*"])
    assert "trixie" in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize(("name", "family"), [("official", "oci"), ("official_docker", "docker")])
def test_the_official_bases(name: str, family: str) -> None:
    real, attestation = index(name)["manifests"]
    assert family in index(name)["mediaType"]
    assert family in real["mediaType"]
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"]["vnd.docker.reference.digest"] == real["digest"]
    assert "attestation-manifest" in attestation["annotations"].values()
    assert (config(name)["Cmd"], config(name).get("Entrypoint"), config(name).get("User")) == (["python3"], None, None)
    assert config(name)["Env"][0].startswith("PATH=/usr/local/bin:")
    found = paths(name)
    assert [found[f"usr/local/bin/{link}"].linkname for link in ("python", "python3")] == ["python3", "python3.13"]
    assert found["usr/local/bin/python3.13"].size < 100_000
    assert {"usr/local/lib/libpython3.13.so.1.0", "etc/ld.so.cache", "var/lib/dpkg/status", "usr/bin/apt"} <= set(found)
    assert "usr/bin/python3" not in found
    assert found["lib"].linkname == "usr/lib"


def test_the_distroless_base() -> None:
    found = paths("distroless")
    assert [one["platform"]["architecture"] for one in index("distroless")["manifests"]] == ["amd64", "arm64"]
    assert not {"bin/sh", "usr/bin/sh", "bin/bash", "usr/bin/dpkg", "var/lib/dpkg/status", "etc/ld.so.cache"} & set(found)
    assert "var/lib/dpkg/status.d/libpython3.11-minimal" in found
    # Debian 12's packages as they are: /lib is a directory.
    assert found["lib"].isdir()
    assert "lib/x86_64-linux-gnu/libc.so.6" in found
    assert (config("distroless")["Entrypoint"], config("distroless")["User"]) == (["/usr/bin/python3.11"], "0")
    assert "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" in config("distroless")["Env"]


def test_the_ubuntu_base(podman: Podman) -> None:
    done = podman.run_once(
        loaded(podman, "ubuntu"), command=["sh", "-c", ". /etc/os-release; echo $ID $VERSION_ID $PRETTY_NAME; id ubuntu"]
    )
    assert done.stdout.splitlines() == ["ubuntu 24.04 Ubuntu 24.04.3 LTS", "uid=1000(ubuntu) gid=1000(ubuntu) groups=1000(ubuntu)"]
    assert {"usr/lib/python3.13/EXTERNALLY-MANAGED", "usr/lib/python3/dist-packages"} <= set(paths("ubuntu"))
    assert "usr/bin/python" not in paths("ubuntu")


def test_the_ubi_base(podman: Podman) -> None:
    found = paths("ubi")
    assert {"usr/lib64/python3.11/os.py", "usr/lib64/libc.so.6", "usr/lib/python3.11/site-packages/pip", "var/lib/rpm/rpmdb.sqlite"} <= set(
        found
    )
    assert "var/lib/dpkg" not in found
    assert (found["lib64"].linkname, found["opt/app-root/bin/python"].linkname) == ("usr/lib64", "python3.11")
    assert (config("ubi")["User"], config("ubi")["Entrypoint"]) == ("1001", ["container-entrypoint"])
    # Through its own entrypoint.
    done = podman.run_once(loaded(podman, "ubi"), command=["python", "-c", "import os; print(os.getuid())"])
    assert (done.returncode, done.stdout) == (0, "1001\n"), done.stderr


def test_the_conda_base(podman: Podman) -> None:
    assert any(path.startswith("opt/conda/conda-meta/python-3.11") for path in paths("conda"))
    assert config("conda")["Env"][-1].startswith("PATH=/opt/conda/bin:")
    code = (
        "import ssl, ctypes; print(*sorted({line.split()[-1] for line in open('/proc/self/maps') if 'libssl' in line or 'libffi' in line}))"
    )
    done = podman.run_once(loaded(podman, "conda"), command=["python", "-c", code])
    assert done.returncode == 0, done.stderr
    assert all(path.startswith("/opt/conda/lib/") for path in done.stdout.split()), done.stdout


def test_the_alpine_base(podman: Podman) -> None:
    found = paths("alpine")
    assert found["lib/libc.musl-x86_64.so.1"].linkname == "ld-musl-x86_64.so.1"
    assert (found["lib"].isdir(), found["bin/sh"].linkname) == (True, "/bin/busybox")
    assert {"etc/alpine-release", "lib/apk/db/installed", "usr/local/lib/libpython3.13.so.1.0"} <= set(found)
    code = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX')); print(*open('/proc/self/maps').read().split())"
    image = loaded(podman, "alpine")
    done = podman.run_once(image, command=["python", "-c", code])
    suffix, mapped = done.stdout.splitlines()
    assert suffix == ".cpython-313-x86_64-linux-musl.so"
    # Nothing of glibc's is loaded.
    assert "/lib/ld-musl-x86_64.so.1" in mapped.split()
    assert "libc.so.6" not in mapped
    assert "Version 1.2." in podman.run_once(image, command=["/lib/ld-musl-x86_64.so.1"]).stderr
    assert podman.run_once(image, command=["sh", "-c", "cat /etc/alpine-release"]).stdout.startswith("3.")
