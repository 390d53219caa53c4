"""Regular expressions that are compiled when they are first used."""

import gc
import re
from importlib import import_module
from pathlib import Path

import shipwheel
from shipwheel.lazy_pattern import lazy_pattern

ROOT = Path(shipwheel.__file__).parent


def test_it_does_what_the_compiled_pattern_does() -> None:
    lazy, compiled = lazy_pattern(r"(?P<name>a+)b", re.IGNORECASE), re.compile(r"(?P<name>a+)b", re.IGNORECASE)
    for text in ("AAb", "xaab", "b"):
        found, expected = lazy.search(text), compiled.search(text)
        assert (found and found.groupdict()) == (expected and expected.groupdict())
    assert (lazy.pattern, lazy.flags, lazy.sub("-", "xab")) == (compiled.pattern, compiled.flags, "x-")


def test_every_pattern_of_shipwheel_is_valid() -> None:
    """A mistake would otherwise show when a command first uses the pattern."""
    for path in ROOT.rglob("*.py"):
        module = path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".")
        if "lazy_pattern" in path.read_text(encoding="utf-8"):
            import_module(module)
    # What was imported for collecting the tests is frozen, and not among the objects.
    gc.unfreeze()
    patterns = [each for each in gc.get_objects() if type(each) is type(lazy_pattern(""))]
    gc.freeze()
    assert len(patterns) > 200
    assert all(isinstance(each.pattern, str | bytes) for each in patterns)
