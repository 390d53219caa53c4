"""The command of a process that a deployment file declares, with the steps before it, if the image that shipwheel builds can run it."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import msgspec
from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.build_steps import is_build_step, is_of_database
from shipwheel.project.deployment.process import BUILD, RELEASE, DeploymentFile, Process
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.deployment.secrets import has_credentials, is_secret, is_secret_variable
from shipwheel.project.entrypoint.build_steps import runs_maker
from shipwheel.project.entrypoint.command_address import Listening, find_address, is_server, lasts, tool_of, unprivileged
from shipwheel.project.entrypoint.development import in_foreground
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.image_settings import IMAGE_VARIABLE
from shipwheel.project.entrypoint.launch import Finder, Launch, started_modules, with_server
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.project_paths import is_within
from shipwheel.project.entrypoint.runnable import Runnable
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.servers import DEFAULT_PORT, PROGRAM_PACKAGES
from shipwheel.project.entrypoint.working_directory import own_project_folder

__all__ = [
    "declared_finder",
    "declared_steps",
    "directory_notes",
    "embedding_finder",
    "find_process",
    "needs_server",
    "own_command_finder",
    "own_program_finder",
    "started_with",
    "unused_commands",
]

_MAX_COMMAND = 8192
"""Characters of a command; a longer one was not written by a person."""
_WITHOUT_STEP = frozenset(
    """
    chown chmod mkdir touch rm cat ls find grep sed awk cp mv ln id whoami hostname date ps kill pwd stat test env export tr cut head tail
    psql pg_isready mysqladmin mysql mariadb-admin redis-cli mongosh nc netcat ncat curl wget timeout getent nslookup ping apt-get
    pip pip3 poetry pipenv pdm npm yarn pnpm npx apk update-ca-certificates
    usermod groupmod useradd adduser addgroup groupadd passwd install
    """.split()  # noqa: SIM905
)
"""Programs that wait for a companion or prepare directories, which our image's volumes and its user make unnecessary."""
_PROXIES = frozenset({"nginx", "caddy", "apache2ctl", "httpd", "haproxy", "traefik"})
"""Servers that only pass on what another program answers."""
_PRODUCTION_SERVERS = frozenset(
    """
    waitress.serve uvicorn.run uvicorn.Server hypercorn.asyncio.serve hypercorn.trio.serve gevent.pywsgi.WSGIServer eventlet.wsgi.server
    aiohttp.web.run_app aiohttp.web.AppRunner cheroot.wsgi.Server cherrypy.quickstart tornado.httpserver.HTTPServer granian.Granian
    bjoern.run nicegui.ui.run
    """.split()  # noqa: SIM905
)
"""Calls that start a production server."""
_EMBEDDED_SERVERS = frozenset({"uvicorn.Server", "hypercorn.asyncio.serve", "hypercorn.trio.serve", "aiohttp.web.AppRunner"})
"""Those that are started in an event loop, which may have other work: a bot that polls, a consumer of messages."""
_DEVELOPMENT_METHODS = frozenset({"run", "run_server"})
"""Methods of an application that start its framework's development server."""
_STARTS = frozenset({"run", "serve", "serve_forever", "main", "start", "run_app", "listen", "launch"})
"""Names of what starts a program."""
_DIE_ON_TERM = "UWSGI_DIE_ON_TERM"
_TEMPORARY = ("/tmp", "/var/tmp", "/dev", "/run")  # noqa: S108 - paths in the image
_BUILD_STEPS = frozenset(
    {"compilemessages", "compile", "compress", "makemessages", "makemigrations", "build", "collectstatic", "bundle", "revision"}
)
"""Words of steps that write files beside the code, where a container has none to write."""
_NEW_MIGRATIONS = (("db", "migrate"), ("db", "init"), ("db", "revision"))
"""Commands of Flask-Migrate that write beside the code."""
_WITHOUT_QUESTIONS = ("--noinput", "--no-input")
_EMPTIES = lazy_pattern(r"flush|drop|(?:reset|recreate|drop|wipe|purge|clear|destroy)[_-]?(?:db|database|all|tables?)")
"""Words of steps that throw away what the app has stored: good where somebody develops, and not at each start of a container."""


