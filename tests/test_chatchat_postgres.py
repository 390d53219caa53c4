"""The program of examples/chatchat-postgres, with small programs in place of PostgreSQL's."""

import os
import subprocess
import sys
from pathlib import Path

from support.command import ROOT
from support.fake_programs import Programs

START = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import main
main.PROGRAMS, main.DATA = map(pathlib.Path, sys.argv[2:])
main.main()
"""
INITDB = """
os.mkdir(args[-1])
open(os.path.join(args[-1], 'pg_hba.conf'), 'w').write('local all all trust\\n')
open(os.path.join(args[-1], 'PG_VERSION'), 'w').write('17')
"""


def start(programs: Programs, data: Path, password: Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-c", START, str(ROOT / "examples" / "chatchat-postgres"), str(programs.folder), str(data)]
    env = {**os.environ, "POSTGRES_PASSWORD_FILE": str(password), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


def test_a_database_is_made_once(tmp_path: Path) -> None:
    programs, data = Programs(tmp_path / "bin"), tmp_path / "data" / "postgresql"
    data.parent.mkdir()
    programs.add("postgres")
    programs.add("initdb", "sys.exit('the disk is full')\n")
    failed = start(programs, data, tmp_path / "password")
    assert (failed.returncode, data.exists(), programs.called("postgres")) == (1, False, [])
    (data.parent / "unfinished").mkdir()
    programs.add("initdb", INITDB)
    for _ in range(2):
        done = start(programs, data, tmp_path / "password")
        assert done.returncode == 0, done.stderr
    assert (data / "pg_hba.conf").read_text().splitlines() == ["local all all trust", "host all all all scram-sha-256"]
    assert (len(programs.called("initdb")), len(programs.called("postgres"))) == (2, 2)
    assert programs.calls[-1][1:3] == ["-D", str(data)]
