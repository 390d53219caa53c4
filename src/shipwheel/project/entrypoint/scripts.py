"""Console scripts, and Python files that are run as they are."""

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch, imports_neighbours, launch_file, launch_module
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.protocol_servers import SERVERS
from shipwheel.project.entrypoint.scan import EXAMPLES, Scan
from shipwheel.project.entrypoint.servers import DEFAULT_PORT, EVERY_ADDRESS
from shipwheel.versions import normalized

__all__ = ["USUAL_FILES", "find_console_script", "find_installed_file", "find_only_file", "find_script", "list_programs"]

USUAL_FILES = ("main.py", "app.py", "__main__.py", "run.py", "server.py", "bot.py", "start.py", "cli.py", "worker.py")
"""Names of scripts, the likeliest first."""

_MAIN_FILES = 4
"""Names among them that tell nothing but that the file is the main one."""
_DEEP = 2
"""Folders above a file."""
_FASTMCP = "fastmcp.FastMCP"
_OF_SERVER = lazy_pattern(r"(?:^|[/_-])server?[/._-]")
_OF_TOOLS = frozenset({"setup.py", "versioneer.py", "noxfile.py", "conftest.py", "fabfile.py"})
"""Files that tools of development run, and not the application."""


_MANAGERS = ("litestar.cli.", "litestar.__main__.", "flask.cli.", "quart.cli.", "django.core.management.execute_from_command_line")
"""Command lines of frameworks: without a sub-command, they print their help."""


