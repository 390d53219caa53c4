"""Settings that a Dockerfile stands in for: the extras, groups, packages, user and stop signal that production uses anyway."""

from collections.abc import Iterable

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.read import Deployment
from shipwheel.project.metadata import Metadata, dependency_names, has_group
from shipwheel.settings.settings import Settings
from shipwheel.versions import minor_version, normalized

__all__ = ["installs_beside", "with_deployed"]

_NUMERIC_USER = lazy_pattern(r"[1-9]\d{0,9}(:\d{1,10})?")
_SIGNAL = lazy_pattern(r"SIG[A-Z0-9]+([+-]\d+)?|\d{1,2}")


def with_deployed(settings: Settings, deployment: Deployment, metadata: Metadata) -> Settings:
    """Return the settings with what the project's Dockerfile installs and sets; what the user set stays."""
    installs, stage = deployment.installs, deployment.dockerfile.stage if deployment.dockerfile is not None else None
    user, signal = (stage.user, stage.stop_signal) if stage is not None else ("", "")
    return msgspec.structs.replace(
        settings,
        extras=_more(settings.extras, (name for name in installs.extras if normalized(name) in metadata.extras)),
        groups=_more(settings.groups, (name for name in installs.groups if has_group(metadata.tables, name))),
        user=settings.user or ((user if ":" in user else f"{user}:{user}") if _NUMERIC_USER.fullmatch(user) else None),
        stop_signal=settings.stop_signal or (signal if _SIGNAL.fullmatch(signal) else None),
    )


def installs_beside(
    settings: Settings, deployment: Deployment, name: str, known: Iterable[str], python: str
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings with the Python packages that the Dockerfile installs beside the project's own, and a note.

    `known` are the requirements of the project `name`, `python` its version.
    """
    installs = deployment.installs
    present = dependency_names((*known, *settings.dependencies), minor_version(python)) | {name}
    added = tuple(each for each in installs.packages if not dependency_names((each,), minor_version(python)) <= present)
    what = f"the Dockerfile installs {', '.join(added)} beside the project's requirements, and so does this build"
    notes = (f"{installs.place} and below: {what}.",) if added else ()
    return msgspec.structs.replace(settings, dependencies=(*settings.dependencies, *added)), notes


def _more(given: tuple[str, ...], found: Iterable[str]) -> tuple[str, ...]:
    names = {normalized(name) for name in given}
    return (*given, *(name for name in found if normalized(name) not in names))