_Steps = tuple[tuple[str, ...], ...]
"""Commands that run before the start."""


class _Found(msgspec.Struct, frozen=True):
    """The command that a process comes to, and the steps before it."""

    command: ShellCommand
    words: tuple[str, ...]
    steps: _Steps
    notes: tuple[str, ...]


def declared_finder(kind: DeploymentFile) -> Finder:
    """Return the finder of a command that a kind of file declares: a server, a worker, or a console script with its arguments."""

    def find(evidence: Evidence, scan: Scan) -> Launch | None:
        launch = _find(kind, evidence, scan)
        if launch is None or not (is_server(launch.command) or launch.command[0] != "python"):
            return None
        return launch

    return find


def embedding_finder(kind: DeploymentFile) -> Finder:
    """Return the finder of a file of the project that a kind of file runs, if it starts a production server in an event loop of its own.

    Its web application alone may be only a part of it.
    """

    def find(evidence: Evidence, scan: Scan) -> Launch | None:
        launch = _find(kind, evidence, scan)
        if launch is None or launch.command[0] != "python":
            return None
        words = {*launch.command, *(posixpath.normpath(posixpath.join(launch.directory, word)) for word in launch.command[1:])}
        started = started_modules(launch, evidence.scripts, scan.modules)
        # What another program starts does not start when it is imported.
        running = [module for module in started if not module.is_script or {module.name, module.file} & words]
        embedding = [module for module in running if not module.calls.isdisjoint(_EMBEDDED_SERVERS)]
        return launch if embedding and not any(module.loopback_only for module in embedding) else None

    return find


def own_program_finder(kind: DeploymentFile) -> Finder:
    """Return the finder of a file of the project that a kind of file runs, unless that is a web application without a production server."""

    def find(evidence: Evidence, scan: Scan) -> Launch | None:
        launch = _find(kind, evidence, scan)
        if launch is None:
            return None
        started = started_modules(launch, evidence.scripts, scan.modules)
        return None if needs_server(started, scan.modules, evidence) else launch

    return find


def needs_server(reached: Sequence[Module], modules: Sequence[Module], evidence: Evidence) -> bool:
    """Return whether a program only defines a web application, or serves it with a development server."""
    if any(not module.calls.isdisjoint(_PRODUCTION_SERVERS) for module in reached):
        return False
    with_application = [module for module in modules if module.applications]
    variables = {app.variable for module in with_application for app in module.applications}
    tops = {module.top_level for module in with_application}
    calls = {tuple(call.split(".")[-2:]) for module in reached for call in module.calls}
    if ("socketio", "run") in calls or any("flask_socketio" in module.imports for module in reached):
        # Flask-SocketIO starts a production server if it has one.
        return not evidence.has("eventlet", "gevent")
    if any(name in variables and method in _DEVELOPMENT_METHODS for name, method in (call for call in calls if len(call) == 2)):
        return True
    imports_application = any(module.applications or module.imports & tops for module in reached)
    return imports_application and not any(method in _STARTS for *_, method in calls)


def own_command_finder(kind: DeploymentFile) -> Finder:
    """Return the finder of any command that a kind of file declares, also of one that runs a file of the project."""
    return lambda evidence, scan: _find(kind, evidence, scan)