def find_console_script(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return a package's only console script, or the one with the project's name, unless it is the command line of a web framework."""
    return _installed({name: target for name, target in evidence.scripts.items() if ":" in target}, evidence, scan)


def find_installed_file(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the like for a package whose setup.py installs files as commands: beside an application, they are often its tools."""
    return _installed(evidence.scripts, evidence, scan)


def _installed(scripts: Mapping[str, str], evidence: Evidence, scan: Scan) -> Launch | None:
    same = [name for name in scripts if normalized(name) == evidence.name]
    if evidence.kind != "package" or not (same or len(scripts) == 1):
        return None
    name = same[0] if same else next(iter(scripts))
    target = scripts[name].partition(":")[0].removesuffix(".__init__")
    if any(target in (module.name, module.file) and _is_manager(module) for module in scan.modules):
        return None
    return Launch((name,), True, reason=f"{name} is the project's console script ({scripts[name]}).")


def _is_manager(module: Module) -> bool:
    names = (*module.calls, *(origin for _, origin in module.imported))
    return any(name.startswith(_MANAGERS) for name in names)


def find_script(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the project's single file, a file with a usual name, a package's `__main__`, the only file with a main guard or a server.

    Without any of them, a file that loops without end at its top level is as one with a main guard.
    """
    if evidence.single_file is not None:
        return launch_file(evidence, scan.modules[0], (), f"{scan.modules[0].file} is the script.") if scan.modules else None
    finders = (_protocol_server, _unstarted_server, _named_file, _main_module, _module_in_package, _only_script, _only_server)
    looping = replace(scan, modules=tuple(replace(module, is_script=True) if module.loops else module for module in scan.modules))
    return next((launch for each in (scan, looping) for find in finders if (launch := find(evidence, each)) is not None), None)


def _protocol_server(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the one server of the Model Context Protocol at the top, unless another file starts it, or has the name of a main program."""
    top = [module for module in scan.modules if "/" not in module.file]
    starting = (each for each in top if each.is_script and ".run" in each.calls_when_run)
    found = [each for each in starting if any(call.startswith(SERVERS) for call in each.calls)]
    if len(found) != 1 or any(each.file in USUAL_FILES[:_MAIN_FILES] for each in top if each is not found[0]):
        return None
    names = (found[0].file, f"import {found[0].name}", f"from {found[0].name} ")
    if any(name in evidence.read_text(each.file) for each in top if each is not found[0] for name in names):
        return None
    return launch_file(evidence, found[0], (), f"{found[0].file} is a server of the Model Context Protocol.")


def _unstarted_server(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return FastMCP's own program for the one file that makes a server of the Model Context Protocol, if no file starts it."""
    found = [module for module in scan.modules if _FASTMCP in module.calls]
    if len(found) != 1 or "/" in found[0].file or not evidence.has("fastmcp"):
        return None
    users = (module for module in scan.modules if module is found[0] or found[0].name in module.imports)
    if any(call.startswith(".run") for module in users for call in module.calls):
        return None
    command = ("fastmcp", "run", found[0].file, "--transport", "http", "--host", EVERY_ADDRESS, "--port", DEFAULT_PORT)
    reason = f"{found[0].file} makes a server of the Model Context Protocol, which nothing starts: FastMCP does."
    return Launch(command, ports=(f"{DEFAULT_PORT}/tcp",), needs_source=True, reason=reason)


def _named_file(evidence: Evidence, scan: Scan) -> Launch | None:
    by_file = {module.file: module for module in scan.modules}
    for name in (*USUAL_FILES, f"{evidence.name.replace('-', '_')}.py"):
        for file in (name, f"src/{name}"):
            if file in by_file:
                return launch_file(evidence, by_file[file], (), f"{file} is the project's script, by its name.")
    return None


def _main_module(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the one package that `python -m` can run."""
    found = [module for module in scan.modules if module.name.endswith(".__main__") and module.name.count(".") == 1]
    if len(found) != 1:
        return None
    package = found[0].top_level
    launch = launch_module(evidence, found[0], ("python", "-m", package), f"{package} can be run as a program ({found[0].file}).")
    ports = tuple(f"{port}/tcp" for port in found[0].ports[:1])
    return replace(launch, is_program=not ports, ports=ports)


def _is_in_package(evidence: Evidence, module: Module) -> bool:
    """Return whether a file is directly in a package at the top, also in one that is on the import path itself."""
    on_path = "." not in module.name and bool(module.import_root) and evidence.has_file(f"{module.import_root}/__init__.py")
    return module.name.count(".") == 1 or on_path


def _module_in_package(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the one module inside a package that has a main guard and the likeliest name."""
    found = [module for module in scan.modules if module.is_script and _name(module) in USUAL_FILES and _is_in_package(evidence, module)]
    best = min((USUAL_FILES.index(_name(module)) for module in found), default=0)
    likeliest = [module for module in found if USUAL_FILES.index(_name(module)) == best]
    if len(likeliest) != 1:
        return None
    (module,) = likeliest
    started = launch_file(evidence, module, (), f"{module.file} can be run as a program.")
    if imports_neighbours(evidence, module):
        return started
    packaged = launch_module(evidence, module, ("python", "-m", module.name), started.reason)
    return replace(started, command=packaged.command, needs_source=packaged.needs_source, python_path=packaged.python_path)


def _only_script(evidence: Evidence, scan: Scan) -> Launch | None:
    found = [module for module in scan.modules if module.is_script and "/" not in module.file and module.file not in _OF_TOOLS]
    return launch_file(evidence, found[0], (), f"{found[0].file} is the only script.") if len(found) == 1 else None


def _only_server(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the one file at the top that starts a server on a port: the scripts beside it are its clients and tools."""
    found = [module for module in scan.modules if module.ports and "/" not in module.file]
    return launch_file(evidence, found[0], (), f"{found[0].file} is the only file that starts a server.") if len(found) == 1 else None


def find_only_file(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the only Python file of a project that is no package, if its last line starts something."""
    found = [module for module in scan.modules if _name(module) not in (*_OF_TOOLS, "__init__.py")]
    if evidence.kind != "app" or len(found) != 1 or not found[0].acts:
        return None
    return launch_file(evidence, found[0], (), f"{found[0].file} is the project's only Python file.")


def _name(module: Module) -> str:
    return Path(module.file).name


def list_programs(evidence: Evidence, scan: Scan) -> list[str]:
    """Return the files that can be run as programs, none of which is the application by itself: servers first, deep ones last.

    What lies deep in a project is often a copy of somebody else's package.
    """
    own = [module.file for module in scan.modules if (module.is_script or module.loops) and Path(module.file).name not in _OF_TOOLS]
    below = sorted(path for name in EXAMPLES for pattern in ("*.py", "*/*.py") for path in (evidence.root / name).glob(pattern))
    files = [path.relative_to(evidence.root).as_posix() for path in below]
    ordered = sorted(own, key=lambda file: (file.count("/") > _DEEP, _OF_SERVER.search(file) is None))
    return [*ordered, *(file for file in files if "__main__" in evidence.read_text(file))]
