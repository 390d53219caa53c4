"""Django: manage.py, the application that its settings name, and the static files that WhiteNoise serves."""

from dataclasses import replace
from pathlib import Path

from shipwheel.errors import ProjectError
from shipwheel.python.launch import Evidence, Launch, launch_served
from shipwheel.python.scan import AppObject, Framework, Module
from shipwheel.python.server import serve

__all__ = ["launch_django"]


def launch_django(evidence: Evidence, modules: tuple[Module, ...]) -> Launch | None:
    """The WSGI or ASGI application of the shallowest manage.py; None when there is none. Raises ProjectError when it names none."""
    managers = [module for module in modules if Path(module.file).name == "manage.py"]
    if not managers or not (evidence.has("django") or any("django" in module.imports for module in managers)):
        return None
    manager = min(managers, key=lambda module: (module.file.count("/"), module.file))
    base = manager.file.removesuffix("manage.py")
    ours = {module.module: module for module in modules if module.file.startswith(base)}
    settings = next((value for name, value in sorted(manager.strings) if name == "DJANGO_SETTINGS_MODULE"), "")
    stated = _stated(settings, ours)
    wsgi = stated.get("WSGI_APPLICATION") or _entry(ours, "wsgi")
    asgi = stated.get("ASGI_APPLICATION") or _entry(ours, "asgi")
    asynchronous = asgi and (
        not wsgi or (evidence.has("daphne", "uvicorn", "hypercorn") and not evidence.has("gunicorn", "waitress", "uwsgi"))
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
    folder = base + stated.get("STATIC_ROOT", "").strip("/")
    if not evidence.has("whitenoise") or folder == base or stated["STATIC_ROOT"].startswith("/"):
        return launch
    return _with_static_files(launch, evidence, manager.file, folder)


def _with_static_files(launch: Launch, evidence: Evidence, manager: str, folder: str) -> Launch:
    """WhiteNoise serves what `collectstatic` copied into STATIC_ROOT: taken along when it is there, else made at the first start."""
    if any((evidence.root / folder).glob("*")):
        return replace(launch, include=(f"/{folder}/",))
    step = ("python", manager, "collectstatic", "--noinput")
    missing = f"Django's static files are not in {folder}, from where WhiteNoise serves them"
    before = f"to have them in the image, run `{' '.join(step)}` before the build."
    if evidence.settings.before_start or evidence.settings.volumes:
        return replace(launch, notes=(f"{missing}: {before}",))
    volume = f"{evidence.settings.workdir.rstrip('/')}/{folder}"
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
