"""Flask's own commands among the steps before the start, such as `flask db upgrade`: they want to know the application."""

import posixpath
from collections.abc import Sequence

from msgspec.structs import replace

from shipwheel.project.entrypoint.applications import FLASKS
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.own_files import own_files

__all__ = ["create_all_steps", "with_flask_steps"]

_VARIABLE = "FLASK_APP"
_FOUND_BY_FLASK = ("app.py", "wsgi.py", ".flaskenv")
"""Files in the working directory that tell Flask which application it is."""
_ENVIRONMENT = "env.py"
"""Alembic's own file in a directory of migrations."""

_FLASKS = FLASKS | {"dash"}
_CREATE_ALL = (
    "import sys; from flask.cli import ScriptInfo; app = ScriptInfo(sys.argv[1]).load_app(); app.app_context().push();"
    " [getattr(each, 'db', each).create_all() for name, each in app.extensions.items() if name == 'sqlalchemy']"
)
"""Makes the tables of an application, `module:variable`, by Flask-SQLAlchemy 2 and 3; those that are there stay as they are."""

_Steps = tuple[tuple[str, ...], ...]


def with_flask_steps(launch: Launch, evidence: Evidence) -> Launch:
    """Return the launch whose Flask steps know the application that its server serves, without upgrades that have no migrations."""
    steps = launch.before_start
    if not any(step[0] == "flask" for step in steps):
        return launch
    idle = () if _has_migrations(evidence) else tuple(step for step in steps if step[:3] == ("flask", "db", "upgrade"))
    notes = tuple(f"`{' '.join(step)}` is left out: the project has no migrations." for step in idle)
    launch = replace(
        launch, before_start=_without(steps, idle), every_start=_without(launch.every_start, idle), notes=(*launch.notes, *notes)
    )
    is_known = _VARIABLE in {**evidence.settings.env, **launch.env} or any(map(evidence.has_file, _in(launch.directory)))
    target = _target(launch)
    wants = any(step[0] == "flask" and not _names_application(step) for step in launch.before_start)
    return replace(launch, env={**launch.env, _VARIABLE: target}) if wants and target and not is_known else launch


def create_all_steps(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> _Steps:
    """Return the step that makes the tables of Flask-SQLAlchemy's models, if nothing else in the project is known to: no migrations.

    The step needs Flask's own application: a middleware around one, or another framework's application, would end the start.
    """
    target = _target(launch)
    name, arguments, _ = target.partition("(")
    served = {f"{app.module.name}:{app.variable}" for each in modules for app in each.applications if app.framework.distribution in _FLASKS}
    if not evidence.has("flask-sqlalchemy") or not (arguments or name in served) or _has_migrations(evidence):
        return ()
    return (("python", "-c", _CREATE_ALL, target),)


def _target(launch: Launch) -> str:
    """Return the application that the command serves, as `module:variable`; empty if it names none."""
    return next((word for word in launch.command[1:] if ":" in word and word.partition(":")[0].replace(".", "").isidentifier()), "")


def _has_migrations(evidence: Evidence) -> bool:
    return any(posixpath.basename(file) == _ENVIRONMENT for file in own_files(evidence.root, _ENVIRONMENT))


def _without(steps: _Steps, idle: _Steps) -> _Steps:
    return tuple(step for step in steps if step not in idle)


def _in(directory: str) -> tuple[str, ...]:
    return tuple(posixpath.join(directory, name) for name in _FOUND_BY_FLASK)


def _names_application(step: tuple[str, ...]) -> bool:
    return any(word in ("-A", "--app") or word.startswith("--app=") for word in step)
