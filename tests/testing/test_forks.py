"""Commands as forks: what a new process would do, without its imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from shipwheel.testing import forks
from shipwheel.testing.world import World


@pytest.mark.parametrize("arguments", [["--version"], ["tags", "--help"], ["inspect", "missing.tar"], ["unknown"]])
def test_a_fork_ends_as_a_new_process_does(shared_world: World, arguments: list[str]) -> None:
    new = subprocess.run(
        shared_world.command(*arguments),
        cwd=shared_world.root,
        env=shared_world.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    forked = shared_world.run(*arguments)
    assert (forked.code, forked.out, forked.err) == (new.returncode, new.stdout, new.stderr)


def test_a_fork_has_the_directory_and_the_variables_that_it_was_given(shared_world: World, tmp_path: Path) -> None:
    for number in (1, 2):
        (folder := tmp_path / str(number)).mkdir()
        (folder / "main.py").write_text("print()")
        (folder / "requirements.txt").write_text("small\n")
        done = shared_world.run("lock", ".", cwd=folder, env={"SHIPWHEEL_CACHE": str(folder / "store")})
        assert done.code == 0, done.err
        assert (folder / "pylock.toml").exists() and (folder / "store").is_dir()


def test_a_fork_has_every_module_that_a_build_imports(shared_world: World) -> None:
    """Those that are missing belong into the list of forks.py: each fork would import them."""
    _, _, _, keyring, pythons, *_ = shared_world.command()
    build = ["build", str(shared_world.app("small\n")), "--output", "shop.oci"]
    run = f"from shipwheel.testing import offline_command as it; it.prepare({keyring!r}, {pythons!r}, 0); it.run({build!r})"
    built, forked = (
        set(
            subprocess.run(
                [sys.executable, "-c", f"import atexit, sys; atexit.register(lambda: print('modules:', *sys.modules)); {code}"],
                cwd=shared_world.root,
                env=shared_world.environment(),
                capture_output=True,
                text=True,
                check=True,
            )
            .stdout.partition("modules:")[2]
            .split()
        )
        for code in (run, "from shipwheel.testing import forks; forks._import_all()")
    )
    assert len(built) > 300
    assert {name for name in built - forked if not name.startswith("_sysconfigdata_")} == set()


@pytest.mark.parametrize("variable", ["PYTHONHASHSEED", "LC_ALL", "TZ"])
def test_variables_that_python_reads_at_its_start_need_a_new_process(shared_world: World, variable: str) -> None:
    assert forks.can_run(shared_world.environment())
    assert not forks.can_run(shared_world.environment({variable: "0"}))
