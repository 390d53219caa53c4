"""Closing the base: find every Debian package that the image's ELF files need, by what the loader would look for."""

from collections.abc import Sequence

from msgspec.structs import replace

from shipwheel.base.model import Base
from shipwheel.files.segment import Segment
from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.prove import is_proved, parent_segments
from shipwheel.pipeline.stages import Closed, Layered
from shipwheel.pipeline.step_layers import with_steps
from shipwheel.suites import Suite

__all__ = ["close_base"]


def close_base(context: BuildContext, platform: Layered) -> Closed:
    """Complete the platform's base. Debian's archive is asked only for what the lock does not have. Raises FetchError."""
    resolved = platform.resolved
    planned = with_steps(context.project, Closed(resolved, context.planner.base_layers(resolved), platform.app_layers))
    if resolved.base.locked and is_proved(context, planned):
        return planned
    base = _closed(context, planned)
    if base is resolved.base:
        return planned
    resolved = replace(resolved, base=base)
    return with_steps(context.project, Closed(resolved, context.planner.base_layers(resolved), platform.app_layers))


def _closed(context: BuildContext, platform: Closed) -> Base:
    from shipwheel.debian.closure import unresolved_libraries
    from shipwheel.debian.optional_libraries import missing_optional_libraries

    base = platform.resolved.base
    app, parent = context.supply.describe(platform.app_layers), parent_segments(context, platform)
    context.supply.read_metadata(platform.base_layers)
    app += context.downloads.standalone_segments(base.standalone)
    packages = context.downloads.package_segments(base.packages)
    missing = {
        *unresolved_libraries(packages, app, platform.resolved.target.platform, parent),
        *missing_optional_libraries((*parent, *packages), app),
    }
    if base.locked and not missing - set(base.missing_libraries):
        return base
    if base.suite is None:
        return replace(base, locked=True, missing_libraries=tuple(sorted(missing)))
    if not missing and not context.project.packages and parent:
        return replace(base, locked=True, missing_libraries=())
    return _completed(context, platform, base.suite, app, parent)


def _completed(context: BuildContext, platform: Closed, suite: Suite, app: Sequence[Segment], parent: Sequence[Segment]) -> Base:
    """Complete the base from its suite."""
    from shipwheel.debian.closure import close_over_libraries
    from shipwheel.debian.optional_libraries import missing_optional_libraries, packages_behind, packages_opened_by, suggest_packages

    project, base, target = context.project, platform.resolved.base, platform.resolved.target.platform
    index = context.downloads.archive.package_index(suite, target)
    named, load = project.packages, context.downloads.package_segments
    closure = close_over_libraries(base.packages, index, target, app, load, named=named, parent=parent)
    optional = missing_optional_libraries((*parent, *closure.segments), app)
    behind = (packages_behind(project.header_packages, optional, index), packages_opened_by(project.dependencies, optional, index))
    if opened := [package for packages in behind for package in packages]:
        closure = close_over_libraries((*closure.packages, *opened), index, target, app, load, named=named, parent=parent)
        optional = missing_optional_libraries((*parent, *closure.segments), app)
    for note in suggest_packages({name: labels for name, labels in optional.items() if name not in base.missing_libraries}, index):
        context.reporter(note)
    return replace(base, packages=closure.packages, locked=True, missing_libraries=tuple(sorted({*closure.unresolved, *optional})))
