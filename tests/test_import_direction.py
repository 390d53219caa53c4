"""Who may import whom (docs/architecture.md), and what starting up may load."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from shipwheel.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent / "src" / "shipwheel"
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

LEAVES = {"cleanup", "container", "decoding", "digest", "errors", "events", "known_packages", "made_files", "platform", "quiet", "request"}
LEAVES |= {"settings", "signs", "similar", "store", "suites", "timeline", "user", "versions", "witness"}
LOW = LEAVES | {"download", "files"}
PROJECT = LOW | {"project"}
LOCKING = PROJECT | {"locking"}
WHEELS = LOCKING | {"wheels", "oci"}
BASE = WHEELS | {"debian", "registry", "base"}
BUILDER = BASE | {"builder"}
PIPELINE = BASE | {"builder"} | {"runtime", "engine", "pipeline"}
BELOW = {
    # errors is under the leaves as well.
    "lazy_pattern": set(),
    "cleanup": set(),
    "container": {"errors"},
    "decoding": {"digest"},
    "digest": set(),
    "errors": {"digest"},
    "events": {"errors"},
    "known_packages": {"versions"},
    "made_files": set(),
    "platform": {"errors"},
    "quiet": set(),
    "settings": {"container", "errors", "platform", "similar", "suites", "user", "versions"},
    "signs": set(),
    "similar": {"versions"},
    "store": {"decoding", "digest", "errors", "timeline"},
    "suites": {"errors", "versions"},
    "timeline": {"events"},
    "user": {"errors"},
    "versions": set(),
    "witness": set(),
    "request": LEAVES,
    "download": LEAVES,
    "files": LEAVES | {"download"},
    "oci": LOW,
    **{name: LOW | {"oci"} for name in ("registry", "engine", "debian")},
    # Copied into images, where there is only the standard library.
    "runtime": set(),
    "project": PROJECT,
    "locking": LOCKING,
    "wheels": WHEELS,
    "base": BASE,
    "builder": BUILDER,
    "pipeline": PIPELINE - {"engine"},
    "trial": LOW | {"oci", "engine", "runtime"},
    "startup": LOW | {"oci", "trial"},
    "dev": PROJECT | {"oci", "engine", "runtime", "dev"},
    "stack": PROJECT | {"oci", "engine"},
    "api": PIPELINE - {"engine"},
    "cli": PIPELINE | {"api", "cli", "dev", "stack", "startup", "trial"},
    "testing": PIPELINE | {"api", "cli", "testing"},
}
PROGRAMS = {
    *("engine/enter_namespaces.py", "runtime/launcher.py", "runtime/observer.py", "runtime/pages.py", "wheels/compile_worker.py"),
    *("runtime/aside.py", "runtime/import_clock.py", "runtime/import_log.py", "runtime/spoken_errors.py"),
}
"""Run inside an image or an interpreter of their own, not imported."""
ONLY_CLI = {"click", "rich", "typer"}
SLOW = {
    "httpx",
    "rich",
    "msgspec",
    "elftools",
    "packaging",
    "installer",
    "pysequoia",
    "zstandard",
    "tomli_w",
    "sqlite3",
    "asyncio",
    "yaml",
    "tree_sitter",
}


def part(module: str) -> str:
    """The folder or the leaf that a module's path or dotted name belongs to."""
    return module.removesuffix(".py").replace("/", ".").split(".")[0]


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def imported(module: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that a module imports, wherever it does, for types as well."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: imports are absolute"
            if node.module == "shipwheel":
                yield from ((node.lineno, f"shipwheel.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, str(node.module)


def test_there_is_something_to_check() -> None:
    assert "pipeline/build.py" in MODULES
    assert set(map(part, MODULES)) <= {*BELOW, "__init__", "__main__"}, "every folder has its place in the order"


def test_imports_go_down() -> None:
    wrong = []
    for module in MODULES:
        here = part(module)
        if here in ("__init__", "__main__"):
            continue
        for line, name in imported(module):
            there = part(name.removeprefix("shipwheel."))
            if name.startswith("shipwheel.") and there not in (here, "lazy_pattern", "__version__") and there not in BELOW[here]:
                wrong.append(f"{module}:{line} imports {name}")
    assert not wrong


def test_only_the_command_line_knows_a_terminal() -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module in MODULES
        if part(module) != "cli"
        for line, name in imported(module)
        if name.split(".")[0] in ONLY_CLI
    ]
    assert not wrong


def test_modules_of_one_folder_make_no_circle() -> None:
    """Not even one that late imports hide."""
    graph = {
        module: {
            other
            for _, name in imported(module)
            for other in (name.removeprefix("shipwheel.").replace(".", "/") + ".py",)
            if name.startswith("shipwheel.") and other in MODULES
        }
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for other in sorted(graph[module]):
            visit(other, (*way, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_the_command_line_starts_with_little() -> None:
    bare = loaded_by("pass")
    loaded = loaded_by("import shipwheel.cli") - bare
    assert not {name.split(".")[0] for name in loaded} & SLOW
    ours = {name for name in loaded if name.startswith("shipwheel")}
    assert {name for name in ours if not name.startswith("shipwheel.cli")} == {"shipwheel", "shipwheel.errors"}
    assert not ours & {f"shipwheel.cli.{name}" for name in COMMANDS}


@pytest.mark.parametrize(
    "module", ["download.fetch", "store.store", "settings.settings", "platform", "events", "wheels.wheel", "container.venv"]
)
def test_what_is_slow_is_imported_late(module: str) -> None:
    late = SLOW - {"msgspec", "sqlite3"}
    assert not {name.split(".")[0] for name in loaded_by(f"import shipwheel.{module}")} & late


def test_the_program_that_confines_a_build_needs_the_standard_library_alone() -> None:
    """uv starts it with the interpreter of shipwheel, but without shipwheel's environment."""
    code = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); import shipwheel.locking.build_hook"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_the_interpreter_that_uv_asks_imports_little() -> None:
    """To describe itself, it needs nothing of what runs builds."""
    ours = {name for name in loaded_by("import shipwheel.locking.build_entry") if name.startswith("shipwheel")}
    assert ours == {"shipwheel", "shipwheel.locking", "shipwheel.locking.build_entry"}


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from at_import(child)


def test_importing_compiles_no_patterns_and_no_dataclasses() -> None:
    """`lazy_pattern` and msgspec.Struct do the same in a hundredth of the time."""
    slow = {"re.compile", "dataclass", "dataclasses.dataclass"}
    wrong = [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for module in MODULES
        if module not in PROGRAMS and part(module) != "testing"
        for node in at_import(tree_of(module))
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and ast.unparse(node) in slow
    ]
    assert not wrong


def public_names(module: str) -> set[str]:
    """The classes and functions that a module defines without an underscore."""
    return {
        node.name
        for node in tree_of(module).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    }


def test_all_is_what_is_public() -> None:
    for module in MODULES:
        if module in PROGRAMS or module == "__main__.py":
            continue
        dotted = "shipwheel." + module.removesuffix(".py").replace("/", ".")
        loaded = import_module(dotted.removesuffix(".__init__"))
        public = public_names(module)
        exported = getattr(loaded, "__all__", None)
        assert exported is not None or not public, f"{module}: a module with public names has __all__"
        exported = list(exported or ())
        assert len(set(exported)) == len(exported), module
        assert public <= set(exported), f"{module}: not in __all__: {sorted(public - set(exported))}"
        assert all(hasattr(loaded, name) for name in exported), module


def test_what_is_public_says_what_it_is() -> None:
    wrong = []
    for module in MODULES:
        if module in PROGRAMS:
            continue
        tree = tree_of(module)
        if tree.body and not ast.get_docstring(tree):
            wrong.append(f"{module} does not say what it is")
        wrong += [
            f"{module}:{node.lineno} {node.name} has no docstring"
            for node in tree.body
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node)
        ]
    assert not wrong


def test_docstrings_open_with_a_noun_phrase_or_an_imperative() -> None:
    headless = re.compile(r'^ *"""(?:As|Of|What|Where|Whether|Which|Who)\b.*', re.MULTILINE)
    found = [(module, line) for module in MODULES for line in headless.findall((ROOT / module).read_text(encoding="utf-8"))]
    assert not found


def test_only_one_module_makes_digests_of_text() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if module != "digest.py"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Digest", "Sha256")
    ]
    assert not wrong, "as_digest and as_sha256 check the text"


def test_modules_are_small() -> None:
    wrong = []
    for module in MODULES:
        if (ROOT / module).read_text(encoding="utf-8").count("\n") >= 450:
            wrong.append(f"{module} has too many lines")
        wrong += [
            f"{module}:{node.lineno} {node.name} does not fit a screen"
            for node in ast.walk(tree_of(module))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
        ]
    assert not wrong


def test_no_two_public_classes_have_the_same_name() -> None:
    # The makers of shipwheel.testing stand for real parts and have their names.
    owners: dict[str, list[str]] = {}
    for module in (module for module in MODULES if part(module) != "testing"):
        for node in tree_of(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners.setdefault(node.name, []).append(module)
    assert not {name: modules for name, modules in owners.items() if len(modules) > 1}
