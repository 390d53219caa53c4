"""Compiling a wheel for one target: tried, and tried again with the Debian packages that the build turned out to miss."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.builder.binary_interface import run_time_bounds
from shipwheel.builder.build_run import BuildRun
from shipwheel.builder.complaints import Lack, LackKind, lacks_in, last_useful_lines, needs_newer_rust, needs_rust, ran_foreign_program
from shipwheel.builder.crates import CrateFetch, CratesFailed
from shipwheel.builder.image_workshop import AnyWorkshop
from shipwheel.builder.packages import compiler_labels, decides
from shipwheel.builder.product import check_product, strip_product
from shipwheel.builder.surroundings import INSIDE
from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import BuildError, UnbuildableSource
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned
from shipwheel.files.segment import source_date_epoch
from shipwheel.locking import uv
from shipwheel.locking.bounds import BOUNDS_HINT, OverBounds
from shipwheel.locking.build_requirements import requirement_wanted
from shipwheel.locking.pylock import LockedDeb, name_in
from shipwheel.store.contents import BUILD_LOGS
from shipwheel.store.store import Store
from shipwheel.versions import end_of_day
from shipwheel.wheels.built_wheels import BuiltWheel, find_built_wheel, record_built_wheel
from shipwheel.wheels.isolated_build import INDEX_SETTINGS, BuildOptions, RequirementsNotReached
from shipwheel.wheels.kept_requirements import KeptRequirements
from shipwheel.wheels.rewrite import remove_local_urls

__all__ = ["Compiled", "SourceToCompile", "compile_wheel"]

_VERSION = "6"
"""Part of every key: raise it whenever the same source gives another wheel."""
_FOUND = "compiled-with"
_MAX_ROUNDS = 30
_SAID = "The last compiler that failed, which may have been meant to:"
_FIRST_STEP = timedelta(days=60)
_CRATES_HINT = (
    "cargo fetches them by the Cargo.lock of the source, from where your own configuration of cargo says, by default from its registry. "
    "Without that, a version that has wheels for the platforms is the way out."
)


class SourceToCompile(msgspec.Struct, frozen=True):
    """A source that must be compiled. `content` is a hash of it; `write` puts it below a directory and returns where in that it is.

    `uploaded` is the day on which it was published, None if nobody knows. `label` names it in errors, `variables` are for its backend.
    """

    name: str
    label: str
    content: str
    write: Callable[[Path], str]
    uploaded: date | None = None
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    finish: Callable[[Path, Path], tuple[tuple[str, ...], tuple[str, ...]]] = lambda _source, _wheel: ((), ())
    """Takes a source and its wheel, removes secrets from the wheel, and returns their paths and those of data files that it lacks."""


class Compiled(msgspec.Struct, frozen=True):
    """A wheel, the names of the Debian packages that its build needs, and the compilers and packages with their versions.

    `debs` are these as files; there are none for a wheel of the lock's compilers that was there. `pins` are its build requirements.
    """

    wheel: BuiltWheel
    packages: tuple[str, ...]
    compilers: tuple[str, ...]
    debs: tuple[LockedDeb, ...] = ()
    pins: tuple[str, ...] = ()


class _Found(msgspec.Struct, frozen=True):
    packages: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()


class _Failed(Exception):
    """An attempt failed; `output` is what it printed, `hidden` what it may not have printed, see HookFailed.

    `lacks_requirements` is true if nothing of the source ran, for lack of these.
    """

    def __init__(self, message: str, output: str, hidden: str = "", *, lacks_requirements: bool = False) -> None:
        super().__init__(message)
        self.output = output
        self.hidden = hidden
        self.lacks_requirements = lacks_requirements


class _Recipe(msgspec.Struct, frozen=True):
    """The ingredients of a build: names of Debian packages and build requirements, to which failures add, and the pins of these."""

    packages: tuple[str, ...]
    requires: tuple[str, ...]
    pins: tuple[str, ...] = ()

    @property
    def has_cargo(self) -> bool:
        """True if Rust is compiled."""
        return any(name.partition("-")[0] == "cargo" for name in self.packages)

    def with_packages(self, names: Iterable[str]) -> "_Recipe":
        """Return the recipe with more Debian packages."""
        return replace(self, packages=tuple(sorted({*self.packages, *names})))


def compile_wheel(
    source: SourceToCompile,
    workshop: AnyWorkshop,
    options: BuildOptions,
    store: Store,
    reporter: Reporter,
    *,
    known: tuple[str, ...] | None,
    compilers: tuple[str, ...] = (),
    pins: tuple[str, ...] = (),
    need_bytes: bool = True,
    kept: KeptRequirements | None = None,
) -> Compiled:
    """Return the wheel of a source for the workshop's target; compile it if necessary.

    `known` are the Debian packages that the lock has for it, None if it has none; `compilers` are the lock's versions, and `pins` its
    build requirements. A wheel of these is taken if there is one, also where the archive has others by now. Without `need_bytes`, a wheel
    that another machine built is good enough. With `kept`, it is compiled in any case, and what its build requires is collected there.
    Raise BuildError, and any error of a download.
    """
    packages = workshop.addable((*(known or ()), *options.build_packages))
    start = _key(source, workshop, options, packages, (), pins)
    found = store.get_as(_FOUND, start, _Found) or _Found(packages, pins)
    if known is None:
        packages = found.packages
    for used, debs in _candidates(compilers, packages, workshop) if kept is None else ():
        # Those that were found differ from the lock's if these are of other requirements than the source has by now.
        built = find_built_wheel(_key(source, workshop, options, packages, used, found.pins), store, need_bytes=need_bytes)
        if built is not None:
            return Compiled(built, _without(packages, options), used, debs, found.pins)
    name = f"{source.label} for {workshop.target.platform.architecture}"
    reporter(StageStarted(name, detail=True))
    wheel, recipe = _Compilation(source, workshop, options, store, reporter, kept).run(packages, found.pins)
    debs = workshop.deciders(recipe.packages)
    used = compiler_labels(debs)
    wheel = msgspec.structs.replace(wheel, key=_key(source, workshop, options, recipe.packages, used, recipe.pins))
    record_built_wheel(wheel, store)
    store.put(_FOUND, start, msgspec.json.encode(_Found(recipe.packages, recipe.pins)))
    added = f" with {', '.join(recipe.packages)}" if recipe.packages else ""
    reporter(StageFinished(name, f"{name}{added}"))
    return Compiled(wheel, _without(recipe.packages, options), used, debs, recipe.pins)


def _candidates(
    locked: tuple[str, ...], packages: tuple[str, ...], workshop: AnyWorkshop
) -> Iterator[tuple[tuple[str, ...], tuple[LockedDeb, ...]]]:
    """Yield the compilers and packages of which a wheel is wanted. The archive is asked last: a build of what is there needs no network."""
    known = {name_in(label): label for label in locked}
    if known and known.keys() >= {*packages}:
        yield tuple(label for name, label in known.items() if decides(name, packages)), ()
    debs = workshop.deciders(packages)
    yield compiler_labels(debs), debs


def _without(packages: tuple[str, ...], options: BuildOptions) -> tuple[str, ...]:
    """Return the packages that the lock is to know: not those of the settings, which the user may remove again."""
    return tuple(name for name in packages if name not in options.build_packages)


def _key(
    source: SourceToCompile,
    workshop: AnyWorkshop,
    options: BuildOptions,
    packages: tuple[str, ...],
    compilers: tuple[str, ...],
    pins: tuple[str, ...],
) -> str:
    target, name = workshop.target, source.name
    facts = (
        *(_VERSION, source.content, workshop.identity, str(target), options.as_of, str(source_date_epoch())),
        *(str(source.uploaded or ""), *options.build_requirements_of(name), *options.build_constraints),
        *("compilers", *compilers, "packages", *packages, "env", *(f"{key}={value}" for key, value in sorted(options.build_env.items()))),
        *("pins", *pins),
    )
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()


class _Compilation(msgspec.Struct, frozen=True):
    """One compilation with all of its attempts."""

    source: SourceToCompile
    workshop: AnyWorkshop
    options: BuildOptions
    store: Store
    reporter: Reporter
    kept: KeptRequirements | None

    def run(self, packages: tuple[str, ...], pins: tuple[str, ...]) -> tuple[BuiltWheel, _Recipe]:
        """Return the wheel, and with what it was built. Raise BuildError."""
        recipe = _Recipe(packages, self.options.build_requirements_of(self.source.name), pins)
        if recipe.has_cargo:
            # The lock's may be of another suite, whose Rust has other packages.
            recipe = recipe.with_packages(self.workshop.rust())
        day = first = self._first_day
        while True:
            try:
                return self._on_day(day, recipe)
            except _Failed as failed:
                if day == self.options.as_of:
                    raise self._error(failed) from None
                day = self._later(first, day) if failed.lacks_requirements else self.options.as_of

    @property
    def _first_day(self) -> str:
        """The day as of which build requirements are taken at first: that of the source, since newer ones may no longer build it.

        Build requirements that are older than the Python do not work with it.
        """
        last = self.options.as_of
        if self.source.uploaded is None:
            return last
        day = max(self.source.uploaded, self.workshop.python.released).isoformat()
        return day if not last or day < last else last

    def _later(self, first: str, day: str) -> str:
        """Return the day to try after one as of which requirements cannot be installed: some get wheels long after a Python's release."""
        start, now = date.fromisoformat(first), date.fromisoformat(day)
        later = start + max(2 * (now - start), _FIRST_STEP)
        last = self.options.as_of
        return later.isoformat() if later < (date.fromisoformat(last) if last else date.today()) else last

    def _on_day(self, day: str, recipe: _Recipe) -> tuple[BuiltWheel, _Recipe]:
        for _ in range(_MAX_ROUNDS):
            try:
                return self._attempt(day, recipe)
            except _Failed as failed:
                more = self._improved(recipe, failed)
                if more is None:
                    raise
                recipe = more
        raise _Failed("its build misses one thing after the other", "")

    def _attempt(self, day: str, recipe: _Recipe) -> tuple[BuiltWheel, _Recipe]:
        from shipwheel.wheels.frontend import HookFailed

        workshop, options = self.workshop, self.options
        with scratch_directory() as place:
            below = self.source.write(place / "source")
            root, crates = workshop.root(recipe.packages), None
            try:
                if recipe.has_cargo:
                    crates = CrateFetch(place, root.path, below, self.store, self.store.closed, options.bounds, self.kept).run()
                run = BuildRun(
                    place,
                    root.path,
                    workshop.surroundings({**self.source.variables, **options.build_env}),
                    self.store.closed,
                    workshop.target.libc[1],
                    below,
                    recipe.requires,
                    options.build_constraints,
                    end_of_day(date.fromisoformat(day)) if day else None,
                    {key: options.settings[key] for key in INDEX_SETTINGS if key in options.settings},
                    options.bounds,
                    crates.path if crates is not None else None,
                    self.kept or KeptRequirements(self.store, workshop.python.minor),
                    recipe.pins,
                )
                wheel = run.build()
                check_product(wheel, workshop.target, self.source.label)
                strip_product(wheel, run)
                bounds = run_time_bounds(wheel, run.site_packages)
            except HookFailed as error:
                raise _Failed(str(error), error.output, error.hidden) from None
            except CratesFailed as error:
                raise self._error(_Failed(str(error), error.output), _CRATES_HINT) from None
            except OverBounds as error:
                # No package would help, and the next attempt would take as long.
                raise BuildError(f"{self._refusal}: {error}", hint=BOUNDS_HINT) from None
            except uv.UvFailed as error:
                if error.failure.unreachable:
                    raise RequirementsNotReached(self.source.label, error.failure) from None
                raise _Failed("what its build requires cannot be installed", error.failure.text, lacks_requirements=True) from None
            finally:
                root.close()
                if crates is not None:
                    crates.close()
            remove_local_urls(wheel, Path(INSIDE, "source"))
            left_out, unpackaged = self.source.finish(place / "source" / below, wheel)
            with self.store.writer() as blob:
                blob.write(wheel.read_bytes())
            built = BuiltWheel(wheel.name, blob.digest, blob.size, left_out=left_out, unpackaged=unpackaged, bounds=bounds)
            return built, replace(recipe, pins=tuple(run.installed))

    def _improved(self, recipe: _Recipe, failed: _Failed) -> _Recipe | None:
        """Return the recipe with what a failed attempt missed; None if nothing is found that it does not have."""
        if needs_rust(failed.output) and not recipe.has_cargo and (rust := self.workshop.rust()):
            return recipe.with_packages(rust)
        requirement = requirement_wanted(failed.output, self.options.stated, Path("/nonexistent"))
        if requirement in recipe.requires:
            requirement = None
        lacks = lacks_in(failed.output)
        if not lacks and requirement is None:
            lacks = lacks_in(failed.hidden)
        found = self.workshop.find(lacks) if lacks else {}
        more = recipe.with_packages(found.values())
        if more != recipe:
            return more
        if requirement is None:
            return None
        self.reporter(Warned(f"the build of {self.source.label} needs what it does not require: {requirement} is installed for it"))
        return replace(recipe, requires=(*recipe.requires, requirement))

    def _error(self, failed: _Failed, hint: str = "") -> BuildError:
        hides = failed.hidden and not lacks_in(failed.output)
        said = (_SAID, *last_useful_lines(failed.hidden)) if hides else ()
        log = self._write_log("\n".join((failed.output, *((_SAID, failed.hidden) if hides else ()))))
        lines = "\n  ".join((str(failed), *last_useful_lines(failed.output), *said))
        hint = hint or _hint(self.source.name, failed, self.workshop)
        return UnbuildableSource(f"{self._refusal}: {lines}\n  whole output: {log}", hint=hint)

    @property
    def _refusal(self) -> str:
        return f"{self.source.label} cannot be compiled for {self.workshop.target.platform}"

    def _write_log(self, output: str) -> Path:
        folder = self.store.root / BUILD_LOGS
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.source.name}-{self.workshop.target.platform.architecture}.log"
        path.write_text(output, encoding="utf-8", errors="replace")
        return path


