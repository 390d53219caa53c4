"""Answers to what a trial leaves open: from the image itself, the project's files, and Debian's archive."""

import datetime
import posixpath
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from shipwheel.errors import ShipwheelError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.versions import minor_number, minor_version, requirement_name

if TYPE_CHECKING:
    from shipwheel.debian.package_index import DebianPackageIndex
    from shipwheel.engine.interface import Engine
    from shipwheel.events import Reporter
    from shipwheel.locking.selection import LockedDistribution
    from shipwheel.pipeline.build import Built
    from shipwheel.store.store import Store
    from shipwheel.trial.finding import Setting
    from shipwheel.trial.observe import Subject

__all__ = ["ProjectAdvisor"]

_HELP_S = 20.0
_ADOPTION = datetime.timedelta(days=365)
"""The time that packages take to have files for a new Python."""
_OLDEST_STANDALONE = "3.7"
_MAX_PROGRAMS = 3
"""Console scripts that are asked for their sub-commands."""

_TARGET = lazy_pattern(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.()]*")
"""module:application"""

_MAKES_TABLES = lazy_pattern(r"(?:init|create|setup|make|migrate)[-_]?(?:db|database|tables|all)|db[-_]?(?:init|create|upgrade)|migrate")

_TABLE_CALLS = (".create_all", ".create_table", ".create_tables", "init_db", "create_tables", "create_db", "setup_db")
"""Calls that make tables: SQLAlchemy's, Piccolo's, peewee's, and people's own functions."""

_OWNERS = """\
import importlib.metadata, sys
owns = lambda each: any(str(file).split("/")[0] in (sys.argv[1], sys.argv[1] + ".py") for file in each.files or ())
sys.exit("\\n".join("owner: " + each.metadata["Name"] for each in importlib.metadata.distributions() if owns(each)))
"""
"""A program whose last words are the packages that have a top-level module."""
_OWNER = lazy_pattern(r"^owner: (\S+)$", re.MULTILINE)
_RUN_BY_A_FILE = {"flask": "flask.Flask.run", "uvicorn": "uvicorn.run"}
"""Package -> what serves an application of a file that is run itself."""


