"""A project's metadata, read without running anything.

Supported are PEP 621, Poetry's table, setup.cfg, setup.py (only its syntax tree is read), and the inline metadata of scripts (PEP 723).
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.poetry import poetry_group, poetry_pythons, unversioned_requirements
from shipwheel.project.requirements import read_requirements
from shipwheel.quiet import without_warnings
from shipwheel.user.files import UserFiles, parse_toml, table_at
from shipwheel.versions import normalized

__all__ = [
    "Metadata",
    "dependency_names",
    "has_group",
    "has_setup_script",
    "read_group",
    "read_metadata",
    "read_script",
]


class Metadata(msgspec.Struct, frozen=True):
    """Static metadata. `dependencies` are requirements (PEP 508); if `dynamic`, there are more, which only a build tells."""

    origin: str
    """The file that it was read from, relative to the project."""
    name: str | None = None
    version: str | None = None
    requires_python: tuple[str, ...] = ()
    """Version specifiers (PEP 440), one of which must be satisfied; empty if any Python will do."""
    dependencies: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    dynamic: bool = False
    scripts: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Console script -> module:function, or the path of the Python file that is installed under its own name."""
    package: bool = False
    """True if the project is built into a wheel."""
    backend: str = ""
    packages: tuple[str, ...] | None = None
    """Top-level import names in the wheel, if the metadata lists them; None if the build backend finds them."""
    tables: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """The tables of pyproject.toml, or of a script's inline metadata."""


def read_metadata(files: UserFiles, root: Path) -> Metadata | None:
    """Read the metadata of a directory: [project] in pyproject.toml, else Poetry's table, else setup.cfg and setup.py; None without any.

    Raises ProjectError for syntax errors, LockError for requirements and constraints that are not understood.
    """
    tables = files.read_tables(root)
    legacy = has_setup_script(files, root) or _has_setup_cfg(files, root)
    if isinstance(tables.get("project"), dict):
        return _pep621(files, root, tables, legacy)
    if table_at(tables, "tool", "poetry"):
        return _poetry(tables)
    if legacy:
        return _setuptools(files, root, tables)
    return None


def has_setup_script(files: UserFiles, root: Path) -> bool:
    """Return whether a directory has a setup.py that packages it, and no script of the app's that has the same name."""
    path = root / "setup.py"
    return files.is_file(path) and _PACKAGES.search(files.read_start(path, _MAX_SETUP)) is not None


def read_script(files: UserFiles, path: Path) -> Metadata | None:
    """Read the inline metadata of a single-file script (PEP 723); None without any. Raises ProjectError if it is malformed."""
    blocks = list(_inline(files.read_text(path)))
    if not blocks:
        return None
    if len(blocks) > 1:
        raise ProjectError(f"{path} has more than one `# /// script` block", hint="Keep one of them.")
    tables = parse_toml(blocks[0], f"{path} (inline metadata)")
    return Metadata(
        origin=path.name,
        name=path.stem,
        requires_python=_strings([tables.get("requires-python")]),
        dependencies=_strings(tables.get("dependencies")),
        tables=tables,
    )


