"""The settings that init proposes from the changes that it tried."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.project_tree import written

from shipwheel.cli.init import _proposal
from shipwheel.settings.settings import load_settings
from shipwheel.trial.finding import Setting
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
