"""Django: manage.py, the application that its settings name, and the static files that WhiteNoise serves."""

import posixpath
from dataclasses import replace
from pathlib import Path

from shipwheel.errors import ProjectError
from shipwheel.files.entry import parents
from shipwheel.project.entrypoint.applications import AppObject, Framework
from shipwheel.project.entrypoint.launch import Evidence, Launch, launch_served
from shipwheel.project.entrypoint.path_eval import usable
from shipwheel.project.entrypoint.scan import Module
from shipwheel.project.entrypoint.servers import serve

__all__ = ["launch_django", "migration", "with_static_files"]


def launch_django(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    """The WSGI or ASGI application of the shallowest manage.py; None when there is none. Raises ProjectError when it names none."""
    manager = _manager(modules)
    if manager is None or not (evidence.has("django") or "django" in manager.imports):
        return None
    base = manager.file.removesuffix("manage.py")
    settings, ours = _settings(manager, modules)
    stated = _stated(settings, ours)
    wsgi = stated.get("WSGI_APPLICATION") or _entry(ours, "wsgi")
    asgi = stated.get("ASGI_APPLICATION") or _entry(ours, "asgi")
    asynchronous = asgi and (
        not wsgi
        or evidence.has("channels")
        or (evidence.has("daphne", "uvicorn", "hypercorn") and not evidence.has("gunicorn", "waitress", "uwsgi"))
    )
    target = asgi if asynchronous else wsgi
    if not target:
        raise ProjectError(
            f"{manager.file} is Django's, but neither WSGI_APPLICATION in its settings nor a wsgi.py was found",
            hint='Say how to start it: command = ["gunicorn", "--bind", "0.0.0.0:8000", "PROJECT.wsgi"].',
        )
    module, _, variable = target.rpartition(".")
    served = serve("asgi" if asynchronous else "wsgi", "django", evidence.dependencies, evidence.port or "8000")
    home = ours.get(module, manager)
    app = AppObject(home.file, module, variable, Framework("django", "wsgi"), path=base.rstrip("/"))
    launch = launch_served(evidence, app, served, f"{manager.file} is Django's; {target} is served by {served.server}.")
    if evidence.has("whitenoise") or not any(name == "STATIC_URL" for module in ours.values() for name, _ in module.strings):
        return launch
    note = f"{served.server} serves no static files, the admin's among them: use WhiteNoise, or serve them from elsewhere."
    return replace(launch, notes=(*launch.notes, note))


def with_static_files(launch: Launch, evidence: Evidence, modules: tuple[Module, ...]) -> Launch:
    """What WhiteNoise serves, for any command of a Django project that uses it."""
    manager = _manager(modules)
    if manager is None:
        return launch
    base = manager.file.removesuffix("manage.py")
    root = _stated(*_settings(manager, modules)).get("STATIC_ROOT", "")
    folder = posixpath.normpath(base + root)
    if posixpath.join(base, root).startswith("/") or folder in (".", base.rstrip("/")) or not usable(f"/{folder}"):
        return launch
    behind = any((evidence.root / part).is_symlink() for part in (folder, *parents(folder)))
    return launch if behind else _with_static_files(launch, evidence, manager.file, folder)


def migration(evidence: Evidence, modules: tuple[Module, ...], kept: bool) -> tuple[tuple[str, ...], ...]:
    """The step that makes the tables of a database that is on a volume of the image, and a newer image's: nobody else does."""
    manager = _manager(modules) if kept else None
    if manager is None or not (evidence.has("django") or "django" in manager.imports):
        return ()
    return (("python", manager.file, "migrate", "--noinput"),)


def _manager(modules: tuple[Module, ...]) -> Module | None:
    """The shallowest manage.py."""
    found = [module for module in modules if Path(module.file).name == "manage.py"]
    return min(found, key=lambda module: (module.file.count("/"), module.file), default=None)


def _settings(manager: Module, modules: tuple[Module, ...]) -> tuple[str, dict[str, Module]]:
    """The name of the settings module, and the modules beside or below manage.py."""
    base = manager.file.removesuffix("manage.py")
    settings = next((value for name, value in sorted(manager.strings) if name == "DJANGO_SETTINGS_MODULE"), "")
    return settings, {module.module: module for module in modules if module.file.startswith(base)}


def _with_static_files(launch: Launch, evidence: Evidence, manager: str, folder: str) -> Launch:
    """WhiteNoise serves what `collectstatic` copied into STATIC_ROOT: taken along when it is there, else made at the first start."""
    if any((evidence.root / folder).glob("*")):
        return replace(launch, include=(f"/{folder}/",))
    step = ("python", manager, "collectstatic", "--noinput")
    missing = f"Django's static files are not in {folder}, from where WhiteNoise serves them"
    before = f"to have them in the image, run `{' '.join(step)}` before the build."
    volume = f"{evidence.settings.workdir.rstrip('/')}/{folder}"
    if evidence.settings.before_start or evidence.settings.volumes or evidence.settings.workdir == "/" or not usable(volume):
        return replace(launch, notes=(f"{missing}: {before}",))
    note = f"{missing}, so each new container collects them into the volume {volume} when it starts; {before}"
    return replace(launch, volumes=(volume,), before_start=(step,), notes=(note,))


def _stated(settings: str, ours: dict[str, Module]) -> dict[str, str]:
    """WSGI_APPLICATION, ASGI_APPLICATION and STATIC_ROOT of the settings module, or of its neighbours when it is one of a package."""
    package = settings.rpartition(".")[0]
    near = [
        name
        for name in ours
        if name == settings or name.startswith(settings + ".") or (package and name.startswith(package + ".") and "settings" in name)
    ]
    order = sorted(near, key=lambda name: (name != settings, name))
    found: dict[str, str] = {}
    for name in order:
        for key, value in ours[name].strings:
            if key == "STATIC_ROOT" or (key in ("WSGI_APPLICATION", "ASGI_APPLICATION") and "." in value):
                found.setdefault(key, value)
    return found


def _entry(ours: dict[str, Module], name: str) -> str:
    found = sorted((module for module in ours if module.rpartition(".")[2] == name), key=lambda module: (module.count("."), module))
    return f"{found[0]}.application" if found else ""
