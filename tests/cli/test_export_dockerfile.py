"""`shipwheel export dockerfile`, `bake` and `devcontainer`: offline."""

import json

import pytest

from shipwheel.testing.world import World

SETTINGS = """
platforms = "linux/amd64"
bytecode = false
ports = 8000
volumes = ["/data"]
before-start = [["python", "-c", "0"]]
"""


def test_files_are_the_projects_and_made_again_alike(world: World) -> None:
    app = world.app("small\n", settings=SETTINGS)
    (app / ".env").write_text("PASSWORD=x\n")
    (app / "data").mkdir()
    (app / "data" / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    (app / "data" / "rows.csv").write_text("1\n")
    done = world.run("export", "bake", app, "-o", app)
    assert done.code == 0, done.err
    names = ["Dockerfile", "Dockerfile.dockerignore", "docker-bake.hcl", ".shipwheel/requirements.txt"]
    names += [".shipwheel/launcher.py", ".shipwheel/launch.json"]
    assert done.out.splitlines() == [str(app / name) for name in names]
    texts = {name: (app / name).read_text() for name in names}
    assert "small==" in texts[".shipwheel/requirements.txt"]
    assert json.loads(texts[".shipwheel/launch.json"])["steps"] == [["python", "-c", "0"]]
    assert 'COPY ["main.py", "requirements.txt", "./"]\nCOPY ["data/", "./data/"]\n' in texts["Dockerfile"]
    assert (
        'ENTRYPOINT ["/usr/bin/tini", "--", "/opt/venv/bin/python", "-I", "-S", "-B", "/opt/shipwheel/launcher.py"]' in texts["Dockerfile"]
    )
    assert "install -d -m 0775 -o 65532 -g 0 /data" in texts["Dockerfile"]
    assert "\ndata/key.pem\n" in texts["Dockerfile.dockerignore"]
    before = world.build(app, "--platform", "linux/amd64").digest
    assert world.run("export", "bake", app, "-o", app).code == 0
    assert {name: (app / name).read_text() for name in names} == texts, "what was written is not read as the project's own"
    for name in names:
        (app / name).unlink()
    assert world.build(app, "--platform", "linux/amd64").digest == before


def test_a_dockerfile_elsewhere_is_said_to_belong_into_the_project(world: World) -> None:
    app = world.app("small\n", settings=SETTINGS)
    done = world.run("export", "dockerfile", app, "-o", app / "made")
    assert f"before you build, copy all that is in {app}/made into {app}" in done.err
    assert "before you build" not in world.run("export", "dockerfile", app, "-o", app).err


def test_a_persons_dockerfile_stays(world: World) -> None:
    app = world.app("small\n", settings=SETTINGS)
    (app / "Dockerfile").write_text("FROM scratch\n")
    done = world.run("export", "dockerfile", app, "-o", app)
    assert done.code == 2
    assert f"{app}/Dockerfile is not by shipwheel export, so it stays" in done.err
    assert not (app / ".shipwheel").exists()


@pytest.mark.parametrize("form", ["dockerfile", "helm"])
def test_several_files_need_a_directory(world: World, form: str) -> None:
    done = world.run("export", form, world.app("small\n", settings=SETTINGS))
    assert (done.code, f"export {form} writes several files" in done.err) == (2, True)


def test_an_editors_container_is_the_persons(world: World) -> None:
    app = world.app("small\n", settings=SETTINGS)
    done = world.run("export", "devcontainer", app, "-o", app)
    assert done.code == 0, done.err
    file = app / ".devcontainer" / "devcontainer.json"
    head, _, text = file.read_text().partition("\n")
    assert head.startswith("// Made once by `shipwheel export devcontainer`")
    found = json.loads(text)
    assert (found["image"], found["initializeCommand"]) == ("shop:devcontainer", ["shipwheel", "dev", "--devcontainer"])
    assert (found["workspaceFolder"], found["remoteUser"], found["forwardPorts"]) == ("/app", "app", [8000])
    assert found["workspaceMount"] == "source=${localWorkspaceFolder},target=/app,type=bind"
    file.write_text("{}")
    assert world.run("export", "devcontainer", app, "-o", app).code == 0
    assert file.read_text() == "{}", "it is the person's"