def _inline(text: str) -> Iterator[str]:
    """Yield the TOML of each `script` block: comment lines from `# /// script` to the last `# ///` before a line that is no comment."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.rstrip() != "# /// script":
            continue
        block: list[str] = []
        for inner in lines:
            if inner != "#" and not inner.startswith("# "):
                break
            block.append(inner[2:])
        ends = [number for number, inner in enumerate(block) if inner.rstrip() == "///"]
        if ends:
            yield "\n".join(block[: ends[-1]])


def _pep621(files: UserFiles, root: Path, tables: Mapping[str, Any], legacy: bool) -> Metadata:
    project = tables["project"]
    dynamic = _strings(project.get("dynamic"))
    dependencies, unknown = _strings(project.get("dependencies")), "dependencies" in dynamic
    if unknown and (named := table_at(tables, "tool", "setuptools", "dynamic", "dependencies").get("file")):
        dependencies = tuple(line.text for line in read_requirements(tuple(root / name for name in _strings(named)), files).lines)
        unknown = False
    poetry = table_at(tables, "tool", "poetry")
    if unknown and isinstance(poetry.get("dependencies"), dict):
        dependencies, unknown = tuple(unversioned_requirements(poetry["dependencies"])), False
    backend = _string(table_at(tables, "build-system").get("build-backend")) or ""
    package = table_at(tables, "tool", "uv").get("package")
    if not isinstance(package, bool):
        package = ("build-system" in tables or legacy) and poetry.get("package-mode") is not False
    if not isinstance(project.get("name"), str):
        raise ProjectError(f"{root / 'pyproject.toml'}: [project] has no name", hint='Add name = "..." below [project].')
    return Metadata(
        origin="pyproject.toml",
        name=project["name"],
        version=_string(project.get("version")),
        requires_python=_strings([project.get("requires-python")]),
        dependencies=dependencies,
        extras={normalized(name): _strings(wanted) for name, wanted in table_at(project, "optional-dependencies").items()},
        dynamic=unknown,
        scripts=_pairs(project.get("scripts")),
        package=package,
        backend=backend,
        packages=_declared_packages(tables),
        tables=tables,
    )


def _poetry(tables: Mapping[str, Any]) -> Metadata:
    poetry = table_at(tables, "tool", "poetry")
    wanted = table_at(poetry, "dependencies")
    python = wanted.get("python")
    scripts = {
        name: script.get("callable", "") if isinstance(script, dict) else script for name, script in table_at(poetry, "scripts").items()
    }
    extras = {normalized(name): _strings(names) for name, names in table_at(poetry, "extras").items()}
    return Metadata(
        origin="pyproject.toml",
        name=_string(poetry.get("name")),
        version=_string(poetry.get("version")),
        requires_python=poetry_pythons(python) if isinstance(python, str) else (),
        dependencies=tuple(unversioned_requirements(wanted)),
        extras=extras,
        scripts=_pairs(scripts),
        package=poetry.get("package-mode") is not False and isinstance(poetry.get("name"), str),
        backend=_string(table_at(tables, "build-system").get("build-backend")) or "poetry.core.masonry.api",
        packages=_declared_packages(tables),
        tables=tables,
    )


def _declared_packages(tables: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the top-level names that the build backend's tables list; None without any."""
    names: list[str] = []
    poetry = table_at(tables, "tool", "poetry").get("packages")
    if isinstance(poetry, list):
        names += _strings([item.get("include") for item in poetry if isinstance(item, dict)])
    hatch = table_at(tables, "tool", "hatch", "build", "targets", "wheel")
    names += [path.rstrip("/").rpartition("/")[2] for path in _strings(hatch.get("packages"))]
    tool = table_at(tables, "tool")
    setuptools = table_at(tool, "setuptools")
    names += _strings(setuptools.get("packages")) + _strings(setuptools.get("py-modules"))
    names += _strings([table_at(tool, "flit", "module").get("name")])
    uv = table_at(tool, "uv", "build-backend").get("module-name")
    names += _strings(uv if isinstance(uv, list) else [uv])
    return tuple(dict.fromkeys(re.split(r"[./]", name)[0] for name in names)) or None


def _has_setup_cfg(files: UserFiles, root: Path) -> bool:
    path = root / "setup.cfg"
    return files.is_file(path) and bool({"metadata", "options"} & set(_setup_cfg(files, path)))


def _setup_cfg(files: UserFiles, path: Path) -> dict[str, dict[str, str]]:
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(files.read_text(path), str(path))
    except configparser.Error as error:
        raise ProjectError(f"{path}: {str(error).splitlines()[0]}", hint="Correct the file's syntax.") from error
    return {section: dict(parser[section]) for section in parser.sections()}


def _setuptools(files: UserFiles, root: Path, tables: Mapping[str, Any]) -> Metadata:
    cfg = _setup_cfg(files, root / "setup.cfg") if files.is_file(root / "setup.cfg") else {}
    script = root / "setup.py"
    call = _setup_call(files.read_text(script), str(script)) if files.is_file(script) else {}
    about, options = cfg.get("metadata", {}), cfg.get("options", {})
    requires = call.get("install_requires", _lines(options.get("install_requires", "")))
    entry = call.get("entry_points", {})
    console = entry.get("console_scripts", []) if isinstance(entry, dict) else []
    if isinstance(entry, str):
        console = _lines(re.split(r"\n\s*\[", entry.partition("[console_scripts]")[2])[0])
    scripts = [*_lines(cfg.get("options.entry_points", {}).get("console_scripts", "")), *_strings(console)]
    version = call.get("version", about.get("version"))
    python = call.get("python_requires", options.get("python_requires"))
    installed = dict(_script_files(files, root, call.get("scripts", _lines(options.get("scripts", "")))))
    modules = [*_strings(call.get("packages")), *_strings(call.get("py_modules")), *_lines(options.get("py_modules", ""))]
    return Metadata(
        origin="setup.py" if files.is_file(script) else "setup.cfg",
        name=_string(call.get("name", about.get("name"))),
        version=version if isinstance(version, str) and not re.match(r"(attr|file):", version) else None,
        requires_python=_strings([python]),
        dependencies=_strings(requires),
        extras={normalized(str(name)): _strings(wanted) for name, wanted in table_at(call, "extras_require").items()},
        dynamic=requires is _UNKNOWN or "**" in call or any(line.startswith("file:") for line in _strings(requires)),
        scripts={**installed, **_pairs({name.strip(): target.strip() for name, _, target in (line.partition("=") for line in scripts)})},
        package=True,
        backend="setuptools.build_meta",
        packages=tuple(dict.fromkeys(name.partition(".")[0] for name in modules)) or None,
        tables=tables,
    )


