"""Variables, volumes and ports of a Dockerfile, whoever gives the command."""

from pathlib import Path

import pytest
from support.project_tree import launched

from shipwheel.project.entrypoint.launch import Launch
from shipwheel.settings.settings import Settings

FILES = {"main.py": "from fastapi import FastAPI\napp = FastAPI()\n", "conf/a.ini": "", "lib/x.py": "", "media/a.png": ""}


def _launch(root: Path, lines: str, **settings: object) -> Launch:
    files = {**FILES, "Dockerfile": f"FROM python\nWORKDIR /code\nCOPY . /code\n{lines}\n"}
    return launched(root, files, "fastapi uvicorn", Settings(**settings))  # type: ignore[arg-type]


def test_count_although_the_command_comes_from_elsewhere(tmp_path: Path) -> None:
    launch = _launch(tmp_path, "ENV MODE=fast\nVOLUME /data\nEXPOSE 5000\nCMD ./start")
    assert launch.command == ("uvicorn", "--host", "0.0.0.0", "--port", "5000", "main:app")
    assert (launch.env, launch.volumes, launch.ports) == ({"MODE": "fast"}, ("/data",), ("5000/tcp",))
    launch = _launch(tmp_path, "ENV MODE=fast\nVOLUME /data\nEXPOSE 5000\n", command=("python", "main.py"), ports=("1/tcp",))
    assert (launch.env, launch.volumes, launch.ports) == ({"MODE": "fast"}, ("/data",), ("1/tcp",))


def test_ports_of_udp(tmp_path: Path) -> None:
    gauge = {"gauge.py": "import socket\nsocket.socket(type=socket.SOCK_DGRAM).bind(('0.0.0.0', 5140))\n"}
    dockerfile = "FROM python\nWORKDIR /app\nCOPY . .\nEXPOSE 5140/udp 8125/udp\nCMD python gauge.py\n"
    assert launched(tmp_path, {**gauge, "Dockerfile": dockerfile}).ports == ("5140/udp", "8125/udp")
    both = dockerfile.replace("8125/udp", "5140")
    assert launched(tmp_path, {**gauge, "Dockerfile": both}).ports == ("5140/tcp", "5140/udp")


def test_paths_are_those_of_our_image(tmp_path: Path) -> None:
    launch = _launch(
        tmp_path, "ENV CONF=/code/conf/a.ini PYTHONPATH=/code/lib:/other LIST=/code/conf:/tmp/x\nVOLUME /code/uploads /code/media /etc/x /"
    )
    assert launch.env == {"CONF": "/app/conf/a.ini", "LIST": "/app/conf:/tmp/x"}
    assert launch.volumes == ("/app/uploads",)
    assert launch.python_path == ("lib",)


def test_paths_of_the_directory_that_ours_is_called_as_well_stay(tmp_path: Path) -> None:
    dockerfile = "FROM python\nWORKDIR /app\nCOPY . .\nENV CONF=/app/conf/a.ini LIST=/app/conf:/tmp/x OTHER=/app/none\n"
    assert launched(tmp_path, {**FILES, "Dockerfile": dockerfile}, "fastapi uvicorn").env == {
        "CONF": "/app/conf/a.ini",
        "LIST": "/app/conf:/tmp/x",
    }


def test_a_directory_that_is_made_for_a_variable_is_a_volume(tmp_path: Path) -> None:
    launch = _launch(tmp_path, "RUN mkdir -p /var/uploads /unused && chown 1 /var/uploads\nENV UPLOADS=/var/uploads/new OTHER=/nowhere")
    assert (launch.env, launch.volumes) == ({"UPLOADS": "/var/uploads/new"}, ("/var/uploads",))


