"""macOS, on which no test runs: nothing that it needs uses what its Python lacks."""

import ast
from pathlib import Path

import pytest
from support.command import ROOT

SOURCE = ROOT / "src" / "shipwheel"
LINUX_ONLY = frozenset(
    {
        *("memfd_create", "waitid", "P_PID", "WEXITED", "WNOWAIT", "WSTOPPED", "sched_getaffinity", "sched_setaffinity", "pidfd_open"),
        *("unshare", "setns", "eventfd", "splice", "copy_file_range", "posix_fadvise", "posix_fallocate", "fdatasync", "pipe2", "dup3"),
        *("getxattr", "setxattr", "listxattr", "removexattr", "getrandom", "setresuid", "setresgid", "getresuid", "getresgid"),
        *("O_PATH", "O_TMPFILE", "O_DIRECT", "epoll", "SO_PEERCRED", "sigtimedwait", "sigwaitinfo", "CLOCK_BOOTTIME", "prctl"),
    }
)
"""Attributes that modules of the standard library have on Linux alone."""

ON_LINUX = ("runtime/", "testing/", "engine/local.py", "engine/enter_namespaces.py")
"""What runs in containers, in tests, and with bubblewrap and containerd's ctr, which only Linux has."""


@pytest.mark.parametrize("folder", sorted({path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")}))
def test_what_only_linux_has_is_asked_for(folder: str) -> None:
    """A function that uses such an attribute asks whether there is one, or which system it is."""
    top = SOURCE / folder
    for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
        if not str(path.relative_to(SOURCE)).startswith(ON_LINUX):
            assert unasked(path) == [], path


def unasked(path: Path) -> list[str]:
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.Module)]
    return [name for node in functions if (names := used(node)) and not asks(node) for name in names]


def used(node: ast.AST) -> list[str]:
    """Return the attributes that a function, or a module outside of its functions, uses."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute) and child.attr in LINUX_ONLY:
            found.append(child.attr)
        if not isinstance(child, ast.FunctionDef):
            found += used(child)
    return found


def asks(node: ast.AST) -> bool:
    """Return whether a function has a condition on an attribute or on the system."""
    return any(ast.unparse(each) in ("hasattr", "sys.platform") for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute))
