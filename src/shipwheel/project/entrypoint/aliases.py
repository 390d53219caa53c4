"""Links at the places where a Dockerfile's image has the project, or code of it, for what names these places: code, configuration."""

import posixpath
import re
from collections.abc import Iterator

from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.find_dockerfile import Dockerfile
from shipwheel.project.entrypoint.copies import SHARED_DIRECTORIES, is_code, is_only_for_building
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.path_eval import is_plain_path
from shipwheel.project.entrypoint.project_paths import OWN_DIRECTORIES, SYSTEM_FILES, is_within
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["with_aliases"]

_CONFIG = lazy_pattern(r".+\.(ini|conf|cfg|toml|ya?ml|json|xml|env|properties)")
_MAX_ALIASES = 20


def with_aliases(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with a link for each place that its configuration files or the code name, to where the project's files are."""
    dockerfile = scan.deployment.dockerfile
    if dockerfile is None or not launch.needs_source or evidence.workdir in ("", "/"):
        return launch
    text = "\n".join(_naming(launch, evidence, scan))
    aliases: list[tuple[str, str]] = []
    for path, target in _places(dockerfile):
        above = [*launch.volumes, *(alias for alias, _ in aliases)]
        taken = is_within(path, above) or is_within(evidence.workdir, [path]) or _is_of_project(path, target, evidence)
        if not taken and _can_be_link(path) and re.search(rf"{re.escape(path)}(?![\w.-])", text):
            aliases.append((path, target))
    include = tuple(f"/{target}" for _, target in aliases if target)
    return replace(launch, aliases=tuple(sorted(aliases[:_MAX_ALIASES])), include=(*launch.include, *include)) if aliases else launch


def _is_of_project(path: str, target: str, evidence: Evidence) -> bool:
    """Return whether a path is below the working directory, and not merely the name that the whole project has in the other image."""
    inside = is_within(path, [evidence.workdir])
    return inside and (bool(target) or evidence.exists(posixpath.relpath(path, evidence.workdir)))


def _naming(launch: Launch, evidence: Evidence, scan: Scan) -> Iterator[str]:
    """Yield all texts that may name a place: commands, variables, configuration files that they name, and strings of the code."""
    commands = (launch.command, launch.arguments, *launch.before_start)
    yield from (word for words in commands for word in words)
    yield from launch.env.values()
    for word in (word.rpartition("=")[2] for words in commands for word in words):
        if _CONFIG.fullmatch(word) and not word.startswith("/"):
            yield evidence.read_text(posixpath.join(launch.directory, word))
    yield from (text for module in scan.modules for _, text in module.strings if text.startswith("/"))


def _places(dockerfile: Dockerfile) -> Iterator[tuple[str, str]]:
    """Yield (absolute path, path in the project) of what is copied: the project itself first, then code elsewhere."""
    home = dockerfile.files.home
    if home:
        yield home, ""
    for item in reversed(dockerfile.files.placed):
        inside = dockerfile.files.project_path(item.target)
        if inside not in (None, ".") and not is_only_for_building(item) and is_code(dockerfile.files.project / str(inside)):
            yield item.target, str(inside)


def _can_be_link(path: str) -> bool:
    return is_plain_path(path) and path not in SHARED_DIRECTORIES and not is_within(path, (*SYSTEM_FILES, *OWN_DIRECTORIES))
