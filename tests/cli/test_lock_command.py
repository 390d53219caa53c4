"""`shipwheel lock` on the command line, offline."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from shipwheel.locking.pylock import FORMAT
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, World

ABI = f"cp{MINOR.replace('.', '')}-cp{MINOR.replace('.', '')}"
NO_BASE = "The base for linux/amd64, linux/arm64 is not locked yet: the first build locks it, when it knows what the wheels need."


@pytest.fixture
def world(empty_world: World) -> World:
    """What is fetched is the subject of these tests."""
    return empty_world


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*") if path.is_file()}


def test_lock_writes_the_lock_and_check_finds_it_current(world: World) -> None:
    app = world.app("small\n")
    assert world.run("lock", app, "--check").code == 1
    made = world.run("lock", app)
    assert made.code == 0, made.err
    assert made.out.splitlines()[0].startswith(f"pylock.toml was written: from requirements.txt, Python {MINOR}, as of ")
    assert [line.split() for line in made.out.splitlines()[1:3]] == [
        ["linux/amd64", "2", "packages,", "0.0", "MB"],
        ["linux/arm64", "2", "packages,", "0.0", "MB"],
    ]
    assert made.out.splitlines()[-1] == NO_BASE
    assert not world.mirror.requests, "locking does not contact the Debian archive"

    before = state(app)
    world.index.close()
    current = world.run("lock", app, "--check")
    assert (current.code, current.out) == (0, "The lock is current and serves every platform.\n")
    assert world.run("lock", app, "--check", "--json").document == {"current": True, "reasons": []}
    assert state(app) == before, "nothing is written"


def test_check_and_diff_report_what_changed(world: World) -> None:
    app = world.app("small\n")
    assert world.run("lock", app).code == 0
    shutil.copy(app / "pylock.toml", world.root / "old.toml")
    (app / "requirements.txt").write_text("tiny\nnative\n")
    before = state(app)
    stale = world.run("lock", app, "--check")
    assert stale.code == 1
    assert stale.out.splitlines() == [
        "pylock.toml is out of date: requirements.txt changed.",
        "Not in the lock: native.",
        "No longer required: small.",
        "Run `shipwheel lock` to make it current.",
    ]
    assert state(app) == before
    made = world.run("lock", app)
    assert "changes: 1 added, 1 removed, 0 changed" in made.out
    assert "  + native 1.0\n  - small 1.0\n" in made.out

    compared = world.run("lock", app, "--diff", world.root / "old.toml")
    assert compared.code == 0, compared.err
    assert compared.out.splitlines()[:3] == ["packages: 1 added, 1 removed, 0 changed", "  + native 1.0", "  - small 1.0"]
    other = world.run("lock", "--diff", app / "pylock.toml", world.root / "old.toml", cwd=app)
    assert other.out.splitlines()[:3] == ["packages: 1 added, 1 removed, 0 changed", "  + small 1.0", "  - native 1.0"]
    assert world.run("lock", app, "--diff", app / "pylock.toml").out == "Nothing changed.\n"
    assert world.run("lock", app, "--diff", app / "pylock.toml", "--json").document["platforms"][0]["platform"] == "linux/amd64"


def test_the_setting_dependencies_adds_packages(world: World) -> None:
    app = world.app("small\n", settings='dependencies = ["native"]\n')
    made = world.run("lock", app)
    assert made.code == 0, made.err
    assert [line.split()[:3] for line in made.out.splitlines()[1:3]] == [
        ["linux/amd64", "3", "packages,"],
        ["linux/arm64", "3", "packages,"],
    ]
    assert world.run("lock", app, "--check").code == 0
    settings = app / "shipwheel.toml"
    settings.write_text(settings.read_text().replace('["native"]', '["native<1"]'))
    stale = world.run("lock", app, "--check")
    assert stale.out.splitlines()[0] == "pylock.toml is out of date: what settings and command add was native and is native<1."
    failed = world.run("lock", app)
    assert failed.code == 4
    assert "native<1" in failed.err


def test_upgrade_package_rejects_an_unknown_name(world: World) -> None:
    app = world.app("small\n")
    assert world.run("lock", app).code == 0
    before = state(app)
    result = world.run("lock", app, "--upgrade-package", "Smal")
    assert result.code == 2
    assert "smal cannot be upgraded" in result.err
    assert "small" in result.err.partition("hint:")[2]
    assert state(app) == before
    assert world.run("lock", app, "--upgrade-package", "Tiny").code == 0


def test_a_lock_by_another_version_is_out_of_date(world: World) -> None:
    app = world.app("small\n")
    assert world.run("lock", app).code == 0
    text = (app / "pylock.toml").read_text()
    inputs = text.partition('inputs = "')[2].partition('"')[0]
    (app / "pylock.toml").write_text(text.replace(f"format = {FORMAT}\n", "format = 1\n").replace(inputs, "sha256:0"))
    assert world.run("lock", app, "--check").out.startswith("pylock.toml is out of date: another version of shipwheel made it.\n")
    assert "the same versions" in world.run("lock", app).out


def test_a_removed_entry_is_an_error(world: World) -> None:
    """A merge may lose an entry; the image would then lack a package and not start."""
    app = world.app("small\n")
    assert world.run("lock", app).code == 0
    text = (app / "pylock.toml").read_text()
    begin = text.index('[[packages]]\nname = "tiny"')
    (app / "pylock.toml").write_text(text[:begin] + text[text.index("\n[", begin) + 1 :])
    for command in (("lock", "--check"), ("lock",), ("build", "-o", world.root / "x.oci")):
        result = world.run(command[0], app, *command[1:])
        assert result.code == 4, command
        assert "it lacks tiny (for small)" in result.err


def test_an_edited_lock_is_damaged_rather_than_out_of_date(world: World) -> None:
    """Locking again would not repair it, so both commands say what does."""
    app = world.app("small\n")
    assert world.run("lock", app).code == 0
    text = (app / "pylock.toml").read_text()
    (app / "pylock.toml").write_text(text.replace('version = "1.0"', 'version = "2.0"', 1))
    for flags in (("--check",), ()):
        result = world.run("lock", app, *flags)
        assert result.code == 4
        assert "not a valid lock" in result.err
        assert "delete it" in result.err


def test_a_lock_that_misses_a_platform_is_not_written(world: World) -> None:
    world.add(SmallWheel("lonely", tag=f"{ABI}-manylinux_2_17_x86_64", purelib=False))
    app = world.app("lonely\n")
    refused = world.run("lock", app)
    assert refused.code == 4
    assert "linux/arm64" in refused.err
    assert not (app / "pylock.toml").exists(), "the lock does not serve every requested platform"
    assert world.run("lock", app, "--platform", "linux/amd64").code == 0
    stale = world.run("lock", app, "--check")
    assert stale.code == 1
    assert "lonely 1.0 has no file for linux/arm64" in stale.out
    assert world.run("lock", app, "--check", "--platform", "linux/amd64").code == 0


def test_an_error_suggests_alternatives(world: World) -> None:
    for version, tags in (
        ("1.0", ["cp38-cp38-manylinux_2_17_x86_64"]),
        ("2.0", [f"{ABI}-manylinux_2_17_{it}" for it in ("x86_64", "aarch64")]),
    ):
        for tag in tags:
            world.add(SmallWheel("faraway", version=version, tag=tag, purelib=False))
    app = world.app("faraway==1.0\n")
    refused = world.run("lock", app)
    assert refused.code == 4
    assert "faraway 1.0 has no file for linux/amd64" in refused.err and "no wheel is for Python" in refused.err
    assert "it has: cp38-cp38-manylinux_2_17_x86_64" in refused.err
    assert "required by: requirements.txt, line 1 → faraway 1.0" in refused.err
    assert "nearest versions with files: 2.0 (newer)" in refused.err
    assert "or faraway 2.0." in refused.err.partition("hint: ")[2]
    assert not (app / "pylock.toml").exists()
    built = world.build(app)
    assert built.code == 4 and "faraway 2.0" in built.err.partition("hint: ")[2]


def test_diff_compares_with_a_git_revision(world: World) -> None:
    app = world.app("small\n")
    assert world.run("lock", app).code == 0
    env = world.environment()
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=app, env=env, check=True, capture_output=True)
    assert world.run("lock", app, "--diff", "HEAD").out == "Nothing changed.\n"
    (app / "requirements.txt").write_text("tiny\n")
    assert world.run("lock", app).code == 0
    assert "  - small 1.0" in world.run("lock", app, "--diff", "HEAD").out
    for wrong in ("nope", "--output=x", "HEAD:nope.toml"):
        done = world.run("lock", app, f"--diff={wrong}")
        assert done.code == 2
        assert "hint" in done.err


def test_explain_shows_what_requires_a_package(world: World) -> None:
    app = world.app("small\n")
    assert world.run("lock", app, "--explain", "tiny").code == 4, "there is no lock"
    assert world.run("lock", app).code == 0
    result = world.run("lock", app, "--explain", "tiny")
    assert result.out.splitlines() == [
        "tiny 1.0",
        "  linux/amd64    tiny-1.0-py3-none-any.whl, 0.0 MB",
        "  linux/arm64    tiny-1.0-py3-none-any.whl, 0.0 MB",
        "  required by small 1.0",
        "  through requirements.txt, line 1 → small 1.0 → tiny 1.0",
        f"  it is the newest version for Python {MINOR}",
    ]
    assert json.loads(world.run("lock", app, "--explain", "tiny", "--json").out)["newer"]["newest"] == "1.0"
    assert world.run("lock", app, "--explain", "nope").code == 2


def test_locks_a_project_without_a_command(world: World) -> None:
    folder = world.root / "library"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "library"\nversion = "1"\ndependencies = ["small"]\n')
    done = world.run("lock", folder, "--python", MINOR, "--json")
    assert done.code == 0, done.err
    assert done.document["platforms"][0]["distributions"] == {"small": "1.0", "tiny": "1.0"}
    assert world.run("lock", folder, "--python", MINOR, "--check").code == 0


@pytest.mark.parametrize(
    "flags", [("--check", "--upgrade"), ("--explain", "a", "--check"), ("--diff", "a", "--explain", "b"), ("x", "y"), ("--as-of", "soon")]
)
def test_rejects_options_that_exclude_each_other(world: World, flags: tuple[str, ...]) -> None:
    app = world.app("small\n")
    assert world.run("lock", app, *flags).code == 2


def test_a_build_uses_the_lock_and_adds_the_base(world: World) -> None:
    app = world.app("small\n")
    assert world.run("lock", app).code == 0
    before = (app / "pylock.toml").read_text()
    assert world.build(app).code == 0
    after = (app / "pylock.toml").read_text()
    assert after.startswith(before.partition("[tool.shipwheel]")[0])
    assert "[tool.shipwheel.base.amd64]" in after
    assert world.run("lock", app, "--upgrade").out.splitlines()[-1] != NO_BASE, "the base stays locked"
    assert "[tool.shipwheel.base.arm64]" in (app / "pylock.toml").read_text()
