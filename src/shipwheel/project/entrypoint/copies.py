"""Files of the project that a Dockerfile copies to places outside its directory: /etc/shop/shop.toml."""

from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from shipwheel.project.deployment.copied_files import Placed
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.path_eval import is_plain_path
from shipwheel.project.entrypoint.project_paths import OWN_DIRECTORIES, SYSTEM_FILES, is_within
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["SHARED_DIRECTORIES", "is_code", "is_only_for_building", "with_copies"]

_OF_BASE = tuple("/etc/passwd /etc/group /etc/hosts /etc/resolv.conf /etc/apt /etc/nginx /etc/supervisor /etc/cron.d".split())  # noqa: SIM905
"""Places of what is another's, or of programs that no image has: a web server in front, a supervisor."""
SHARED_DIRECTORIES = frozenset("/ /etc /usr /usr/local /usr/share /usr/src /opt /srv /home /root /var /var/lib /var/www /mnt".split())  # noqa: SIM905
"""Directories that hold the files of many: what is copied over all of one is not the app's own."""
_ONLY_FOR_BUILDING = frozenset({"requirements.txt", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "package.json"})
_SUFFIXES_FOR_BUILDING = (".sh", ".lock")
_MAX_COPIES = 50
_MAX_FILES = 2000


def with_copies(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with the project's files that a Dockerfile copies elsewhere, and what node stages made of them.

    The project's code is in the image already.
    """
    dockerfile = scan.deployment.dockerfile
    if dockerfile is None:
        return launch
    files = dockerfile.files
    own = [path for path in (files.home, evidence.workdir, *launch.volumes, *OWN_DIRECTORIES) if path not in ("", "/")]
    copies: dict[str, str] = {}
    for item in files.placed:
        source = files.project_path(item.target) if _can_hold(item, own) else None
        if source not in (None, ".", "") and not is_only_for_building(item) and not is_code(evidence.root / str(source)):
            copies.pop(item.target, None)
            copies[item.target] = str(source)
    for built in scan.deployment.built if launch.needs_source and evidence.workdir != "/" else ():
        if built.is_made and not built.is_there:
            copies[f"{evidence.workdir}/{built.path}"] = built.made
    include = tuple(f"/{built.path}" for built in scan.deployment.built if built.is_there)
    return replace(launch, copies=tuple(copies.items())[:_MAX_COPIES], include=(*launch.include, *include))


def _can_hold(item: Placed, own: list[str]) -> bool:
    target = item.target
    is_other = is_within(target, (*own, *SYSTEM_FILES, *_OF_BASE)) or any(is_within(path, [target]) for path in own)
    return is_plain_path(target) and not is_other and target not in SHARED_DIRECTORIES and "/.wh." not in target


def is_only_for_building(item: Placed) -> bool:
    """Return whether a file is used while an image is built, or by its shell."""
    name = item.source.rpartition("/")[2]
    return name in _ONLY_FOR_BUILDING or (not item.is_directory and name.endswith(_SUFFIXES_FOR_BUILDING))


def is_code(path: Path) -> bool:
    """Return whether a file is Python code, or a directory has some."""
    return path.suffix == ".py" or any(it.suffix == ".py" for it in islice(path.rglob("*"), _MAX_FILES))
