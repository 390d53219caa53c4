"""Try images that were just built, before they are delivered."""

from shipwheel.engine.emulation import check_runnable
from shipwheel.engine.interface import Engine
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import ImageIndex, make_index
from shipwheel.store.store import Store
from shipwheel.trial.observe import Conditions, Subject, trial_name
from shipwheel.trial.trial import Trial, require_good, try_image

__all__ = ["check_images"]


def check_images(
    index: ImageIndex, project: str, engine: Engine, store: Store, reporter: Reporter, conditions: Conditions
) -> tuple[Trial, ...]:
    """Try the image of every platform that the engine can start, its own first; a warning names the others.

    Raises TrialError if one does not serve, EngineError if the engine runs none of the platforms.
    """
    platforms = engine.platforms()
    images = {each.platform: each for platform in platforms for each in index.images if platform.matches(each.platform)}
    if not images:
        check_runnable(index.images[0].platform, platforms, engine.emulation_hint)
    trials = []
    for image in images.values():
        name = engine.load(make_index([image]), store, trial_name(project), reporter)
        trials.append(try_image(engine, Subject(name, image.execution, image.platform, project), conditions, reporter))
        require_good(trials, f"{project} for {image.platform}" if len(index.images) > 1 else project)
    for note in dict.fromkeys((note.message, note.hint) for trial in trials for note in trial.findings):
        reporter(Warned(*note))
    others = [str(each.platform) for each in index.images if each.platform not in images]
    if others:
        tried = ", ".join(map(str, images))
        reporter(Warned(f"only the image for {tried} was started, not {', '.join(others)}: this machine has no emulator for it"))
    return tuple(trials)
