"""Run PostgreSQL, with a new database on an empty volume."""

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql/17/bin")
DATA = Path("/data/postgresql")


def main() -> None:
    if not (DATA / "PG_VERSION").exists():
        # What an interruption has left of the last try is no database.
        new = DATA.with_name("unfinished")
        shutil.rmtree(new, ignore_errors=True)
        options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run([PROGRAMS / "initdb", *options, f"--pwfile={os.environ['POSTGRES_PASSWORD_FILE']}", new], check=True)
        with (new / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        new.rename(DATA)
    server = str(PROGRAMS / "postgres")
    os.execv(server, [server, "-D", str(DATA), "-c", "listen_addresses=*", "-c", "unix_socket_directories=/tmp"])


if __name__ == "__main__":
    main()
