"""Modules that protoc generates: a step makes those that the project imports and lacks, if it has their .proto files."""

from pathlib import Path

import pytest
from support.project_tree import launched

from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.protobuf import generated_modules
from shipwheel.settings.build import StepSettings
from shipwheel.settings.settings import Settings

SERVER = "import grpc\nimport {0}hello_pb2\nimport {0}hello_pb2_grpc\nif __name__ == '__main__':\n    s = grpc.server()\n"
CALL = ("python", "-m", "grpc_tools.protoc")


def served(root: Path, imports: str, files: dict[str, str], dependencies: str = "grpcio grpcio-tools") -> Launch:
    """Return the launch of a gRPC server that imports hello_pb2 from a package, given with its dot."""
    return launched(root, {"server.py": SERVER.format(imports), **files}, dependencies)


@pytest.mark.parametrize(
    ("imports", "proto", "words"),
    [
        ("", "protos/hello.proto", ("-Iprotos", "--python_out=.", "--grpc_python_out=.", "protos/hello.proto")),
        ("", "hello.proto", ("-I.", "--python_out=.", "--grpc_python_out=.", "hello.proto")),
        ("protos.", "protos/hello.proto", ("-I.", "--python_out=.", "--grpc_python_out=.", "protos/hello.proto")),
        ("api.v1.", "schema/api/v1/hello.proto", ("-Ischema", "--python_out=.", "--grpc_python_out=.", "schema/api/v1/hello.proto")),
    ],
)
def test_modules_are_made_where_they_are_imported(tmp_path: Path, imports: str, proto: str, words: tuple[str, ...]) -> None:
    launch = served(tmp_path, imports, {proto: 'syntax = "proto3";\n'})
    assert launch.command == ("python", "server.py")
    assert launch.steps == (StepSettings((*CALL, *words)),)
    assert (launch.extra_requirements, launch.python_path) == ((), ())
    assert generated_modules(launch.steps) == {"hello_pb2", "hello_pb2_grpc"}


def test_the_compiler_is_added_and_imported_files_are_compiled_too(tmp_path: Path) -> None:
    files = {
        "protos/hello.proto": 'import "common.proto";\nimport "google/protobuf/empty.proto";\n',
        "protos/common.proto": 'import public "hello.proto";\n',
    }
    launch = served(tmp_path, "", files, "grpcio")
    assert launch.extra_requirements == ("grpcio-tools",)
    assert launch.steps[0].run[-2:] == ("protos/hello.proto", "protos/common.proto")


def test_files_outside_of_the_project_are_not_compiled(tmp_path: Path) -> None:
    (tmp_path / "other.proto").write_text("")
    launch = served(
        tmp_path / "app", "", {"protos/hello.proto": 'import "../../other.proto";\nimport "sub/../more.proto";\n', "protos/more.proto": ""}
    )
    assert launch.steps[0].run[-2:] == ("protos/hello.proto", "protos/more.proto")


def test_a_package_without_a_file_gets_its_directory_or_nothing(tmp_path: Path) -> None:
    assert served(tmp_path / "a", "made.", {"protos/hello.proto": ""}).steps == ()
    launch = served(tmp_path / "b", "made.", {"protos/hello.proto": "", "made/__init__.py": ""})
    assert "--python_out=made" in launch.steps[0].run
    assert launch.python_path == ("made",), "hello_pb2_grpc imports hello_pb2, and not made.hello_pb2"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"hello_pb2.py": "", "hello_pb2_grpc.py": "", "hello.proto": ""},
        {"a/hello.proto": "", "b/hello.proto": ""},
        {".venv/hello.proto": ""},
    ],
    ids=["no file", "there", "several files", "a file of others"],
)
def test_nothing_is_made_without_need_or_if_it_is_not_clear_from_what(tmp_path: Path, files: dict[str, str]) -> None:
    launch = served(tmp_path, "", files, "grpcio")
    assert (launch.steps, launch.extra_requirements) == ((), ())


def test_steps_of_the_settings_and_of_the_dockerfile_come_first(tmp_path: Path) -> None:
    files = {"server.py": SERVER.format(""), "hello.proto": ""}
    assert launched(tmp_path / "a", files, "grpcio-tools", settings=Settings(steps=())).steps == ()
    run = "python -m grpc_tools.protoc -I . --python_out=. --grpc_python_out=. hello.proto"
    files["Dockerfile"] = f"FROM python:3.13\nWORKDIR /srv\nCOPY . .\nRUN {run}\nCMD python server.py\n"
    assert launched(tmp_path / "b", files, "grpcio-tools").steps == (StepSettings(tuple(run.split())),)
