"""The packages of a front end: fetched by the lock file that it has, by a program of the version that the lock file is for."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shipwheel.builder import asset_build
from shipwheel.builder.asset_build import AssetBuild, AssetFailed, package_manager
from shipwheel.builder.sandbox_run import SandboxRun, bubblewrap_words
from shipwheel.errors import BuildError
from shipwheel.locking.process import Finished
from shipwheel.locking.sandbox import top_directories


@pytest.mark.parametrize(
    ("files", "tool", "fetch", "is_locked"),
    [
        ({"package-lock.json": "{}"}, "", "npm ci", True),
        ({"npm-shrinkwrap.json": "{}"}, "", "npm ci", True),
        ({}, "", "npm install", False),
        ({"yarn.lock": "# yarn lockfile v1\n"}, "yarn@1.22.22", "yarn install", True),
        ({"yarn.lock": "__metadata:\n  version: 8\n"}, "@yarnpkg/cli-dist@4.13", "yarn install", True),
        ({"yarn.lock": "__metadata:\n  version: 10\n"}, "@yarnpkg/cli-dist@4", "yarn install", True),
        ({"yarn.lock": "# a comment\n__metadata:\n  version: 6\n  cacheKey: 8\n"}, "@yarnpkg/cli-dist@3", "yarn install", True),
        ({"yarn.lock": "__metadata:\n"}, "@yarnpkg/cli-dist@4", "yarn install", True),
        ({"bun.lock": "{}"}, "bun@1", "bun install", True),
        ({"bun.lockb": "", "package.json": '{"packageManager": "bun@1.2.23"}'}, "bun@1.2.23", "bun install", True),
        ({"bun.lock": "{}", "package-lock.json": "{}"}, "", "npm ci", True),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm@10", "pnpm install", True),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "pnpm@8", "pnpm install", True),
        ({"pnpm-lock.yaml": "lockfileVersion: 5.4\n"}, "pnpm@7", "pnpm install", True),
        ({"pnpm-lock.yaml": "", "package.json": '{"packageManager": "pnpm@9.1.2+sha512.ab"}'}, "pnpm@9.1.2", "pnpm install", True),
    ],
)
def test_takes_the_package_manager_of_the_lock_file(
    tmp_path: Path, files: Mapping[str, str], tool: str, fetch: str, is_locked: bool
) -> None:
    for name, text in {"package.json": "{}", **files}.items():
        (tmp_path / name).write_text(text)
    found = package_manager(tmp_path)
    assert (found.tool, " ".join(found.fetch[:2]), found.is_locked) == (tool, fetch, is_locked)


def test_no_package_manager_refuses_another_node(tmp_path: Path) -> None:
    """The index has no old node, and only the first yarn makes an error of what the others warn of."""
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "yarn.lock").write_text("# yarn lockfile v1\n")
    assert "--ignore-engines" in package_manager(tmp_path).fetch


def test_a_project_may_let_yarn_change_its_lock_file(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "yarn.lock").write_text("__metadata:\n  version: 6\n")
    assert package_manager(tmp_path).fetch == ("yarn", "install", "--immutable")
    (tmp_path / ".yarnrc.yml").write_text("nodeLinker: node-modules\nenableImmutableInstalls: false\n")
    assert package_manager(tmp_path).fetch == ("yarn", "install")


def test_a_package_json_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{")
    with pytest.raises(BuildError, match=r"package\.json of the front end cannot be read"):
        package_manager(tmp_path)


class Recorder:
    """Stands for the sandbox: keeps each command with its variables, and fails those that it is told to."""

    def __init__(self, *failing: str) -> None:
        self.ran: list[tuple[str, list[str], Mapping[str, str]]] = []
        self._failing = failing

    def __call__(self, run: SandboxRun, **_: Any) -> Finished:
        words, env = bubblewrap_words(run)
        command = " ".join(words[words.index("--") + 1 :])
        self.ran.append((command, [*words], env))
        return Finished(1 if command.startswith(self._failing) and self._failing else 0, f"output of {command}", "")


def build(folder: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset_build, "run_in_sandbox", recorder)
    (folder / "place" / "source" / "ui").mkdir(parents=True)
    (folder / "place" / "source" / "ui" / "package.json").write_text("{}")
    (folder / "place" / "source" / "ui" / "yarn.lock").write_text("")
    stated = {"MODE": "production", "LD_AUDIT": "./a.so"}
    made = AssetBuild(folder / "place", folder / "root", {"PATH": "/usr/bin"}, folder / "cache", "ui", stated, threading.Event())
    made.run(["npm", "run", "build"], made.prepare())


def test_only_what_fetches_packages_has_a_network_and_the_users_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".npmrc").write_text("//host/:_authToken=secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "https://mirror.example/")
    monkeypatch.setenv("MY_SECRET", "1")
    monkeypatch.setenv("YARN_GLOBAL_FOLDER", str(tmp_path))
    monkeypatch.setenv("npm_config_store_dir", str(tmp_path))
    recorder = Recorder()
    build(tmp_path, recorder, monkeypatch)
    assert [command.split(" --")[0] for command, _, _ in recorder.ran] == ["npm install", "yarn install", "npm rebuild", "npm run build"]
    assert all("--ignore-scripts" in words for _, words, _ in recorder.ran[:2])
    for number, (_, words, env) in enumerate(recorder.ran):
        fetches = number < 2
        assert ("--share-net" in words) == fetches
        assert (str(tmp_path / ".npmrc") in words) == fetches
        assert (str(tmp_path / "cache") in words) == fetches
        assert ("npm_config_registry" in env) == fetches
        assert "MY_SECRET" not in env
        assert (env["YARN_GLOBAL_FOLDER"], env["npm_config_store_dir"]) == ("/build/cache/yarn-global", "/build/cache/pnpm")
        assert env["MODE"] == "production"
        assert "LD_AUDIT" not in env and words[words.index("LD_AUDIT") - 1] == "--setenv"
        assert words[words.index("--chdir") + 1] == "/build/source/ui"


def test_a_script_of_a_package_that_fails_does_not_stop_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder("npm rebuild")
    build(tmp_path, recorder, monkeypatch)
    assert recorder.ran[-1][0] == "npm run build"


def test_a_failure_has_the_output_of_what_ran_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssetFailed, match=r"`npm run build` failed \(exit status 1\)") as failed:
        build(tmp_path, Recorder("npm run"), monkeypatch)
    assert "output of npm rebuild" in failed.value.output


def test_a_root_may_have_directories_of_its_own_beside_usr(tmp_path: Path) -> None:
    for name in ("usr/bin", "usr/lib", "lib", "usr/sbin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    assert dict(top_directories(tmp_path)) == {"bin": None, "lib": tmp_path / "lib", "sbin": None}


def test_what_completes_a_program_has_no_network_and_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(asset_build, "run_in_sandbox", recorder)
    source = tmp_path / "place" / "source"
    source.mkdir(parents=True)
    (source / "package.json").write_text("{}")
    (source / "bun.lock").write_text("{}")
    AssetBuild(tmp_path / "place", tmp_path / "root", {"PATH": "/usr/bin"}, tmp_path / "cache", "", {}, threading.Event()).fetch()
    assert [(command.split(" --")[0], "--share-net" in words) for command, words, _ in recorder.ran] == [
        ("npm install", True),
        ("sh -c cd /build/tools/node_modules/bun && node install.js", False),
        ("bun install", True),
    ]
    assert "/build/cache" not in recorder.ran[1][1]


class OldWebpack(Recorder):
    """A sandbox in which the command only works with node's old hashes, or not even so; without, it ends with a status."""

    def __init__(self, works: bool, status: int) -> None:
        super().__init__()
        self._works, self._status = works, status

    def __call__(self, run: SandboxRun, **more: Any) -> Finished:
        super().__call__(run, **more)
        command, _, env = self.ran[-1]
        if not command.startswith("npm run") or (self._works and env.get("NODE_OPTIONS") == "--openssl-legacy-provider"):
            return Finished(0, "", "")
        error = "  opensslErrorStack: [ 'error:03000086' ],\n  code: 'ERR_OSSL_EVP_UNSUPPORTED'\n"
        told = "[webpack-cli] Promise rejection: Error: error:0308010C:digital envelope routines::unsupported\n"
        return Finished(self._status, "", error if self._status else told)


@pytest.mark.parametrize(("works", "status"), [(True, 1), (True, 0), (False, 1)])
def test_an_old_webpack_runs_again_with_old_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool, status: int) -> None:
    recorder = OldWebpack(works, status)
    if works:
        build(tmp_path, recorder, monkeypatch)
    else:
        with pytest.raises(AssetFailed):
            build(tmp_path, recorder, monkeypatch)
    assert [env.get("NODE_OPTIONS") for command, _, env in recorder.ran if command == "npm run build"] == [
        None,
        "--openssl-legacy-provider",
    ]
