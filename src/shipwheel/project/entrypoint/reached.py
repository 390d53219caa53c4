"""The modules of a project that its command runs: the entry, and what it imports."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.module import Module

__all__ = ["entry_module", "modules_by_name", "program_using", "reached_modules", "served_name", "unrelated_modules"]

_BEFORE_APPLICATION = lazy_pattern(r"--(?:module|wsgi)=|(?:wsgi|asgi):(?=[\w.]+:)")
"""uWSGI's option, and the interface that Hypercorn wants to know: wsgi:shop.wsgi:application."""


def modules_by_name(modules: Iterable[Module], roots: Sequence[str] = ()) -> dict[str, Module]:
    """Return import name -> module, of modules in the order of a scan: shallow ones first.

    Of several with one name, that counts which is imported from the first of the directories `roots`, or else the shallowest.
    """
    position = {root: number for number, root in reversed([*enumerate(roots)])}
    ordered = sorted(modules, key=lambda module: position.get(module.import_root, len(roots)))
    return {module.name: module for module in reversed(ordered)}


def entry_module(command: Sequence[str], directory: str, scripts: Mapping[str, str], modules: Mapping[str, Module]) -> str:
    """Return the module that a command runs or serves, empty if it is none of the project's.

    Args:
        command: The words.
        directory: The directory in the project that it starts in.
        scripts: Console script -> module:function, or the path of a file.
        modules: Import name -> module.
    """
    if not command:
        return ""
    by_file = {module.file: name for name, module in modules.items()}
    if (target := scripts.get(command[0])) is not None:
        return by_file.get(target) or target.partition(":")[0]
    words = command[1:]
    if tuple(words[:1]) == ("-m",) and len(words) > 1:
        return next((name for name in (f"{words[1]}.__main__", words[1]) if name in modules), "")
    for word in words:
        if (name := by_file.get(posixpath.normpath(posixpath.join(directory, word)) if "\0" not in word else "")) is not None:
            return name
        if (name := served_name(word).partition(":")[0]) in modules and ":" in word:
            return name
    return ""


def served_name(word: str) -> str:
    """Return the application that a word of a server's command names, without what stands before it in the word."""
    before = _BEFORE_APPLICATION.match(word)
    return word[before.end() :] if before is not None else word


def reached_modules(entry: str, modules: Mapping[str, Module]) -> tuple[Module, ...]:
    """Return the project's modules that importing one imports, in order."""
    found: dict[str, Module] = {}
    pending = [entry]
    while pending:
        name = pending.pop()
        for part in _with_parents(name):
            if part in modules and part not in found:
                found[part] = modules[part]
                pending += [imported for imported, _ in modules[part].required]
    return tuple(found.values())


def program_using(names: Iterable[str], modules: Sequence[Module]) -> Module | None:
    """Return the program that uses one of these dotted names, by itself or in what it imports; the one in the highest directory first.

    None if there is none.
    """
    wanted = {*names}
    packages = [each for each in modules if each.file.endswith("__init__.py")]
    wanted |= {f"{each.name}.{name.rpartition('.')[2]}" for each in packages for name in wanted if name in _used(each)}
    users = {each.name for each in modules if each not in packages and not wanted.isdisjoint(_used(each))}
    by_name = modules_by_name(modules)
    programs = (each for each in modules if each.is_script or (each.calls_when_run and each not in packages)) if users else ()
    found = (each for each in programs if not users.isdisjoint(reached.name for reached in reached_modules(each.name, by_name)))
    return min(found, key=lambda each: (each.file.count("/"), not each.is_script, each.file), default=None)


def _used(module: Module) -> frozenset[str]:
    """Return the dotted names that a module imports or calls."""
    return module.calls.union(name for name, _ in module.required)


def unrelated_modules(module: Module, others: Iterable[Module], modules: Sequence[Module]) -> tuple[Module, ...]:
    """Return those of `others` that neither import this one nor are imported by it, in one directory of imports."""

    def reached(entry: Module) -> set[str]:
        beside = (each for each in modules if each.import_root == entry.import_root)
        return {each.file for each in reached_modules(entry.name, modules_by_name(beside))}

    inside = reached(module)
    return tuple(other for other in others if other.file not in inside and module.file not in reached(other))


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))