def _hint(name: str, failed: _Failed, workshop: AnyWorkshop) -> str:
    if needs_newer_rust(failed.output):
        return (
            f"The newest Rust of {workshop.origin} is too old for it, or for one of its crates: choose an older version of {name}, "
            f"or {workshop.newer_rust}."
        )
    if ran_foreign_program(failed.output):
        return (
            "Its build runs a program that it has just compiled for the other processor. Let the kernel emulate that (Debian's package "
            f"qemu-user-binfmt), build on a machine with that processor, or choose a version of {name} that has wheels."
        )
    before, other = "The output above has the reason.", f"choose another version of {name}."
    if missing := lacks_in(failed.output):
        return f"{_advice(missing, workshop)}, or {other}"
    if missing := lacks_in(failed.hidden):
        return f"{before} If it is what the last compiler said: {_advice(missing, workshop)}, or {other}"
    return (
        f"{before} Builds see no network and no home directory. [tool.shipwheel.build] sets packages, env and "
        f"constraints of builds; otherwise {other}"
    )


def _advice(missing: Sequence[Lack], workshop: AnyWorkshop) -> str:
    named = ", ".join(dict.fromkeys(lack.name for lack in missing))
    what = "programs" if all(lack.kind is LackKind.PROGRAM for lack in missing) else "files"
    return workshop.advice(what, named)