def find_process(process: Process, evidence: Evidence, directory: str) -> tuple[tuple[str, ...], str]:
    """Return (the command of a process in an image that starts in `directory`, why it cannot run; empty if it can)."""
    found = _main_command(process, evidence, process.commands(_variables(process, evidence)))
    if isinstance(found, str):
        return (), found
    if (package := PROGRAM_PACKAGES.get(found.words[0])) and not (evidence.has(package) or found.words[0] in evidence.scripts):
        return (), f"the project does not require {package}"
    if (Runnable(evidence, process.files).directory(found.command) or "") != directory:
        return (), "it runs in another directory"
    env = dict(found.command.env)
    return (found.words, "") if not _has_secret(found.words, env) else ((), "it contains a secret")


def started_with(process: Process, evidence: Evidence) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (command, note) of what a process starts in the background beside its own command."""
    commands = process.commands(_variables(process, evidence))
    runnable = Runnable(evidence, process.files)
    main = _lasting(commands, runnable)
    for command in commands:
        if command.background and command is not main and not (command.program or _is_side_work(command)):
            what = f"{command.place}: `{command.text}`, which {process.name} starts beside its own command, is not started"
            yield runnable.words(command), f"{what}: name it in [tool.shipwheel.processes]."


def declared_steps(evidence: Evidence, scan: Scan, given: _Steps) -> tuple[_Steps, tuple[str, ...]]:
    """Return (the steps before the start, notes about them): those of a release, then the `given` ones of the command.

    If the command has none because it comes from elsewhere, the steps of the first process that has some count.
    """
    processes = scan.deployment.processes
    releases = [process for process in processes if process.name == RELEASE]
    # What a person runs first may empty a database.
    others = () if given else [process for process in processes if process.name != RELEASE and not _is_started_by_hand(process)]
    # Several services of a compose file may run before the others.
    before = [_all_steps(process, evidence) for process in releases if process.kind is releases[0].kind]
    first, notes = tuple(chain(*(steps for steps, _ in before))), tuple(chain(*(said for _, said in before)))
    found = next((steps for process in others if (steps := _all_steps(process, evidence))[0]), (given, ()))
    built = (note for process in others if process.name == BUILD for note in _all_steps(process, evidence)[1])
    return _unique((*first, *found[0])), tuple(dict.fromkeys((*notes, *found[1], *built)))


def _unique(steps: _Steps) -> _Steps:
    """Return steps without those of another file that differ by --noinput alone; the one with it stays."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for step in steps:
        key = tuple(word for word in step if word not in _WITHOUT_QUESTIONS)
        found[key] = max(found.get(key, ()), step, key=len)
    return tuple(found.values())


def _is_started_by_hand(process: Process) -> bool:
    """Return whether a person starts a process: a task, or a process of a Procfile that no platform runs unasked."""
    return process.kind is DeploymentFile.TASK or (process.kind is DeploymentFile.PROCFILE and process.name != "web")


def _all_steps(process: Process, evidence: Evidence) -> tuple[_Steps, tuple[str, ...]]:
    return _steps(process, evidence, process.commands(_variables(process, evidence)))


def unused_commands(evidence: Evidence, scan: Scan, launch: Launch) -> tuple[str, ...]:
    """Return a sentence for each declared command before the launch's own that the image cannot run, or should not."""
    notes: list[str] = []
    for kind in DeploymentFile:
        process = _main_process(scan.deployment.of_kind(kind))
        if process is None or not kind.is_firm:
            continue
        if process.place == launch.declared_at:
            break
        commands = process.commands(_variables(process, evidence))
        found = _main_command(process, evidence, commands)
        if isinstance(found, str):
            notes.append(f"{process.place}: `{process.shown}` is not the image's command: {found}.")
        elif launch.command and any(command.background for command in commands):
            what = f"{found.command.place}: `{found.command.text}` is not the image's command, which is {launch.command[0]}"
            notes.append(f"{what}: name it in [tool.shipwheel.processes] if both are to run.")
    return tuple(notes)


