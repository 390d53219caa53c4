"""The two programs of examples/chatchat, with a package in place of Chatchat that does what a file says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import ROOT

FAKE = """
import os, time

open("imported", "a").write(f"{os.getpid()} ")

def run_api_server(started):
    open("api", "w").close()
    time.sleep(60)

def run_webui(started):
    os.kill(os.getpid(), 9)

def create_tables():
    pass

def check_embed_model():
    answers = os.environ["ANSWERS"].split()
    asked = open("asked", "a")
    asked.write("x")
    asked.flush()
    return answers[min(os.path.getsize("asked"), len(answers)) - 1] == "yes", "the model does not answer"

def folder2db(bases, mode):
    open("read", "a").write(mode + " ")
    if os.environ.get("BREAKS"):
        raise RuntimeError("broken")

def list_kbs_from_folder():
    return ["samples"]

def list_files_from_folder(base):
    return ["a.md", "b.md", "c.exe"]

def list_files_from_db(base):
    return os.environ["KNOWN"].split()

SUPPORTED_EXTS = [".md"]
"""
MODULES = (
    "startup",
    "server.utils",
    "server.knowledge_base.migrate",
    "server.knowledge_base.utils",
    "server.db.repository.knowledge_file_repository",
)


@pytest.fixture
def chatchat(tmp_path: Path) -> Path:
    """A working directory, which is the volume too, beside the package."""
    for module in MODULES:
        file = tmp_path / "packages" / "chatchat" / f"{module.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FAKE)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def run(data: Path, program: str, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(data.parent / "packages"), "CHATCHAT_ROOT": str(data), **variables}
    argv = [sys.executable, str(ROOT / "examples" / "chatchat" / program), *words]
    return subprocess.run(argv, cwd=data, env=env, capture_output=True, text=True, check=False)


def test_both_servers_end_with_one(chatchat: Path) -> None:
    done = run(chatchat, "serve.py")
    assert (done.returncode, done.stderr) == (1, "one of the servers has ended\n")


def test_one_server_can_run_without_the_other(chatchat: Path) -> None:
    assert run(chatchat, "serve.py", "page").returncode == 1
    assert not (chatchat / "api").exists()
    assert len(set((chatchat / "imported").read_text().split())) == 1, "the process that waits imports nothing"


def test_documents_are_read_when_the_model_answers(chatchat: Path) -> None:
    done = run(chatchat, "ingest.py", ANSWERS="no yes", KNOWN="a.md b.md")
    assert done.returncode == 0, done.stderr
    assert (chatchat / "read").read_text() == "increment "


def test_reading_fails_if_the_model_goes_away_and_starts_anew(chatchat: Path) -> None:
    done = run(chatchat, "ingest.py", ANSWERS="yes no", KNOWN="a.md")
    assert (done.returncode, done.stderr) == (1, "not read: samples/b.md\nthe documents are not read: the model does not answer\n")
    assert run(chatchat, "ingest.py", ANSWERS="yes", KNOWN="a.md b.md").returncode == 0
    assert run(chatchat, "ingest.py", ANSWERS="yes", KNOWN="a.md b.md").returncode == 0
    assert (chatchat / "read").read_text() == "increment recreate_vs increment "


def test_reading_starts_anew_after_an_interruption(chatchat: Path) -> None:
    assert run(chatchat, "ingest.py", ANSWERS="yes", KNOWN="", BREAKS="1").returncode == 1
    assert run(chatchat, "ingest.py", ANSWERS="yes", KNOWN="a.md b.md").returncode == 0
    assert (chatchat / "read").read_text() == "increment recreate_vs "


def test_a_document_without_text_is_named_and_does_not_fail(chatchat: Path) -> None:
    done = run(chatchat, "ingest.py", ANSWERS="yes", KNOWN="a.md")
    assert (done.returncode, done.stderr) == (0, "not read: samples/b.md\n")
