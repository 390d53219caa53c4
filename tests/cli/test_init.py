"""The rounds of init, and the settings that it proposes from the changes that it tried."""

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from support.project_tree import written

from shipwheel.cli.init import _lines, _proposal, _try
from shipwheel.errors import LockError
from shipwheel.locking.no_compatible_file import Mismatch, MissingFile, NoCompatibleFile, SlowSources
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.request import Request
from shipwheel.settings.build import AssetSettings, StepSettings
from shipwheel.settings.settings import Settings, load_settings
from shipwheel.store.store import Store
from shipwheel.trial.finding import Setting, Verdict
from shipwheel.trial.improve import Rejected
from shipwheel.trial.mend import Change


def test_an_import_path_that_grew_is_written(tmp_path: Path) -> None:
    path = written(tmp_path, {"shipwheel.toml": "env = { A = 'mine', PYTHONPATH = '/app/a' }\n"})
    changes = tuple(Change(Setting("env", env), "why") for env in ({"PYTHONPATH": "/app/b"}, {"A": "ours"}))
    request: Any = SimpleNamespace(path=path, settings=load_settings(path))
    improved: Any = SimpleNamespace(changes=changes)
    edit = _proposal(request, improved, written=True).edit
    assert edit is not None
    edit.write()
    assert load_settings(path).env == {"A": "mine", "PYTHONPATH": "/app/a:/app/b"}


@pytest.mark.parametrize("others", [(), ({"run": "python make.py", "env": {"A": "b"}},)])
def test_steps_without_the_one_that_fails_are_written(tmp_path: Path, others: tuple[dict[str, Any], ...]) -> None:
    path = written(tmp_path, {"pyproject.toml": "[project]\nname = 'x'\n"})
    request: Any = SimpleNamespace(path=path, settings=load_settings(path))
    improved: Any = SimpleNamespace(changes=(Change(Setting("steps", others), "Left out: it fails"),))
    edit = _proposal(request, improved, written=True).edit
    assert edit is not None
    edit.write()
    assert load_settings(path).steps == tuple(StepSettings(("python", "make.py"), {"A": "b"}) for _ in others)
    assert "# Left out: it fails" in edit.after


def test_a_program_that_failed_says_why_beside_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.trial.report.to_lines", lambda _: [])
    assets = Change(Setting("assets", (AssetSettings(("npm", "run", "build"), "dist"),)), "why")
    output = ("  ReferenceError: navigator is not defined", "  Debian's node runs it.")
    failed = Rejected(assets, "`npm run build` failed (exit status 1)", output)
    rejected = (failed, Rejected(Change(Setting("as-of", "2020-01-01"), "why"), "no solution"))
    improved: Any = SimpleNamespace(
        trial=SimpleNamespace(verdict=Verdict.FAILS),
        rejected=rejected,
        variables=("KEY",),
        with_placeholders="fails: it ends",
        example=".env.example",
    )
    lines = [*_lines(improved, SimpleNamespace(edit=None, by_hand=()))]  # type: ignore[arg-type]
    assert "'output': 'dist'" in lines[0]
    assert lines[1:] == [
        "      ReferenceError: navigator is not defined",
        "      Debian's node runs it.",
        "  tried     as-of = '2020-01-01': no solution",
        "it wants KEY: give it a value where the container runs (-e KEY=…)",
        "it had the values of .env.example: give it those of its own where the container runs (--env-file FILE)",
        "with made-up values it does not serve either: fails: it ends",
    ]


def test_only_more_requirements_leave_out_a_python_that_had_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older day or another Python leads to says nothing of a round without it: a change may not stay."""
    asked: list[tuple[str, ...]] = []

    def build(request: Request) -> Any:
        asked.append(request.first_pythons)
        python = "3.9" if request.settings.as_of or request.settings.python else "3.11"
        image = SimpleNamespace(execution=None, platform=None)
        project = SimpleNamespace(name="shop", python=python)
        return SimpleNamespace(index=SimpleNamespace(images=[image]), resolution=SimpleNamespace(project=project))

    monkeypatch.setattr("shipwheel.pipeline.build.build", build)
    monkeypatch.setattr("shipwheel.pipeline.build.retry_damaged", lambda _, work: work())
    monkeypatch.setattr("shipwheel.trial.trial.try_image", lambda *_, **__: None)
    monkeypatch.setattr("shipwheel.cli.source_facts.source_facts", lambda _: None)
    engine: Any = SimpleNamespace(load=lambda *_: "shop:trial")
    attempt = _try(Request(tmp_path, Settings(), Store(tmp_path / "store")), engine, {"network": False, "timeout": 1.0})
    more = Settings(dependencies=("greenlet",))
    for settings in (Settings(), replace(more, as_of=datetime.date(2021, 1, 1)), replace(more, python="3.9"), more, more):
        attempt(settings, {})
    assert asked == [(), (), (), ("3.11",), ("3.11",)]


@pytest.mark.parametrize("replacements", [{"far": "far==1.1"}, {}], ids=["newer", "none"])
def test_slow_sources_are_compiled_only_if_no_newer_version_has_files(
    replacements: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [Target(Platform("linux", "amd64"), "3.9.2", (2, 31))]
    missing = MissingFile("far", "1.0", Mismatch.PYTHON, "no wheel is for Python 3.9", (), "", "")
    asked: list[bool] = []

    def build(request: Request) -> Any:
        asked.append(request.slow_sources)
        raise LockError("its build failed") if request.slow_sources else SlowSources({missing: targets}, targets)

    def with_newer_versions(error: SlowSources, *_: object) -> NoCompatibleFile:
        return NoCompatibleFile(error.missing, targets, replacements=replacements)

    monkeypatch.setattr("shipwheel.pipeline.build.build", build)
    monkeypatch.setattr("shipwheel.pipeline.build.retry_damaged", lambda _, work: work())
    monkeypatch.setattr("shipwheel.pipeline.alternatives.with_newer_versions", with_newer_versions)
    monkeypatch.setattr("shipwheel.project.read.read_project", lambda *_, **__: None)
    attempt = _try(Request(tmp_path, Settings(), Store(tmp_path / "store")), cast("Any", None), {"network": False, "timeout": 1.0})
    with pytest.raises(LockError) as caught:
        attempt(Settings(), {})
    assert (caught.value.replacements, asked) == (replacements, [False] if replacements else [False, True])