def directory_notes(evidence: Evidence, scan: Scan, launch: Launch) -> tuple[str, ...]:
    """Return a sentence that names the directory to build, if the Dockerfile's image starts in one with a project of its own.

    A command that comes from elsewhere starts in the project's directory, and may miss files that it names by relative paths.
    """
    dockerfile, folder = scan.deployment.dockerfile, own_project_folder(evidence, scan)
    if dockerfile is None or not folder or launch.declared_at or launch.directory:
        return ()
    what = f"{dockerfile.name} is for {folder}, which has requirements of its own, and the command comes from elsewhere"
    return (f"{what}: if the app misses its files or modules, build that directory: `shipwheel build {folder}`.",)


def _main_process(processes: tuple[Process, ...]) -> Process | None:
    # Of several web services, the first counts.
    named = {process.name: process for process in reversed(processes) if process.name not in (BUILD, RELEASE)}
    # A compose file's only service is called web, unless the web server is another one that production does not use.
    only = next(iter(named.values())) if len(named) == 1 else None
    return named.get("web") or (only if only is not None and only.kind is not DeploymentFile.COMPOSE else None)


def _find(kind: DeploymentFile, evidence: Evidence, scan: Scan) -> Launch | None:
    process = _main_process(scan.deployment.of_kind(kind))
    return _launch(process, evidence, scan) if process is not None else None


def _launch(process: Process, evidence: Evidence, scan: Scan) -> Launch | None:
    runnable = Runnable(evidence, process.files)
    variables = _variables(process, evidence)
    found = _main_command(process, evidence, process.commands(variables))
    if isinstance(found, str):
        return None
    given = (pair for pair in found.command.env if pair[0] == "PYTHONPATH" or not IMAGE_VARIABLE.fullmatch(pair[0]))
    own_env = {name: runnable.value(value) for name, value in given}
    port = {"PORT": variables["PORT"]} if process.kind is DeploymentFile.PROCFILE and process.name == "web" else {}
    env = {**_stop_of_uwsgi(found.words, process), **port, **_environment_of_task(process), **own_env}
    if _has_secret(found.words, env):
        return None
    directory = "" if found.words[0] in evidence.scripts else runnable.directory(found.command) or ""
    everything = {**process.variables, **env, **evidence.settings.env}
    address = find_address(found.words, everything, evidence, scan.modules, directory, evidence.port or "")
    listening = unprivileged(address)
    ports = _ports(process, evidence, listening, found.words, scan, directory)
    if port and listening.ports and "PORT" not in evidence.settings.env:
        # A server's own settings file may have a port of its own if PORT is not set, and the platform would set it.
        env["PORT"] = listening.ports[0]
    launch = Launch(
        listening.words,
        ports=tuple(f"{port}/tcp" for port in ports),
        env=env,
        directory=directory,
        needs_source=evidence.kind == "app",
        python_path=runnable.import_path(found.words, directory),
        before_start=found.steps,
        every_start=found.steps,
        reason=_reason(process, scan),
        declared_at=process.place,
        notes=(*found.notes, *_derived_notes(process, found.command), *_address_notes(process, listening, address.ports)),
    )
    return _as_program(with_server(launch, evidence), process, found, runnable)


def _stop_of_uwsgi(words: tuple[str, ...], process: Process) -> dict[str, str]:
    """Return the variable with which uWSGI ends on the signal that stops a container: by itself it starts again on SIGTERM."""
    return {_DIE_ON_TERM: "true"} if tool_of(words) == "uwsgi" and _DIE_ON_TERM not in process.variables else {}


def _environment_of_task(process: Process) -> dict[str, str]:
    """Return what a task sets, but for secrets and values of its machine; other files' variables are among the image's settings."""
    given = process.variables if process.kind is DeploymentFile.TASK else {}
    return {key: text for key, text in given.items() if "$" not in text and not is_secret(key, text)}


def _variables(process: Process, evidence: Evidence) -> dict[str, str]:
    """Return the variables of a process: PORT has a value even if only the platform gives it one."""
    settings, own_port = evidence.settings, process.variables.get("PORT") or next(iter(process.ports), None)
    port = evidence.settings_port or settings.env.get("PORT") or own_port or evidence.port or DEFAULT_PORT
    return {"PORT": port, **settings.env}


