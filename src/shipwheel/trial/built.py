"""Try images that were just built, before they are delivered."""

from shipwheel.engine.emulation import check_runnable
from shipwheel.engine.interface import Engine
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import ImageIndex, make_index
from shipwheel.store import Store
from shipwheel.trial.observe import Conditions, Subject, trial_name
from shipwheel.trial.paths import USUAL_PATHS
from shipwheel.trial.trial import Trial, require_good, try_image

__all__ = ["check_images"]


def check_images(index: ImageIndex, project: str, engine: Engine, store: Store, reporter: Reporter) -> Trial:
    """Try the image for the engine's own platform, else for one that it emulates. The trial of one stands for all: they hold the same.

    Raises TrialError if it does not serve, EngineError if the engine runs none of the platforms.
    """
    platforms = engine.platforms()
    image = next((each for platform in platforms for each in index.images if platform.matches(each.platform)), index.images[0])
    check_runnable(image.platform, platforms, engine.emulation_hint)
    name = engine.load(make_index([image]), store, trial_name(project), reporter)
    subject = Subject(name, image.execution, image.platform, project)
    trial = try_image(engine, subject, Conditions(paths=USUAL_PATHS), reporter)
    require_good([trial], project)
    for note in trial.findings:
        reporter(Warned(note.message, note.hint))
    others = [str(each.platform) for each in index.images if each is not image]
    if others:
        reporter(Warned(f"only the image for {image.platform} was started, not {', '.join(others)}"))
    return trial
