"""Bytecode of the modules alone that a start imported."""

import struct
from collections.abc import Sequence

import pytest

from shipwheel.container.venv import module_of
from shipwheel.files.compress import Deflated, deflated
from shipwheel.wheels.used_modules import CompilerOfUsed

SITE = "opt/venv/lib/python3.11/site-packages"


class Recorder:
    """A compiler that remembers what it compiled, and compiles nothing that is empty."""

    identity = "cpython-3.11.2"

    def __init__(self) -> None:
        self.paths: list[str] = []

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        self.paths += [path for path, _ in sources]
        return [deflated(struct.pack("<I", len(source))) if source else None for _, source in sources]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("six.py", "six"),
        ("pandas/core/frame.py", "pandas.core.frame"),
        ("pandas/core/__init__.py", "pandas.core"),
        ("pandas/__init__.py", "pandas"),
        ("__init__.py", "__init__"),
        ("a/b__init__.py", "a.b__init__"),
    ],
)
def test_names_modules_by_their_files(path: str, name: str) -> None:
    assert module_of(path) == name


def test_compiles_what_is_named_and_ignores_names_without_a_file() -> None:
    inner = Recorder()
    compiler = CompilerOfUsed(inner, SITE, ["pandas", "pandas.core.frame", "pandas.removed_since"])
    names = ["pandas/__init__.py", "pandas/tests/test_all.py", "pandas/core/frame.py", "pandas/core/new.py"]
    compiled = compiler.compile([(f"/{SITE}/{name}", b"1\n") for name in names])
    assert [item is not None for item in compiled] == [True, False, True, False]
    assert inner.paths == [f"/{SITE}/pandas/__init__.py", f"/{SITE}/pandas/core/frame.py"]


def test_a_module_that_became_a_package_is_still_compiled() -> None:
    inner = Recorder()
    CompilerOfUsed(inner, SITE, ["pandas.io"]).compile([(f"/{SITE}/pandas/io.py", b"1"), (f"/{SITE}/pandas/io/__init__.py", b"1")])
    assert len(inner.paths) == 2


def test_the_key_depends_on_the_names_and_not_on_their_order() -> None:
    inner = Recorder()
    identities = [CompilerOfUsed(inner, SITE, names).identity for names in (["a", "b"], ["b", "a"], ["a"], [])]
    assert identities[0] == identities[1]
    assert len({inner.identity, *identities}) == 4


def test_what_does_not_compile_has_no_bytecode() -> None:
    assert CompilerOfUsed(Recorder(), SITE, ["a"]).compile([(f"/{SITE}/a.py", b"")]) == [None]
