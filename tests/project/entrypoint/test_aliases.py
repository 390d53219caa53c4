"""Links at the places that another image has files of the project at."""

from pathlib import Path

from support.project_tree import launched

from shipwheel.settings import Settings

DOCKERFILE = "FROM python\nCOPY . /srv/shop\nCOPY conf/app.yml /etc/shop/\nCOPY conf/other.yml /etc/other.yml\nWORKDIR /srv/shop\n"
FILES = {
    "conf/app.yml": "",
    "conf/other.yml": "",
    "conf/uwsgi.ini": "[uwsgi]\nchdir = /srv/shop\n",
    "wsgi.py": "CONFIG = '/etc/shop/app.yml'\n",
}


def test_links_are_where_a_configuration_file_or_the_code_expects_files(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**FILES, "Dockerfile": f"{DOCKERFILE}CMD uwsgi --ini conf/uwsgi.ini\n"}, "uwsgi")
    assert launch.aliases == (("/etc/shop/app.yml", "conf/app.yml"), ("/srv/shop", ""))
    assert "/conf/app.yml" in launch.include


def test_without_a_reader_there_is_no_link(tmp_path: Path) -> None:
    files = {**FILES, "wsgi.py": "", "Dockerfile": f"{DOCKERFILE}CMD uwsgi --http :80 -w wsgi\n"}
    assert launched(tmp_path, files, "uwsgi").aliases == ()


def test_the_working_directory_needs_none(tmp_path: Path) -> None:
    files = {**FILES, "Dockerfile": f"{DOCKERFILE}CMD uwsgi --ini conf/uwsgi.ini\n"}
    assert launched(tmp_path, files, "uwsgi", Settings(workdir="/srv/shop")).aliases == (("/etc/shop/app.yml", "conf/app.yml"),)
