"""Versions, Pythons and packages that have wheels, in place of files that are missing or of a source that cannot be built."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from shipwheel.errors import BuildError, UnbuildableSource
from shipwheel.events import Reporter
from shipwheel.locking.no_compatible_file import Alternatives, Mismatch, NoCompatibleFile, OtherPython
from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import missing_wheel
from shipwheel.locking.target import Target
from shipwheel.pipeline.resolve import Resolution, lock_request
from shipwheel.project.project import Project
from shipwheel.project.python_version import allowed_pythons
from shipwheel.suites import SUITES, without_python
from shipwheel.versions import minor_number

__all__ = ["build_error_with_alternatives", "with_alternatives", "with_newer_versions", "with_replacements"]

_IMAGE_PYTHONS = tuple(f"3.{minor}" for minor in range(9, 15))
"""The Python versions for which public images exist."""


def with_alternatives(error: NoCompatibleFile, project: Project, reporter: Reporter, *, versions: bool = True) -> NoCompatibleFile:
    """Return the error with what the project's indexes have instead: other Pythons, and unless `versions` is false other versions."""
    from shipwheel.locking.diagnose.alternatives import find_alternatives

    request = replace(lock_request(project), python=error.targets[0].minor)
    pythons = [python for python in _other_pythons(project, error.targets) if python.target.minor not in error.tried]
    found = find_alternatives(error.missing, request, pythons, reporter, versions=versions)
    return NoCompatibleFile(error.missing, error.targets, found, error.tried, error.lock)


def build_error_with_alternatives(error: BuildError, name: str, resolution: Resolution, reporter: Reporter) -> BuildError:
    """Return the error of a package's build with what the project's indexes have instead of its source.

    That is what serves all of the platforms. A source that is of no index has no alternatives: its error stays.
    """
    targets = [platform.target for platform in resolution.platforms]
    missing = next(filter(None, (missing_wheel(resolution.lock, target, name) for target in targets)), None)
    if missing is None:
        return error
    informed = with_alternatives(NoCompatibleFile({missing: targets}, targets), resolution.project, reporter)
    found = informed.alternatives.get(missing, Alternatives())
    choices = list(found.choices(name))
    if missing.mismatch is Mismatch.SYSTEM:
        choices.append(f"a marker if Linux does not need it, as {missing.reason} ({missing.system_marker})")
    message = "\n  ".join((error.message, f"required by: {missing.chain}", *found.lines))
    hint = " ".join((error.hint, *([f"Or choose {', or '.join(choices)}."] if choices else [])))
    if not isinstance(error, UnbuildableSource):
        return BuildError(message, hint=hint)
    replacements = _with_siblings(name, found.replacements(name), resolution.lock, resolution.project, targets[0])
    return UnbuildableSource(message, hint=hint, replacements=replacements, published=missing.published)


def with_replacements(error: NoCompatibleFile, project: Project) -> NoCompatibleFile:
    """Return the error with what takes the place of all packages that have neither a file nor a source, if there is such for each."""
    hopeless = [file for file in error.missing if not file.can_compile]
    own = [(file.name, error.alternatives.get(file, Alternatives()).replacements(file.name)) for file in hopeless]
    if error.lock is None or not all(replacements for _, replacements in own):
        return error
    found = {
        key: value
        for name, replacements in own
        for key, value in _with_siblings(name, replacements, error.lock, project, error.targets[0]).items()
    }
    return NoCompatibleFile(error.missing, error.targets, error.alternatives, error.tried, error.lock, found)


def with_newer_versions(error: NoCompatibleFile, project: Project, reporter: Reporter) -> NoCompatibleFile:
    """Return the error about those of its packages that have a newer version with files, which takes their place; as it is without any."""
    informed = with_alternatives(error, project, reporter)
    newer = {file: where for file, where in error.missing.items() if informed.alternatives.get(file, Alternatives()).newer}
    if not newer:
        return error
    return with_replacements(NoCompatibleFile(newer, error.targets, informed.alternatives, error.tried, error.lock), project)


def _with_siblings(name: str, replacements: dict[str, str], lock: Lock, project: Project, target: Target) -> dict[str, str]:
    """Return the replacements with those of other locked packages that a newer version of this one requires in newer versions."""
    package, _, version = replacements.get(name, "").partition("==")
    if not version:
        return replacements
    from shipwheel.locking.diagnose.alternatives import siblings_for

    locked = {each["name"]: str(each["version"]) for each in lock.data.get("packages", ()) if "version" in each}
    found = siblings_for(package, version, locked, lock_request(project), target)
    return {**replacements, **{other: f"{other}=={newer}" for other, newer in found.items()}}


def _other_pythons(project: Project, targets: Sequence[Target]) -> list[OtherPython]:
    """Return the targets with each other Python: one that the project allows, or that of another image with the same C library."""
    if project.settings.base is not None:
        return [
            OtherPython(f"an image with Python {minor}", "--base", replace(target, python=f"{minor}.9"))
            for target in targets
            for minor in _IMAGE_PYTHONS
            if minor != target.minor
        ]
    allowed = set(allowed_pythons([project.requires_python] if project.requires_python else []))
    found = [
        OtherPython(
            f"Python {suite.python} (Debian {suite.codename})",
            f"--python {suite.python}",
            Target(target.platform, suite.full_python, suite.libc),
        )
        for target in targets
        for suite in SUITES
        if suite.python != target.minor and suite.python in allowed
    ]
    every = (*found, *_standalone_pythons(project, targets))
    return [python for python in every if minor_number(python.target.python) >= project.oldest_python]


def _standalone_pythons(project: Project, targets: Sequence[Target]) -> Iterator[OtherPython]:
    """Yield the targets with each Python that only standalone builds have, the newest first."""
    from shipwheel.base.standalone_builds import newest_versions

    versions = newest_versions(project, [target.platform for target in targets])
    for minor in sorted(versions.keys() - {suite.python for suite in SUITES}, key=minor_number, reverse=True):
        for target in targets:
            python = Target(target.platform, versions[minor], without_python().libc)
            yield OtherPython(f"Python {minor} (standalone build)", f"--python {minor}", python)