@pytest.mark.parametrize("home", ["/app", "/code"])
def test_a_variable_may_name_what_a_compose_file_mounts(tmp_path: Path, home: str) -> None:
    mounts = f"volumes: ['./data:{home}/data', 'up:/srv/up']"
    files = {
        **FILES,
        "Dockerfile": f"FROM python\nWORKDIR {home}\nCOPY . .\nENV DATA_PATH={home}/data OTHER={home}/none\n",
        "compose.yml": f"services:\n  web:\n    build: .\n    {mounts}\n    environment: [UP=/srv/up/a]\n",
    }
    launch = launched(tmp_path, files, "fastapi uvicorn")
    assert launch.env == {"DATA_PATH": "/app/data", "UP": "/srv/up/a"}
    assert launch.volumes == ("/app/data", "/srv/up")


@pytest.mark.parametrize(("value", "needs_source"), [("/app/plugins", True), ("/app/none:/app/plugins/b.txt", True), ("/app/none", False)])
def test_the_image_of_a_package_has_the_files_that_its_variables_name(tmp_path: Path, value: str, needs_source: bool) -> None:
    files = {
        "pyproject.toml": "[project]\nname = 'shop'\nversion = '1'\n[build-system]\nrequires = ['hatchling']\n",
        "shop/__init__.py": "",
        "shop/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        "plugins/a.py": "",
        "plugins/b.txt": "",
        "Dockerfile": f"FROM python\nWORKDIR /app\nRUN pip install .\nCOPY plugins plugins\nVOLUME /app/none\nENV PLUGINS={value}\n",
    }
    assert launched(tmp_path, files, "fastapi uvicorn", kind="package", packaged={"shop"}).needs_source is needs_source
    named = launched(
        tmp_path, {"Dockerfile": "FROM x\n"}, "fastapi uvicorn", Settings(env={"PLUGINS": value}), kind="package", packaged={"shop"}
    )
    assert named.needs_source is needs_source


def test_the_directory_of_the_apps_own_configuration_may_be_a_volume(tmp_path: Path) -> None:
    assert _launch(tmp_path, "VOLUME /etc/demo /etc/ssl").volumes == ("/etc/demo",)


def test_a_volume_that_the_command_starts_in_is_not_the_projects_directory(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[project]\nname = 'shop'\nversion = '1'\nscripts = {shop = 'shop:main'}\n",
        "shop/__init__.py": "",
        "Dockerfile": "FROM python\nRUN pip install shop\nWORKDIR /data\nVOLUME /data\nCMD shop --datadir /data --log /data/shop/a.log\n",
    }
    launch = launched(tmp_path, files, kind="package", packaged={"shop"}, scripts={"shop": "shop:main"})
    assert (launch.command, launch.volumes) == (("shop", "--datadir", "/data", "--log", "/data/shop/a.log"), ("/data",))


def test_a_port_that_only_root_may_open_is_no_default(tmp_path: Path) -> None:
    assert _launch(tmp_path, "EXPOSE 80").ports == ("8000/tcp",)
    assert _launch(tmp_path, 'EXPOSE 80\nCMD ["uvicorn", "--host=::", "--port=80", "main:app"]').ports == ("8080/tcp",)


def test_a_directory_that_the_command_names_is_a_volume(tmp_path: Path) -> None:
    lines = 'CMD ["uvicorn", "main:app", "--host=::", "--data", "/data", "--conf=/etc/x", "--log", "/var/a.log", "-d", "/code/lib"]'
    assert _launch(tmp_path, lines).volumes == ("/data",)


def test_a_volume_beside_a_folder_that_is_the_images_whole_app_is_beside_that_folder(tmp_path: Path) -> None:
    files = {
        "backend/main.py": FILES["main.py"],
        "backend/requirements.txt": "fastapi\n",
        "backend/Dockerfile": "FROM python\nWORKDIR /code\nCOPY . .\nCMD uvicorn main:app --port 80\n",
        "compose.yaml": "services: {web: {build: backend, ports: ['80:80'], volumes: ['media:/code/media', 'other:/data']}}\n",
    }
    assert launched(tmp_path, files, "fastapi uvicorn").volumes == ("/app/backend/media", "/data")
