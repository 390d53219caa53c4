"""Inspecting a base image: its Python, C library, user and certificates."""

import posixpath
import re
from collections.abc import Mapping

from shipwheel.base.base_directories import special_directories
from shipwheel.base.model import ImageFacts
from shipwheel.errors import ImageError
from shipwheel.files.elf import MACHINES
from shipwheel.oci.image import Image
from shipwheel.oci.read.file_tree import FileTree
from shipwheel.suites import SUITES
from shipwheel.versions import minor_version

__all__ = ["image_facts", "numeric_user"]

_MAX_ID = (1 << 32) - 2
"""The highest number of a user or group; the next one stands for none."""

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CA_BUNDLES = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem", "etc/ssl/ca-bundle.pem")
_EXAMPLES_HINT = (
    "Bases with a Python are, for example, python:3.12-slim, python:3.12-alpine, distroless python3 images and the python images of UBI. "
    "Without `base`, shipwheel composes a base of Debian packages."
)


def image_facts(image: Image, tree: FileTree, name: str, python: str = "") -> ImageFacts:
    """Inspect a base image. `python` is the version that the user asks for, if any; `name` is the image's name in errors.

    Raise ImageError if its PATH has no interpreter for its platform, or if its C library is unknown.
    """
    config = image.execution
    env = config.environment
    path = _find_interpreter(tree, env.get("PATH") or _DEFAULT_PATH, python, name)
    program = {item.path: item for item in tree.segment.elf}.get(path)
    if program is None or program.machine != MACHINES[image.platform.architecture]:
        raise ImageError(
            f"{name}: /{path} is not a program for {image.platform}", hint="The image has a wrong platform label; use another one."
        )
    musl = "ld-musl" in program.interpreter
    return ImageFacts(
        python=_python_version(tree, path, env),
        interpreter=f"/{path}",
        libc=_libc_version(tree, musl, name),
        musl=musl,
        user=numeric_user(config.user, tree.texts),
        certificates=_ca_bundle(tree, env),
        codename=_debian_codename(tree),
        unpacked_size=tree.segment.unpacked_size,
        has_tmp="tmp" in tree.segment.links or tree.real("tmp") in tree.segment.directories,
        directories=special_directories(tree.segment.directories),
    )


def _find_interpreter(tree: FileTree, search_path: str, python: str, name: str) -> str:
    names = (f"python{minor_version(python)}",) if python else ("python3", "python")
    for directory in search_path.split(":"):
        for program in names:
            real = tree.real(f"{directory.strip('/')}/{program}")
            # The interpreter of a virtual environment is a copy of another one, and ours cannot be made from it.
            if real is None or f"{posixpath.dirname(posixpath.dirname(real))}/pyvenv.cfg" in tree.segment.files:
                continue
            if re.search(r"python3(\.\d+)?$", posixpath.basename(real)):
                return real
    available = sorted({posixpath.basename(file) for file in tree.segment.files if re.search(r"bin/python3\.\d+$", file)})
    if python and available:
        raise ImageError(
            f"the base {name} has no Python {python}, but {', '.join(available)}", hint="Select that version, or use another base."
        )
    raise ImageError(f"the base {name} has no Python on its PATH ({search_path})", hint=_EXAMPLES_HINT)


def _python_version(tree: FileTree, path: str, env: Mapping[str, str]) -> str:
    """Return the full version: the one in the interpreter or its library, else the one in PYTHON_VERSION, else micro version 0."""
    minor = re.search(r"python(3\.\d+)$", path)
    marks = [version for file, version in tree.marks.items() if file == path or (minor and f"libpython{minor[1]}" in file)]
    for version in (*marks, env.get("PYTHON_VERSION", "")):
        if re.fullmatch(r"3\.\d+\.\d+", version) and (minor is None or minor_version(version) == minor[1]):
            return version
    if minor is None:
        raise ImageError(f"cannot determine the version of /{path}", hint="Select it with --python.")
    return f"{minor[1]}.0"


def _libc_version(tree: FileTree, musl: bool, name: str) -> tuple[int, int]:
    pattern = r"(?:ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1|/libc\.so)$" if musl else r"libc(?:\.so\.6|-2\.\d+\.so)$"
    versions = sorted(version for file, version in tree.marks.items() if re.search(pattern, file))
    if not versions and not musl:
        defined = (item.defines for item in tree.segment.elf if item.path.endswith("/libc.so.6"))
        symbols = [version.removeprefix("GLIBC_") for names in defined for version in names if re.fullmatch(r"GLIBC_2\.\d+", version)]
        versions = sorted(symbols, key=lambda version: int(version.split(".")[1]))[-1:]
    if not versions:
        raise ImageError(f"cannot determine the version of the C library in the base {name}", hint="Use a base with glibc or musl.")
    major, minor = versions[0].split(".")[:2]
    return int(major), int(minor)


def numeric_user(user: str, texts: Mapping[str, str]) -> str:
    """Return a config's user as numeric "uid:gid", which Kubernetes' runAsNonRoot requires.

    `texts` has etc/passwd and etc/group. The result is empty for root and for a name that etc/passwd does not have.
    """
    name, _, group = user.partition(":")
    users = [line.split(":") for line in texts.get("etc/passwd", "").splitlines()]
    entry = next((fields for fields in users if len(fields) > 3 and name in (fields[0], fields[2])), None)
    uid = name if name.isdecimal() else entry[2] if entry else ""
    groups = [line.split(":") for line in texts.get("etc/group", "").splitlines()]
    group_id = next((fields[2] for fields in groups if len(fields) > 2 and fields[0] == group), "")
    gid = group if group.isdecimal() else group_id or (entry[3] if entry else uid)
    if not all(part.isdecimal() and len(part) <= 10 and int(part) <= _MAX_ID for part in (uid, gid)) or int(uid) == 0:
        return ""
    return f"{int(uid)}:{int(gid)}"


def _ca_bundle(tree: FileTree, env: Mapping[str, str]) -> str:
    configured = env.get("SSL_CERT_FILE", "").lstrip("/")
    return next((f"/{path}" for path in (configured, *_CA_BUNDLES) if path and tree.real(path) is not None), "")


def _debian_codename(tree: FileTree) -> str:
    """Return the codename if the image is of a known Debian suite, whose packages can be added to it."""
    text = tree.texts.get("etc/os-release") or tree.texts.get("usr/lib/os-release", "")
    fields = dict(re.findall(r"^([A-Z_]+)=\"?([^\"\n]*)\"?$", text, re.MULTILINE))
    codename = str(fields.get("VERSION_CODENAME", ""))
    return codename if fields.get("ID") == "debian" and any(suite.codename == codename for suite in SUITES) else ""