class ProjectAdvisor:
    """See `Advisor`."""

    def __init__(self, built: "Built", engine: "Engine", subject: "Subject", store: "Store", reporter: "Reporter") -> None:
        self._built = built
        self._engine = engine
        self._subject = subject
        self._store = store
        self._reporter = reporter

    def command(self) -> tuple[str, ...]:
        """See `Advisor.command`."""
        launch = self._built.resolution.project.launch
        return (*launch.source_command, *launch.arguments) if launch is not None else ()

    def application(self) -> tuple[str, ...]:
        """See `Advisor.application`."""
        launch = self._built.resolution.project.launch
        return launch.application if launch is not None else ()

    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """See `Advisor.alternatives`."""
        launch = self._built.resolution.project.launch
        return tuple(filter(None, (launch.application, *launch.alternatives))) if launch is not None else ()

    def help_text(self, arguments: tuple[str, ...]) -> str:
        """See `Advisor.help_text`."""
        return self._help((*self.command(), *arguments, "--help"))

    def _help(self, command: tuple[str, ...]) -> str:
        from shipwheel.trial.observe import Conditions, observe

        conditions = Conditions(timeout=_HELP_S, patience=1, command=command)
        try:
            return observe(self._engine, self._subject, conditions).log
        except ShipwheelError:
            return ""

    def has_module(self, name: str) -> bool:
        """See `Advisor.has_module`."""
        from shipwheel.user.example_files import example_of_module, find_examples

        root = self._built.resolution.project.root
        found = (path for pattern in (name, f"{name}.py", f"*/{name}", f"*/{name}.py") for path in root.glob(pattern))
        return any(path.suffix == ".py" or path.is_dir() for path in found) or bool(example_of_module(name, (*find_examples(root),)))

    def has_package(self, requirement: str) -> bool:
        """See `Advisor.has_package`."""
        from packaging.requirements import Requirement

        from shipwheel.versions import normalized

        wanted = Requirement(requirement)
        locked = {item.name: item.version for item in self._built.platforms[0].resolved.selection.distributions}
        version = locked.get(normalized(wanted.name))
        return version is not None and wanted.specifier.contains(version, prereleases=True)

    def unlisted(self) -> tuple[str, ...]:
        """See `Advisor.unlisted`."""
        return self._built.resolution.project.unlisted

    def library_package(self, name: str) -> str | None:
        """See `Advisor.library_package`."""
        index = self._package_index()
        if index is None:
            return None
        # A program that opens a library by a part of its name prints that: "cairo-2" for libcairo.so.2.
        stem = name.removeprefix("lib")
        stems = (stem, stem.lower(), re.sub(r"-\d+$", "", stem))
        sonames = (name, *(found for part in stems for found in index.sonames(part)))
        return next((package for soname in sonames for package in index.providers(soname)), None)

    def program_package(self, name: str) -> str | None:
        """See `Advisor.program_package`."""
        index = self._package_index()
        return name if index is not None and index.newest(name) is not None else None

    def package_setting(self, name: str) -> "Setting | None":
        """See `Advisor.package_setting`."""
        from shipwheel.project.module_origin import extra_or_group_with, listed_elsewhere
        from shipwheel.trial.finding import Setting

        project = self._built.resolution.project
        if (found := extra_or_group_with(project, name)) is not None:
            return Setting(found[0], (found[1],))
        locked = {item.name for item in self._built.platforms[0].resolved.selection.distributions}
        listed = listed_elsewhere(project, name, locked)
        return None if listed is None else Setting("dependencies", listed[:1])

    def left_out(self, path: str) -> str:
        """See `Advisor.left_out`: the whole directory of a file, which is seldom the only one that is wanted."""
        project = self._built.resolution.project
        workdir = project.start_directory.rstrip("/")
        inside = posixpath.normpath(path.removeprefix(f"{workdir}/"))
        root = project.root / posixpath.relpath(workdir or "/", project.settings.workdir)
        file, top = (root / inside).resolve(), project.root.resolve()
        if inside.startswith("/") or not file.is_relative_to(top) or not file.is_file():
            return ""
        below = file.relative_to(top)
        return f"/{below.parent.as_posix()}/" if below.parent != Path() else f"/{below.name}"

    def example_environment(self) -> "tuple[str, Mapping[str, str]]":
        """See `Advisor.example_environment`."""
        from shipwheel.user.example_files import example_environment

        example, values = example_environment(self._built.resolution.project.root)
        # The image decides what it sets, such as the settings of Django.
        own = self._built.index.images[0].execution.environment
        return example, {name: value for name, value in values.items() if name not in own}

    def table_steps(self) -> tuple[tuple[str, ...], ...]:
        """See `Advisor.table_steps`."""
        root = self._built.resolution.project.root
        steps = (
            (("python", "manage.py", "migrate", "--noinput"), "manage.py"),
            (("alembic", "upgrade", "head"), "alembic.ini"),
        )
        found = tuple(step for step, evidence in steps if (root / evidence).is_file())
        return self._new(found) or self._new(self._flask_steps()) or self._new(self._main_steps()) or self._new(self._program_steps())

    def first_steps(self, path: str) -> tuple[tuple[str, ...], ...]:
        """See `Advisor.first_steps`."""
        volumes = tuple(f"{str(volume).rstrip('/')}/" for volume in self._subject.config.volumes)
        return self._new(self._program_steps()) if path.startswith(volumes or "\0") else ()

    def _new(self, steps: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        """Return the steps that do not run yet: the settings would only make them run less often."""
        return tuple(step for step in steps if not self._built.resolution.project.has_step(step))

    def _flask_steps(self) -> tuple[tuple[str, ...], ...]:
        """Return the commands of a Flask application that make its tables, by its own list of commands."""
        from shipwheel.trial.mend import listed_commands

        target = next((word for word in self.command() if _TARGET.fullmatch(word)), None)
        if target is None or not any(item.name == "flask" for item in self._built.platforms[0].resolved.selection.distributions):
            return ()
        flask = ("flask", "--app", target)
        commands = listed_commands(self._help((*flask, "--help")))
        if "db" in commands and (self._built.resolution.project.root / "migrations").is_dir():
            return ((*flask, "db", "upgrade"),)
        return tuple((*flask, name) for name in sorted(commands) if _MAKES_TABLES.fullmatch(name))

    def _main_steps(self) -> tuple[tuple[str, ...], ...]:
        """Return the step that runs what an application's file does when it is run itself, up to its server.

        Production imports the file, so that nothing makes the tables which it makes there.
        """
        project = self._built.resolution.project
        name = next((word.partition(":")[0] for word in self.command() if _TARGET.fullmatch(word)), "")
        modules = project.scanner.scan_modules() if project.scanner is not None else ()
        module = next((each for each in modules if each.name == name and each.is_script), None)
        servers = {name: run for name, run in _RUN_BY_A_FILE.items() if module is not None and name in module.imports}
        if module is None or not servers or not any(call.endswith(_TABLE_CALLS) for call in module.calls):
            return ()
        if "uvicorn.Server" in module.calls:
            # The step would serve, and never end.
            return ()
        file = posixpath.relpath(module.file, project.launch.directory if project.launch is not None else "")
        without = " = ".join(servers.values())
        run = f"runpy.run_path({file!r}, run_name='__main__')"
        return (("python", "-c", f"import {', '.join(servers)}, runpy; {without} = lambda *_, **__: None; {run}"),)

    def _program_steps(self) -> tuple[tuple[str, ...], ...]:
        """Return the sub-commands of the program that runs, or of the project's console scripts, which prepare its data."""
        from shipwheel.trial.mend import listed_commands

        scripts = self._built.resolution.project.scripts
        name = self.command()[0] if self.command() else ""
        programs = (name,) if name in scripts else sorted(scripts)[:_MAX_PROGRAMS]
        return tuple(
            (program, step)
            for program in programs
            for step in sorted(listed_commands(self._help((program, "--help"))))
            if step == "init" or _MAKES_TABLES.fullmatch(step)
        )

    def other_pythons(self) -> tuple[str, ...]:
        """See `Advisor.other_pythons`: the one that a file names comes first.

        A Python that came out after the project's last change is none that it was written for.
        """
        from shipwheel.project.last_change import last_change
        from shipwheel.suites import python_released

        project = self._built.resolution.project
        wanted = project.wanted_python
        is_first = bool(wanted) and minor_number(wanted) >= project.oldest_python
        others = (wanted, *project.other_pythons) if is_first else project.other_pythons
        day = last_change(project.root)
        if day is None:
            return others
        return tuple(
            each for each in others if minor_number(each) < minor_number(project.python) or python_released(minor_version(each)) <= day
        )

    def newer_pythons(self) -> tuple[str, ...]:
        """See `Advisor.newer_pythons`."""
        own = minor_number(self._built.resolution.project.python)
        return tuple(each for each in self.other_pythons() if minor_number(each) > own)

    def days(self) -> tuple[str, ...]:
        """See `Advisor.days`: no day on which few packages had files for the oldest Python that there is, Debian's or a standalone one."""
        from shipwheel.project.last_change import last_change
        from shipwheel.suites import SUITES, python_released

        found = last_change(self._built.resolution.project.root)
        oldest = (SUITES[0].python_released, python_released(_OLDEST_STANDALONE))
        return tuple(dict.fromkeys(max(found, day + _ADOPTION).isoformat() for day in oldest)) if found is not None else ()

    def version_then(self, module: str, user: str) -> str:
        """See `Advisor.version_then`."""
        from msgspec.structs import replace

        from shipwheel.locking.diagnose.alternatives import version_of_day
        from shipwheel.pipeline.resolve import lock_request

        older, newer = self._locked(user), self._locked(module)
        if older is None or newer is None or not (older.uploaded and newer.uploaded and older.uploaded < newer.uploaded):
            return ""
        request = replace(lock_request(self._built.resolution.project), as_of=older.uploaded)
        version = version_of_day(newer.name, request)
        return f"{newer.name}=={version}" if version not in ("", newer.version) else ""

    def later_in_series(self, module: str) -> "Mapping[str, str]":
        """See `Advisor.later_in_series`."""
        found = self._locked(module)
        major = found.version.partition(".")[0] if found is not None else ""
        return {found.name: f"{found.name}>{found.version},<{int(major) + 1}"} if found is not None and major.isdecimal() else {}

    def before_major(self, module: str) -> str:
        """See `Advisor.before_major`."""
        found = self._locked(module)
        major = found.version.partition(".")[0] if found is not None else ""
        return f"{found.name}<{major}" if found is not None and major.isdecimal() and int(major) >= 1 else ""

    def _locked(self, module: str) -> "LockedDistribution | None":
        """Return the installed distribution of a top-level module, by its name, or else by what the image's own Python finds."""
        from shipwheel.known_packages import PACKAGE_OF_MODULE
        from shipwheel.versions import normalized

        name = requirement_name(PACKAGE_OF_MODULE.get(module, module))
        locked = {each.name: each for each in self._built.platforms[0].resolved.selection.distributions}
        if name in locked or module in sys.stdlib_module_names:
            return locked.get(name)
        owners = _OWNER.finditer(self._help(("python", "-c", _OWNERS, module)))
        return next((locked[name] for match in owners if (name := normalized(match[1])) in locked), None)

    def _package_index(self) -> "DebianPackageIndex | None":
        from shipwheel.debian.session import ArchiveSession

        base = self._built.platforms[0].resolved.base
        if base.suite is None:
            return None
        settings = self._built.resolution.project.settings
        try:
            archive = ArchiveSession(settings.debian_mirror, self._store, self._reporter, settings.as_of)
            return archive.package_index(base.suite, self._subject.platform)
        except ShipwheelError:
            return None