def _main_command(process: Process, evidence: Evidence, commands: tuple[ShellCommand, ...]) -> _Found | str:
    """Return the last command that a process runs, which lasts, with the steps before it, or why the image cannot run it."""
    runnable = Runnable(evidence, process.files, process.variables.get("PYTHONPATH", ""))
    main = _lasting(commands, runnable)
    if main is None or sum(map(len, main.words)) > _MAX_COMMAND:
        return "it starts nothing that is known"
    words = runnable.words(main)
    if process.name not in (BUILD, RELEASE) and (is_build_step(words) or is_of_database(words)):
        # Its script expects a command that nothing gives it: `exec "$@"`.
        return "it ends with a step, and starts nothing that lasts"
    obstacle = main.doubt or runnable.obstacle(words, runnable.directory(main))
    if obstacle or _is_of_another_machine(process, words):
        return obstacle or "it names files of the machine that it is installed on"
    steps, notes = _steps(process, evidence, commands)
    return _Found(main, words, steps, notes)


def _lasting(commands: Sequence[ShellCommand], runnable: Runnable) -> ShellCommand | None:
    """Return the command that lasts: a server, or the last one; if a script starts that in the background, the first server."""
    programs = [command for command in commands if not _is_side_work(command)]
    certain = (it for it in programs if not (it.background or it.doubt) and in_foreground(it.words) == it.words)
    if (server := next((command for command in certain if lasts(runnable.words(command))), None)) is not None:
        return server
    before = programs[:-1]
    if any(command.background for command in before) and posixpath.basename(programs[-1].words[0]) in _PROXIES:
        programs = before
    if not programs or not programs[-1].background:
        return programs[-1] if programs else None
    return next((command for command in programs if is_server(runnable.words(command))), programs[-1])


def _is_of_another_machine(process: Process, words: tuple[str, ...]) -> bool:
    """Return whether a unit of systemd names files that only the machine has that it is installed on."""
    paths = [path for word in words[1:] if (path := word.rpartition("=")[2]).startswith("/")]
    return process.kind is DeploymentFile.SYSTEMD and any(not is_within(path, _TEMPORARY) for path in paths)


def _is_side_work(command: ShellCommand) -> bool:
    # A program in a here-document waits for a companion: `python << END`.
    return posixpath.basename(command.words[0]) in _WITHOUT_STEP or command.words in (("python",), ("python3",), ("python3", "-"))


def _steps(process: Process, evidence: Evidence, commands: tuple[ShellCommand, ...]) -> tuple[_Steps, tuple[str, ...]]:
    """Return (the one-time steps before the last command, notes about what cannot be one)."""
    runnable = Runnable(evidence, process.files)
    main = _lasting(commands, runnable) if process.name not in (BUILD, RELEASE) else None
    steps: list[tuple[str, ...]] = []
    notes: list[str] = []
    last = main or next((command for command in reversed(commands) if not command.background), None)
    home = runnable.directory(last) if last is not None else ""
    behind = commands.index(main) if main in commands and not main.background else len(commands)
    for number, command in enumerate(commands):
        if number > behind and not command.background:
            continue
        of_other = command.program and (main is None or command.program != main.program)
        if command is main or _is_side_work(command) or of_other:
            continue
        words = runnable.words(command)
        reason = command.doubt or ("it runs beside the app, as an entry of [tool.shipwheel.processes] could" if command.background else "")
        reason = reason or ("it is a server, which does not end" if lasts(words) else "")
        is_of_build = is_build_step(words) or _BUILD_STEPS & {*words[1:3]} or words[1:3] in _NEW_MIGRATIONS
        is_of_build = is_of_build or (process.name == BUILD and runs_maker(words, home, evidence))
        reason = reason or ("it writes beside the code: run it before the build, or in [[tool.shipwheel.steps]]" if is_of_build else "")
        reason = reason or ("" if runnable.directory(command) == home else "it runs in another directory")
        env = dict(command.env)
        reason = reason or runnable.obstacle(words, home, {**process.variables, **env})
        reason = reason or ("it empties the database" if any(map(_EMPTIES.fullmatch, words[1:4])) else "")
        reason = reason or ("it contains a secret" if _has_secret(words, env) else "")
        if not reason:
            steps.append(words)
        elif not is_build_step(words):
            notes.append(f"{command.place}: `{command.text}` is not a start step: {reason}.")
    return tuple(dict.fromkeys(steps)), tuple(dict.fromkeys(notes))


