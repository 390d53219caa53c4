"""The layers of a build's steps, for builds with and without: most have none, and do not import what runs them."""

from collections.abc import Sequence

from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.stages import Closed
from shipwheel.project.project import Project

__all__ = ["make_step_layers", "with_steps"]


def with_steps(project: Project, platform: Closed) -> Closed:
    """Return the platform with the layer of its steps, planned; as it is if there are none."""
    if not project.steps:
        return platform
    from shipwheel.pipeline.steps import plan_steps

    return plan_steps(project, platform)


def make_step_layers(context: BuildContext, platforms: Sequence[Closed]) -> None:
    """Run the steps whose layers are missing, and make these. Raise BuildError for a step that fails or cannot run here."""
    if any(platform.step_layers for platform in platforms):
        from shipwheel.pipeline.steps import run_steps

        run_steps(context, platforms)
