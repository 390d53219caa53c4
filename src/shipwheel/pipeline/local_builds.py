"""What has to be there before layers can be planned: wheels of sdists, the project's own wheel, the list of its files."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from shipwheel.events import Reporter, Warned
from shipwheel.pipeline.app_source import without_linked
from shipwheel.pipeline.downloads import Supplies
from shipwheel.pipeline.layers import Ingredients
from shipwheel.pipeline.resolve import Resolved
from shipwheel.project.app_tree import AppTree, list_app
from shipwheel.project.detect import Project
from shipwheel.store import Store

__all__ = ["Preparation"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Preparation:
    """The work of one build that is the same for all its platforms; `as_of` is the lock's day."""

    project: Project
    platforms: Sequence[Resolved]
    as_of: str
    supplies: Supplies
    store: Store
    reporter: Reporter
    workers: int

    def ingredients(self, *, whole: bool = True) -> Ingredients:
        """Fetches what has to be built first, builds it, and lists the project's files.

        Without `whole`, wheels that are known to come out are counted with, and are not in the store. Raises FetchError, BuildError.
        """
        wanted = {item.name: item for each in self.platforms for item in each.selection.distributions if item.kind != "wheel"}
        packaged = self.project.kind == "package"
        if not wanted and not packaged:
            return Ingredients({}, None, self._tree())
        from shipwheel.wheels.source_builds import build_project_wheel, build_pure_wheel, needs_source

        minor, root, store = self.platforms[0].target.minor, self.project.root, self.store
        self.supplies.distributions([item for item in wanted.values() if needs_source(item, store, minor, self.as_of, whole=whole)])
        pure = partial(build_pure_wheel, store=store, target_minor=minor, as_of=self.as_of, root=root, reporter=self.reporter, whole=whole)
        project = partial(build_project_wheel, root, store, minor, self.as_of, reporter=self.reporter, whole=whole)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="build") as pool:
            jobs = {name: pool.submit(self._told, partial(pure, item)) for name, item in sorted(wanted.items())}
            own = pool.submit(self._told, project) if packaged else None
            built = {name: job.result() for name, job in jobs.items()}
            return Ingredients(built, own.result() if own else None, self._tree())

    def is_new(self) -> bool:
        """Whether this machine lacks files of the lock: then others may know more of what comes out of builds."""
        return any(not self.store.has(item.digest) for each in self.platforms for item in each.selection.distributions if item.sha256)

    def _told(self, build: Callable[[], T]) -> T:
        """A build, with uv told of the index that was chosen: what the build itself requires comes from there."""
        from shipwheel.lock.uv import told

        with told(self.supplies.indexes.environment):
            return build()

    def _tree(self) -> AppTree | None:
        project = self.project
        if project.launch is None or not project.launch.needs_source:
            return None
        include = (*project.settings.include, *project.launch.include)
        tree = list_app(project.root, include=include, exclude=project.settings.exclude, only=project.only)
        if tree.secrets:
            self.reporter(Warned(f"left out as secrets: {', '.join(tree.secrets)}", "Give them to the container when it starts."))
        if tree.special:
            self.reporter(Warned(f"left out, since an image cannot hold them: {', '.join(tree.special)}"))
        return without_linked(tree, project.launch.links)