def _has_secret(words: tuple[str, ...], env: Mapping[str, str]) -> bool:
    return any(map(is_secret_variable, env)) or any(map(has_credentials, (*words, *env.values())))


def _ports(
    process: Process, evidence: Evidence, listening: Listening, words: tuple[str, ...], scan: Scan, directory: str
) -> tuple[str, ...]:
    if listening.ports:
        all_listen = {*listening.ports} <= {*process.ports} and not listening.loopback.startswith("unix:")
        others = process.ports if all_listen else ()
        return tuple(dict.fromkeys((*listening.ports, *others)))
    if process.ports:
        return process.ports
    if process.kind is DeploymentFile.PROCFILE and process.name == "web":
        return (_variables(process, evidence)["PORT"],)
    module = next((module for module in scan.modules if module.file in {posixpath.join(directory, word) for word in words}), None)
    return module.ports[:1] if module is not None else ()


def _reason(process: Process, scan: Scan) -> str:
    place = "The Dockerfile" if process.file == "Dockerfile" else "The Procfile" if process.file == "Procfile" else process.file
    if process.kind is not DeploymentFile.PROCFILE:
        others = scan.deployment.other_dockerfiles
        return f"{place} names it (line {process.line})" + (f"; also found: {', '.join(others[:3])}." if others else ".")
    names = [other.name for other in scan.deployment.of_kind(process.kind) if other.name != process.name]
    return f"{place} names it as {process.name}" + (f"; it also has {', '.join(names)}." if names else ".")


def _derived_notes(process: Process, command: ShellCommand) -> Iterator[str]:
    given = [name for name in command.derived if name not in process.variables]
    if given:
        what = f"makes {', '.join(given)} of other variables, and the image does not run it"
        yield f"{process.place}: what runs before `{command.words[0]}` {what}: set them when you start the container."


def _address_notes(process: Process, listening: Listening, ports: Sequence[str]) -> Iterator[str]:
    if moved := [f"{port} instead of {before}" for before, port in zip(ports, listening.ports, strict=False) if before != port]:
        yield f"{process.place}: the command listens on port {', '.join(moved)}, which only root may open everywhere."
    if listening.loopback and not listening.opened:
        yield (
            f"{process.place}: the command listens on {listening.loopback} only, which cannot be reached from outside the container:"
            " make it listen on 0.0.0.0."
        )


def _as_program(launch: Launch, process: Process, found: _Found, runnable: Runnable) -> Launch:
    """Return the launch as a command-line program's, if an ENTRYPOINT in exec form names it and it listens on no port."""
    direct = process.fixed and found.command.file == process.file and found.command.line == process.line
    if not direct or launch.ports or is_server(found.words) or tool_of(found.words) in ("celery", "uwsgi"):
        return launch
    # Arguments that a user gives replace CMD, if what ENTRYPOINT names can start without it.
    count = len(process.arguments)
    entry = found.words[:-count] if count and found.words[-count:] == process.arguments else ()
    if entry and not runnable.obstacle(entry, launch.directory):
        return replace(launch, command=entry, is_program=True, arguments=found.words[len(entry) :])
    return replace(launch, is_program=True)
