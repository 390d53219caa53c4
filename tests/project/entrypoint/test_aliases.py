"""Links and copies at the places that another image has files of the project at."""

from pathlib import Path

from support.project_tree import launched

from shipwheel.settings.settings import Settings

DOCKERFILE = "FROM python\nCOPY . /srv/shop\nCOPY conf/app.yml /etc/shop/\nCOPY conf/other.yml /etc/other.yml\nWORKDIR /srv/shop\n"
FILES = {
    "conf/app.yml": "",
    "conf/other.yml": "",
    "conf/uwsgi.ini": "[uwsgi]\nchdir = /srv/shop\n",
    "wsgi.py": "CONFIG = '/etc/shop/app.yml'\n",
}


def test_links_are_where_a_configuration_file_expects_the_project(tmp_path: Path) -> None:
    launch = launched(tmp_path, {**FILES, "Dockerfile": f"{DOCKERFILE}CMD uwsgi --ini conf/uwsgi.ini\n"}, "uwsgi")
    assert launch.aliases == (("/srv/shop", ""),)
    assert launch.copies == (("/etc/shop/app.yml", "conf/app.yml"), ("/etc/other.yml", "conf/other.yml"))


def test_a_field_of_a_settings_class_names_a_place(tmp_path: Path) -> None:
    files = {
        **FILES,
        "wsgi.py": "class Conf:\n    log_config: str = '/srv/shop/log.ini'\n",
        "Dockerfile": f"{DOCKERFILE}CMD uwsgi -w wsgi\n",
    }
    assert launched(tmp_path, files, "uwsgi").aliases == (("/srv/shop", ""),)


def test_without_a_reader_there_is_no_link(tmp_path: Path) -> None:
    files = {**FILES, "wsgi.py": "", "Dockerfile": f"{DOCKERFILE}CMD uwsgi --http :80 -w wsgi\n"}
    assert launched(tmp_path, files, "uwsgi").aliases == ()


def test_the_project_may_be_below_the_working_directory(tmp_path: Path) -> None:
    files = {
        "rules.json": "",
        "wsgi.py": "RULES = '/app/worker/rules.json'\n",
        "Dockerfile": "FROM python\nWORKDIR /app/worker\nCOPY . /app/worker\nCMD uwsgi -w wsgi\n",
    }
    assert launched(tmp_path, files, "uwsgi").aliases == (("/app/worker", ""),)
    assert launched(tmp_path, {"worker/jobs.py": ""}, "uwsgi").aliases == ()


def test_the_working_directory_needs_none(tmp_path: Path) -> None:
    files = {**FILES, "Dockerfile": f"{DOCKERFILE}CMD uwsgi --ini conf/uwsgi.ini\n"}
    assert launched(tmp_path, files, "uwsgi", Settings(workdir="/srv/shop")).aliases == ()


def test_code_elsewhere_is_a_link_if_something_names_it(tmp_path: Path) -> None:
    files = {**FILES, "lib/tax.py": "", "wsgi.py": "LIB = '/srv/lib'\n"}
    launch = launched(tmp_path, {**files, "Dockerfile": f"{DOCKERFILE}COPY lib /srv/lib\nCMD uwsgi --ini conf/uwsgi.ini\n"}, "uwsgi")
    assert ("/srv/lib", "lib") in launch.aliases
    assert "/srv/lib" not in dict(launch.copies)


def test_what_belongs_to_others_is_not_copied(tmp_path: Path) -> None:
    copies = "COPY conf /etc\nCOPY conf/app.yml /etc/nginx/app.yml\nCOPY run.sh /\nCOPY requirements.txt /tmp/\nCOPY conf /opt/venv/conf\n"
    files = {
        "conf/app.yml": "",
        "run.sh": "",
        "requirements.txt": "",
        "main.py": "",
        "Dockerfile": f"FROM python\nWORKDIR /srv/x\nCOPY . .\n{copies}",
    }
    assert launched(tmp_path, files).copies == ()
