"""The files of a lock as requirements for pip, each with the hash of the very file that shipwheel installs.

pip takes of an index's files only those whose hash is listed: https://pip.pypa.io/en/stable/topics/secure-installs
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shipwheel.errors import UsageError
from shipwheel.locking.selection import LockedDistribution, Selection
from shipwheel.made_files import head_for

__all__ = ["requirements_file", "unhashed_requirements"]


def requirements_file(selections: Sequence[Selection]) -> str:
    """Return the requirements of all platforms; empty if no file has a hash. A package that differs by platform has a line for each."""
    lines: dict[str, dict[str, list[str]]] = {}
    for selection in selections:
        machine = selection.target.platform.machine
        for item in selection.distributions:
            if item.sha256 is not None:
                lines.setdefault(item.name, {}).setdefault(_requirement(item), []).append(machine)
    hashes = _hashes(selections)
    texts = [
        f"{text}{_marker(of, selections)}{''.join(f' --hash=sha256:{each}' for each in hashes[name, text])}\n"
        for name, by_text in sorted(lines.items())
        for text, of in by_text.items()
    ]
    return head_for("dockerfile") + "".join(texts) if texts else ""


def _hashes(selections: Sequence[Selection]) -> Mapping[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for item in (item for selection in selections for item in selection.distributions if item.sha256 is not None):
        found.setdefault((item.name, _requirement(item)), set()).add(str(item.sha256))
    return {key: sorted(each) for key, each in found.items()}


def _requirement(item: LockedDistribution) -> str:
    # The index that pip reads by default has no local versions, such as torch's 2.4+cpu.
    if (item.is_direct or "+" in item.version) and item.urls and item.urls[0].startswith("http"):
        return f"{item.name} @ {item.urls[0]}"
    return f"{item.name}=={item.version}"


def _marker(machines: Sequence[str], selections: Sequence[Selection]) -> str:
    if len(machines) == len(selections):
        return ""
    conditions = (f'platform_machine == "{each}"' for each in machines)
    return f" ; {' or '.join(conditions)}"


def unhashed_requirements(selections: Sequence[Selection], root: Path) -> tuple[str, ...]:
    """Return the requirements that have no hash: repositories by commit, directories and files of the project as `./PATH`.

    Raise UsageError for what lies outside of the project: a build sees nothing else.
    """
    found = (text for selection in selections for item in selection.distributions for text in _unhashed(item, root))
    return tuple(dict.fromkeys(found))


def _unhashed(item: LockedDistribution, root: Path) -> Iterator[str]:
    if item.kind == "vcs" and item.urls:
        part = f"#subdirectory={item.subdirectory}" if item.subdirectory else ""
        yield f"{item.name} @ git+{item.urls[0].removeprefix('git+')}@{item.commit}{part}"
    elif item.path is not None and item.sha256 is None:
        path = item.path / item.subdirectory
        if not path.resolve().is_relative_to(root.resolve()):
            hint = f"Export the Dockerfile of a directory that has both, or build {item.name} into a wheel on a package index."
            raise UsageError(f"{item.name} is in {path}, outside of {root}: a Dockerfile cannot take it", hint=hint)
        yield f"./{path.resolve().relative_to(root.resolve()).as_posix()}"