def _script_files(files: UserFiles, root: Path, paths: object) -> Iterator[tuple[str, str]]:
    """Yield (name, path) of files that are installed as programs: those in Python, since an image may have no shell."""
    for path in _strings(paths):
        try:
            first = files.read_start(root / path, _MAX_SHEBANG).partition(b"\n")[0]
        except OSError:
            continue
        if first.startswith(b"#!") and b"python" in first:
            yield path.rpartition("/")[2], path


_MAX_SHEBANG = 256
_PACKAGES = lazy_pattern(rb"\bsetup\b(?!\.py)|setuptools|distutils|skbuild")
_MAX_SETUP = 1 << 18
_UNKNOWN = object()
"""A value that only running setup.py would tell."""


def _setup_call(text: str, origin: str) -> dict[str, Any]:
    """Return the keywords of the call to setup(): literals, names of module-level literals, else _UNKNOWN; `**` if there may be more."""
    try:
        with without_warnings():
            tree = ast.parse(text)
    except SyntaxError as error:
        raise ProjectError(f"{origin}, line {error.lineno}: {error.msg}", hint="Correct the syntax; Python 2 is not supported.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ProjectError(f"{origin} cannot be read: {error}", hint="Correct the file.") from error
    known: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            known[statement.targets[0].id] = _literal(statement.value, known)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) == "setup":
            given = ({it.arg: _literal(it.value, known)} if it.arg else _options(it.value, tree, known) for it in node.keywords)
            return {name: value for each in given for name, value in each.items()}
    return {"**": _UNKNOWN}


def _options(node: ast.expr, tree: ast.Module, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that `**node` gives, of a dictionary at the top level; `**` if there may be more."""
    name = node.id if isinstance(node, ast.Name) else ""
    made = [it.value for it in tree.body if isinstance(it, ast.Assign) and [_called(each) for each in it.targets] == [name]]
    if not name or len(made) != 1 or not isinstance(made[0], ast.Dict):
        return {"**": _UNKNOWN}
    pairs = zip(made[0].keys, made[0].values, strict=True)
    found = {key.value: _literal(value, known) for key, value in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    uses = sum(isinstance(each, ast.Name) and each.id == name for each in ast.walk(tree))
    return found if uses == 2 and len(found) == len(made[0].keys) else {**found, "**": _UNKNOWN}


def _called(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _literal(node: ast.expr, known: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return known.get(node.id, _UNKNOWN)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _UNKNOWN


def has_group(tables: Mapping[str, Any], group: str) -> bool:
    """Return whether there is a dependency group (PEP 735), or one of Poetry's, with this name."""
    named = {normalized(name) for name in (*table_at(tables, "dependency-groups"), *table_at(tables, "tool", "poetry", "group"))}
    return normalized(group) in named


def read_group(tables: Mapping[str, Any], group: str, _seen: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the requirements of a dependency group (PEP 735) or one of Poetry's, with those of the groups that it includes."""
    requirements: list[str] = []
    groups = {normalized(name): items for name, items in table_at(tables, "dependency-groups").items()}
    for item in groups.get(normalized(group)) or ():
        if isinstance(item, str):
            requirements.append(item)
        elif isinstance(item, dict) and isinstance(other := item.get("include-group"), str) and normalized(other) not in _seen:
            requirements += read_group(tables, other, _seen | {normalized(group), normalized(other)})
    requirements += unversioned_requirements(poetry_group(table_at(tables, "tool", "poetry"), group) or {})
    return tuple(requirements)


_SERVERS_OF_EXTRAS = {("fastapi", "standard"): "uvicorn", ("fastapi", "all"): "uvicorn", ("litestar", "standard"): "uvicorn"}
"""(package, extra) -> the server that the extra installs."""


def dependency_names(requirements: Iterable[str], python: str) -> frozenset[str]:
    """Return the normalized names of the requirements that apply on Linux with a Python version, and of servers that extras install."""
    names: set[str] = set()
    for requirement in requirements:
        found = re.match(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?", requirement)
        if found is None or not _applies(requirement.partition(";")[2], python):
            continue
        name = normalized(found[1])
        names.add(name)
        names.update(
            _SERVERS_OF_EXTRAS[key]
            for extra in (found[2] or "").split(",")
            if (key := (name, normalized(extra.strip()))) in _SERVERS_OF_EXTRAS
        )
    return frozenset(names)


def _applies(marker: str, python: str) -> bool:
    if not marker.strip():
        return True
    from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

    # All variables of PEP 508: packaging would fill in a missing one from this machine.
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }
    try:
        return Marker(marker.strip()).evaluate(environment)
    except (InvalidMarker, UndefinedEnvironmentName, ValueError):
        return True


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _strings(values: object) -> tuple[str, ...]:
    if isinstance(values, str):
        return (values,)
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, (list, tuple)) else ()


def _pairs(values: object) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str) and name} if isinstance(values, dict) else {}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in re.sub(r"\s#.*", "", text).splitlines() if line.strip()]
