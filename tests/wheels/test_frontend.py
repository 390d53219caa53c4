"""The front end of builds: what it takes from a backend."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from shipwheel.wheels.frontend import HookFailed, run_backend


def build(folder: Path, name: str, answer: Callable[[Path, str], object]) -> None:
    """Build a source whose backend makes a wheel of this name that is none, and `answer` writes its answers."""

    def run_hook(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        (folder / name).write_bytes(b"no archive")
        answer(Path(cmd[3], "output.json"), json.dumps({"return_val": name if cmd[2] == "build_wheel" else []}))

    def install(requirements: Iterable[str]) -> None:
        assert set(requirements) <= {"setuptools >= 40.8.0"}

    (folder / "setup.py").write_text("")
    run_backend(folder, folder / "python", folder, run_hook, install)


@pytest.mark.parametrize("name", ["made-1.0-py3-none-any.whl", "made.whl"])
def test_what_is_no_wheel_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HookFailed, match=f"made {name}, which is no wheel"):
        build(tmp_path, name, Path.write_text)


@pytest.mark.parametrize(
    "answer",
    [lambda path, _: os.mkfifo(path), lambda path, _: path.symlink_to("/etc/passwd"), lambda _path, _text: None],
    ids=["pipe", "link", "nothing"],
)
def test_an_answer_is_a_file(tmp_path: Path, answer: Callable[[Path, str], object]) -> None:
    with pytest.raises(HookFailed, match="gave no answer in get_requires_for_build_wheel"):
        build(tmp_path, "made-1.0-py3-none-any.whl", answer)
