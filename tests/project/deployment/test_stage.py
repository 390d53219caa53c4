"""Dockerfiles: instructions, stages, and the files that an image has."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.project_tree import written

from shipwheel.project.deployment.copied_files import CopiedFiles
from shipwheel.project.deployment.dockerfile import parse_dockerfile
from shipwheel.project.deployment.stage import Stage, evaluate_stages


def _stage(text: str, **arguments: str) -> Stage:
    return evaluate_stages(parse_dockerfile(text.encode()), "Dockerfile", arguments)[-1]


def test_inherits_from_earlier_stages() -> None:
    text = 'FROM python:3.12 AS base\nENV A=1\nWORKDIR /code\nCMD ["old"]\nFROM node AS assets\nFROM base\nENV B=$A\nEXPOSE 80\n'
    stage = _stage(text)
    assert (stage.image, stage.workdir, stage.command, stage.ports) == ("python:3.12", "/code", '["old"]', ("80",))
    assert dict(stage.variables) == {"A": "1", "B": "1"}


def test_an_entrypoint_resets_the_command_of_the_image_alone() -> None:
    text = b'FROM python AS a\nCMD ["one"]\nENTRYPOINT ["run"]\nFROM a\nENTRYPOINT ["other"]\nFROM a\nCMD ["two"]\nENTRYPOINT ["other"]\n'
    stages = evaluate_stages(parse_dockerfile(text), "Dockerfile")
    assert [(stage.entrypoint, stage.command) for stage in stages] == [('["run"]', '["one"]'), ('["other"]', ""), ('["other"]', '["two"]')]


def test_a_line_goes_on_inside_a_string_of_the_exec_form() -> None:
    text = 'FROM x\nCMD ["sh", "-c", "\\\n    run a && \\\n  exec serve \\\n"]\nEXPOSE 80\nRUN x \\'
    assert (" ".join(_stage(text).command.split()), _stage(text).ports) == ('["sh", "-c", " run a && exec serve "]', ("80",))


def test_knows_build_arguments() -> None:
    text = "ARG V=3.11\nARG PORT=1\nFROM python:${V}-slim\nARG PORT=2\nARG DIR=/x\nEXPOSE $PORT\nWORKDIR $DIR\n"
    assert (_stage(text).image, _stage(text).ports, _stage(text).workdir) == ("python:3.11-slim", ("1",), "/x")
    assert (_stage(text, V="3.9", PORT="7").image, _stage(text, PORT="7").ports) == ("python:3.9-slim", ("7",))


def test_reads_only_valid_tcp_ports() -> None:
    assert _stage("FROM x\nARG P=1\nEXPOSE $P $Q 2/tcp 53/udp 0 99999 8000-8010 \u0668\nEXPOSE 7\n").ports == ("1", "2", "7")


def test_reads_the_escape_directive() -> None:
    assert _stage("# syntax=docker/dockerfile:1\n# escape=`\nFROM x\nCMD a `\n b\n").command.split() == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ENV A=b", "b"),
        ('ENV A="b c" X=1', "b c"),
        ("ENV A='$b'", "$b"),
        ("ENV A old form", "old form"),
        ("ENV A=x\\ y", "x y"),
        ("ENV A=${UNSET:-d}", "d"),
        ("ENV B=1\nENV A=p$B:${B}q", "p1:1q"),
        ("ENV A=\\\n  joined", ""),
    ],
)
def test_evaluates_variables_as_docker_does(line: str, value: str) -> None:
    assert dict(_stage(f"FROM x\n{line}\n").variables).get("A") == value


def test_keeps_secrets_apart() -> None:
    stage = _stage("FROM x\nENV API_TOKEN=hidden\nENV URL=redis://me:hidden@host\nENV C=$API_TOKEN\n")
    assert (stage.variables, stage.secrets, stage.unknown) == ((), ("API_TOKEN", "URL"), ("API_TOKEN", "URL", "C"))
    assert "hidden" not in repr(stage)


def test_knows_volumes_user_and_signals() -> None:
    stage = _stage(
        'FROM x\nARG D=/data\nVOLUME ["/a", "/b"]\nVOLUME $D /c/\nUSER 10:20\nSTOPSIGNAL SIGINT\nHEALTHCHECK CMD curl http://x/up\n'
    )
    assert (stage.volumes, stage.user, stage.stop_signal, stage.health) == (
        ("/a", "/b", "/data", "/c"),
        "10:20",
        "SIGINT",
        "CMD curl http://x/up",
    )


def test_runs_are_commands() -> None:
    text = "FROM x\nARG P='libpq5 git'\nRUN apt-get install -y $P && \\\n  # why\n  make\nRUN <<EOF\npip install a\npip install b\nEOF\n"
    assert [command.words for command in _stage(text).runs] == [
        ("apt-get", "install", "-y", "libpq5", "git"),
        ("make",),
        ("pip", "install", "a"),
        ("pip", "install", "b"),
    ]


def _files(root: Path, text: str, project: str = "") -> CopiedFiles:
    return CopiedFiles(_stage(text), root, root / project if project else root, root)


@pytest.mark.parametrize(
    ("clone", "workdir"),
    [
        ("git clone https://git.example/team/shop.git", "/opt/shop/server"),
        ("git clone --depth 1 https://git.example/team/shop.git code", "/opt/code/server"),
        ("git clone git@git.example:team/shop /srv/shop", "/srv/shop"),
    ],
)
def test_a_clone_of_the_repository_itself_is_a_copy_of_it(tmp_path: Path, clone: str, workdir: str) -> None:
    written(tmp_path, {"server/main.py": "", ".git/config": '[remote "origin"]\n\turl = https://elsewhere.example/team/shop.git\n'})
    files = _files(tmp_path, f"FROM x\nWORKDIR /opt\nRUN {clone}\nWORKDIR {workdir}\n", "server")
    assert files.project_path(f"{workdir.removesuffix('/server')}/server/main.py") == "main.py"


@pytest.mark.parametrize("workdir", ["/opt/other", "/opt/other/docs"])
def test_a_clone_of_another_repository_is_no_copy(tmp_path: Path, workdir: str) -> None:
    written(tmp_path, {"server/main.py": "", ".git/config": "url = https://git.example/team/shop.git\n"})
    files = _files(tmp_path, f"FROM x\nWORKDIR /opt\nRUN git clone https://git.example/team/other.git\nWORKDIR {workdir}\n")
    assert not files.covers_project


def test_a_file_that_is_copied_to_a_directory_of_the_image_keeps_its_name(tmp_path: Path) -> None:
    written(tmp_path, {"app.py": "", "entry.sh": "x"})
    files = _files(tmp_path, "FROM x\nRUN useradd -m shop\nCOPY entry.sh /home/shop\nCOPY app.py /srv/app.py\n")
    script = files.read_script("/home/shop/entry.sh")
    assert script is not None
    assert files.read_script("/home/shop/other.sh") is None


def test_finds_files_where_the_image_has_them(tmp_path: Path) -> None:
    written(tmp_path, {"app/main.py": "", "docker/entry.sh": "x", "conf/a.ini": "", "static/index.html": ""})
    files = _files(
        tmp_path,
        "FROM x AS build\nCOPY . /src\nRUN mv /src/conf/a.ini /etc/a.ini\nFROM y\nWORKDIR /srv\nCOPY app/ app/\nCOPY docker/*.sh /\n"
        "COPY --from=build /etc/a.ini /etc/app/\nCOPY --from=build /src/static /var/www\nCOPY --from=other /z /z\n",
    )
    assert files.home == "/srv"
    assert files.project_path("/srv/app/main.py") == "app/main.py"
    assert files.project_path("/srv") == "."
    assert files.project_path("/etc/app/a.ini") == "conf/a.ini"
    assert files.project_path("/var/www/index.html") == "static/index.html"
    assert files.project_path("/srv/app/missing.py") is None
    script = files.read_script("/entry.sh")
    assert script is not None
    assert (script.name, script.data) == ("docker/entry.sh", b"x")


def test_a_copy_of_what_is_in_the_image_may_have_a_pattern(tmp_path: Path) -> None:
    written(tmp_path, {"deploy/conf/a.ini": "x", "deploy/conf/b.txt": "", "deploy/c.ini": ""})
    files = _files(tmp_path, "FROM x\nCOPY deploy /srv/deploy\nRUN cp /srv/deploy/conf/*.ini /etc/app/\n")
    assert (files.names_in("/etc/app"), files.project_path("/etc/app/a.ini")) == (("a.ini",), "deploy/conf/a.ini")


def test_a_project_may_be_a_part_of_the_context(tmp_path: Path) -> None:
    written(tmp_path, {"backend/main.py": "", "frontend/x": "", "backend/app/a.py": ""})
    whole = _files(tmp_path, "FROM x\nCOPY . /code\nWORKDIR /code/backend\n", "backend")
    assert (whole.home, whole.project_path("/code/backend/main.py"), whole.project_path("/code/frontend/x")) == (
        "/code/backend",
        "main.py",
        None,
    )
    assert not whole.has_part_of_project
    part = _files(tmp_path, "FROM x\nCOPY backend/app /code/app\nCOPY backend/main.py /code/\n", "backend")
    assert (part.home, part.has_part_of_project) == ("/code", True)


_INSTRUCTIONS = st.sampled_from(
    [
        *[
            "FROM",
            "CMD",
            "ENTRYPOINT",
            "ENV",
            "ARG",
            "COPY",
            "WORKDIR",
            "EXPOSE",
            "RUN",
            "VOLUME",
            "USER",
            "#",
            "escape=`",
            "python",
            ".",
            "..",
            "/",
            "/app",
            "x:y",
            "$A",
            "${A:-b}",
            "A=1",
            "A=",
            "\\",
            "<<EOF",
            "EOF",
        ],
        *["[", "]", '"', "'", ",", "AS", "--from=0", "--from=x", "\x00", "99999", "&&", ";", "|"],
        *("\n", "\r\n", "\\\n"),
    ]
)
_TEXTS = st.text() | st.lists(_INSTRUCTIONS, max_size=40).map(lambda words: "FROM x\n" + " ".join(words))


@given(_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary())
def test_any_file_can_be_read(data: bytes) -> None:
    for stage in evaluate_stages(parse_dockerfile(data), "Dockerfile"):
        files = CopiedFiles(stage, Path("/nonexistent"), Path("/nonexistent/project"), Path("/nonexistent"))
        assert files.project_path("/app/x") is None


@pytest.mark.parametrize("line", ["ENV " + "a" * 500_000, "CMD " + '"' * 500_000, "ENV A=$B\n" * 10_000, "RUN " + "<<A " * 100_000])
def test_reads_a_long_line(line: str) -> None:
    evaluate_stages(parse_dockerfile(f"FROM x\n{line}\n".encode()), "Dockerfile")
