"""`shipwheel build --all`: the applications of a workspace, offline."""

from pathlib import Path

import pytest
import yaml

from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import MINOR, World

SETTINGS = 'platforms = ["linux/amd64"]\nbytecode = false\n'


@pytest.fixture
def workspace(world: World) -> Path:
    """A workspace with two applications, and a library that both could use."""
    root = world.root / "shops"
    root.mkdir()
    (root / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\n')
    for name in ("api", "web"):
        add(world, root, f"apps/{name}", 'requires = ["small"]', "command")
    add(world, root, "libs/common", "", "")
    return root


def add(world: World, root: Path, name: str, requires: str, command: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    line = 'command = ["python", "main.py"]\n' if command else ""
    dependencies = '["small"]' if requires else "[]"
    text = f'[project]\nname = "{folder.name}"\nversion = "1"\nrequires-python = ">={MINOR}"\ndependencies = {dependencies}\n'
    (folder / "pyproject.toml").write_text(f'{text}[tool.uv]\npackage = false\n[tool.shipwheel]\npython = "{MINOR}"\n{line}{SETTINGS}')
    if command:
        (folder / "main.py").write_text("import small\n\nprint(small.VALUE)\n")
    return folder


def test_every_application_is_built_and_no_library(world: World, workspace: Path) -> None:
    done = world.run("build", workspace, "--all", "-o", "out")
    assert done.code == 0, done.err
    assert [line.partition("@")[0] for line in done.out.splitlines()] == ["api", "web"]
    assert sorted(path.name for path in (world.root / "out").iterdir()) == ["api.oci", "web.oci"]
    rows = done.err.partition("project ")[2].splitlines()
    assert [row.split()[0] for row in rows[1:3]] == ["apps/api", "apps/web"]
    assert rows[3] == "built 2 of 2 projects"
    single = world.run("build", workspace / "apps/api", "-o", "single.oci", "--json").digest
    assert done.out.splitlines()[0] == f"api@{single}"


def test_one_that_fails_is_named_and_the_others_go_on(world: World, workspace: Path) -> None:
    file = workspace / "apps/api/pyproject.toml"
    file.write_text(file.read_text().replace('["small"]', '["no-such-package"]'))
    done = world.run("build", workspace, "--all", "-o", "out")
    assert done.code == 4
    assert "no-such-package" in done.err
    assert "built 1 of 2 projects; failed: apps/api" in done.err
    assert [line.partition("@")[0] for line in done.out.splitlines()] == ["web"]
    document = world.run("build", workspace, "--all", "-o", "out", "--json").document
    assert [(it["path"], "error" in it, "digest" in it) for it in document["projects"]] == [
        ("apps/api", True, False),
        ("apps/web", False, True),
    ]


def test_shards_are_a_whole_without_an_overlap(world: World, workspace: Path) -> None:
    add(world, workspace, "apps/worker", "small", "command")
    parts = [world.run("build", workspace, "--all", "--shard", f"{number}/2", "-o", "out").out.splitlines() for number in (1, 2)]
    assert [[line.partition("@")[0] for line in part] for part in parts] == [["api", "worker"], ["web"]]
    empty = world.run("build", workspace, "--all", "--shard", "9/9", "-o", "out")
    assert (empty.code, empty.out) == (0, "")


def test_each_is_pushed_under_its_own_name_and_shares_layers(world: World, workspace: Path) -> None:
    with FakeRegistry() as registry:
        done = world.run("build", workspace, "--all", "--push", "-t", f"{registry.host}/{{name}}:7")
        assert done.code == 0, done.err
        assert {name: [*tags] for name, tags in registry.tags.items() if "7" in tags} == {"api": ["7"], "web": ["7"]}
        assert done.out.splitlines() == [f"{registry.host}/{name}@{registry.tags[name]['7']}" for name in ("api", "web")]
        for name in ("api", "web"):
            file = workspace / f"apps/{name}/pyproject.toml"
            file.write_text(file.read_text() + f'tag = "{registry.host}/team/{name}:1"\n')
        done = world.run("build", workspace, "--all", "--push", "-t", "{repository}:8")
        assert done.code == 0, done.err
        assert "8" in registry.tags["team/api"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--all", "--shard", "3/2"), "--shard 3/2 is not a part of a whole"),
        (("--shard", "1/2"), "--shard needs --all"),
        (("--all", "-t", "shop:1"), "--all would give every image the name shop:1"),
        (("--all", "-o", "x.tar"), "--all writes a layout for each project"),
    ],
)
def test_flags_that_cannot_hold_for_several_are_refused(world: World, workspace: Path, arguments: tuple[str, ...], message: str) -> None:
    done = world.run("build", workspace, *arguments)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_project_that_is_no_workspace_is_refused(world: World) -> None:
    done = world.run("build", world.app("small\n"), "--all")
    assert (done.code, "is not the root of a uv workspace" in done.err) == (2, True)


def test_a_pipeline_for_a_workspace_builds_all_of_it(world: World, workspace: Path) -> None:
    done = world.run("export", "gitlab-ci", workspace)
    assert (done.code, f"{workspace}/apps/api has no tag" in done.err) == (2, True), done.err
    for name, host in (("api", "one.example"), ("web", "two.example")):
        file = workspace / f"apps/{name}/pyproject.toml"
        file.write_text(file.read_text() + f'tag = "{host}/{name}:1"\n')
    done = world.run("export", "gitlab-ci", workspace)
    assert (done.code, "in the registries one.example, two.example" in done.err) == (2, True)
    file.write_text(file.read_text().replace("two.example", "one.example"))
    done = world.run("export", "gitlab-ci", workspace)
    assert "parallel: 2" in done.out
    assert "SHIPWHEEL_REGISTRY_HOST: one.example" in done.out
    assert "GitLab does not check the images: " in done.err


def test_a_pipeline_for_a_project_checks_it_with_what_its_settings_say_that_it_needs(world: World) -> None:
    db = '[services.web]\nneeds = ["db"]\n[services.db]\nimage = "postgres:16"\n'
    app = world.app("small\n", settings=f'tag = "registry.example/shop:1"\nports = [8000]\n{db}')
    done = world.run("export", "gitlab-ci", app)
    assert (done.code, done.err) == (0, "")
    assert [it["name"] for it in yaml.safe_load(done.out)["check"]["services"]] == ["postgres:16", "$IMAGE"]
    file = app / "shipwheel.toml"
    file.write_text(file.read_text().replace("ports = [8000]\n", ""))
    done = world.run("export", "gitlab-ci", app)
    assert (done.code, "GitLab does not check the image: it has no port to ask" in done.err) == (0, True), done.err
