"""What of an app's directory goes into /app: ignore files honoured, secrets and clutter never, links only inside."""

import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.project_tree import written
from support.stacks import STACK, placed

from shipwheel.errors import ProjectError
from shipwheel.events import silent
from shipwheel.project.app_tree import AppTree, list_app, list_copies
from shipwheel.stack.helm import helm_files
from shipwheel.stack.kustomize import kustomize_files
from shipwheel.timeline import recorded

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"


def _paths(tree: AppTree) -> list[str]:
    return [file.path for file in tree.files]


def test_lists_files_with_size_and_mode(tmp_path: Path) -> None:
    written(tmp_path, {"main.py": "12345", "run.sh": "", "data/x.csv": "a"})
    (tmp_path / "run.sh").chmod(0o755)
    tree = list_app(tmp_path)
    assert [(file.path, file.size, file.executable) for file in tree.files] == [
        ("data/x.csv", 1, False),
        ("main.py", 5, False),
        ("run.sh", 0, True),
    ]
    assert tree.files[1].host == tmp_path / "main.py"


def test_leaves_out_environments_caches_and_build_output(tmp_path: Path) -> None:
    clutter = [
        ".git/config",
        ".venv/x",
        "venv/x",
        "env3/pyvenv.cfg",
        "env3/lib/a.py",
        "a/__pycache__/a.pyc",
        "a.pyc",
        "node_modules/x",
        ".tox/x",
    ]
    clutter += [
        ".mypy_cache/x",
        ".idea/x",
        "Dockerfile",
        "docker-compose.yml",
        "x.egg-info/PKG-INFO",
        "dist/x.whl",
        "build/lib/x.py",
        "pylock.toml",
    ]
    clutter += ["out/oci-layout", "out/blobs/sha256/x", "cached/CACHEDIR.TAG", "cached/x.py"]
    clutter += [f".shipwheel-cache/{name}/x" for name in ("blobs", "records", "partial", "tmp", "rootfs")]
    written(tmp_path, dict.fromkeys([*clutter, "main.py", "tests/test_a.py", "README.md", "build2/x"], ""))
    assert _paths(list_app(tmp_path)) == ["README.md", "build2/x", "main.py", "tests/test_a.py"]


def test_leaves_out_image_archives_and_bundles_but_no_other_archives(tmp_path: Path) -> None:
    written(tmp_path, {"main.py": "", "data.tar": ""})
    for name, member in {"hello.tar": "oci-layout", "shop.tar": "shipwheel-bundle.json", "backup.tar": "oci-layout.txt"}.items():
        with tarfile.open(tmp_path / name, "w") as archive:
            archive.addfile(tarfile.TarInfo(member))
    os.mkfifo(tmp_path / "pipe.tar")
    found = list_app(tmp_path)
    assert _paths(found) == ["backup.tar", "data.tar", "main.py"]
    assert found.special == ("pipe.tar",)


def test_leaves_out_a_timeline_while_and_after_it_is_written(tmp_path: Path) -> None:
    """Else a build with one makes another image than a build without."""
    written(tmp_path, {"main.py": "", "data.json": "{}"})
    with recorded(tmp_path / "t.json", silent):
        assert _paths(list_app(tmp_path)) == ["data.json", "main.py"]
    assert _paths(list_app(tmp_path)) == ["data.json", "main.py"]


def test_leaves_out_what_export_has_written_into_the_project(tmp_path: Path) -> None:
    """Else the image that a manifest names is another one than the next export names."""
    files, once = kustomize_files(STACK, tuple(placed()))
    written(tmp_path, {f"deploy/{name}": text for name, text in {**files, **once}.items()})
    written(tmp_path, {f"chart/{name}": text for name, text in helm_files(STACK, tuple(placed())).items()})
    written(tmp_path, {"main.py": "", "deploy/mine.yaml": "kind: Pod\n", "notes.md": "# Made by `shipwheel export`\n"})
    written(tmp_path, {"theirs/Chart.yaml": "name: shop\n", "theirs/values.yaml": ""})
    assert _paths(list_app(tmp_path)) == ["deploy/mine.yaml", "main.py", "notes.md", "theirs/Chart.yaml", "theirs/values.yaml"]


def test_rejects_names_that_delete_files_in_images(tmp_path: Path) -> None:
    written(tmp_path, {"main.py": "", "lib/.wh.module.py": "", ".wh.data/x": "", "left/.wh..wh..opq": ""})
    with pytest.raises(ProjectError) as caught:
        list_app(tmp_path, exclude=["left/"])
    assert "cannot hold the name .wh.data/x" in caught.value.message and "lib/.wh.module.py" in caught.value.message
    assert "left" not in caught.value.message


def test_takes_a_front_end_in_build_or_dist(tmp_path: Path) -> None:
    written(tmp_path, {"build/index.html": "", "dist/app.js": ""})
    assert _paths(list_app(tmp_path)) == ["build/index.html", "dist/app.js"]


def test_leaves_out_secrets_and_reports_them(tmp_path: Path) -> None:
    secret = {
        ".env": "",
        "conf/.env.production": "",
        "id_rsa": "x",
        ".aws/credentials": "",
        ".netrc": "",
        "tls/server.key": "text\n" + KEY,
        "notes": KEY,
        "service.json": '{"private_key": "' + KEY.replace("\n", "\\n") + '"}',
        ".streamlit/secrets.toml": "",
    }
    kept = {
        ".env.example": "",
        "ca.pem": "-----BEGIN CERTIFICATE-----\n",
        "code.py": f"MARK = '''{KEY}'''",
        "id_rsa.pub": "",
        ".streamlit/config.toml": "",
    }
    tree = list_app(written(tmp_path, secret | kept))
    assert _paths(tree) == sorted(kept)
    assert list(tree.secrets) == sorted(path.replace(".aws/credentials", ".aws/") for path in secret)


def test_does_not_report_an_ignored_secret(tmp_path: Path) -> None:
    assert list_app(written(tmp_path, {".gitignore": ".env\n", ".env": ""})).secrets == ()


def test_include_never_brings_a_secret_back(tmp_path: Path) -> None:
    tree = list_app(written(tmp_path, {".env": "", "k.pem": KEY}), include=[".env", "*.pem"], exclude=["*"])
    assert (tree.files, tree.secrets) == ((), (".env", "k.pem"))


def test_reads_nested_and_negated_gitignore_patterns(tmp_path: Path) -> None:
    written(tmp_path, {".gitignore": "*.log\n/data/\n!keep.log\n", "sub/.gitignore": "!b.log\nlocal.py\n"})
    written(
        tmp_path,
        dict.fromkeys(["a.log", "keep.log", "data/x", "sub/data/x", "sub/b.log", "sub/local.py", "local.py", "sub/deep/local.py"], ""),
    )
    assert _paths(list_app(tmp_path)) == ["keep.log", "local.py", "sub/b.log", "sub/data/x"]


def test_takes_a_directory_that_git_keeps_by_its_ignore_file_alone(tmp_path: Path) -> None:
    written(tmp_path, {"main.py": "", ".gitignore": "/logs/*\n", "static/fonts/.gitignore": "", "uploads/.gitignore": "*\n!.gitignore\n"})
    written(tmp_path, {"cache/.gitignore": "*\n", "logs/.gitignore": "", "a/.gitignore": "*.log\n", "a/b.txt": "", "a/x.log": ""})
    assert _paths(list_app(tmp_path)) == ["a/b.txt", "main.py", "static/fonts/.gitignore", "uploads/.gitignore"]


def test_gitignore_agrees_with_git(tmp_path: Path) -> None:
    written(
        tmp_path,
        {".gitignore": "*.log\nbuild*/\n/top\n**/gen\n!gen/keep\na/**/z\nsp\\ ace\n[ab].txt\np/**/\n", "s/.gitignore": "/top\n!x.log\n"},
    )
    names = [
        "x.log",
        "s/x.log",
        "buildx/y",
        "s/buildx",
        "top",
        "s/top",
        "s/t/top",
        "gen/keep",
        "q/gen",
        "a/z",
        "a/b/c/z",
        "sp ace",
        "a.txt",
        "c.txt",
        "s/b.txt",
        "p/x",
        "p/q/y",
    ]
    written(tmp_path, dict.fromkeys(names, ""))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert _paths(list_app(tmp_path)) == _not_ignored(tmp_path)
    assert "p/x" in _not_ignored(tmp_path)
    subprocess.run(["git", "add", "-f", "buildx/y", "s/t/top", "p/q/y"], cwd=tmp_path, check=True)
    assert _paths(list_app(tmp_path)) == _not_ignored(tmp_path)
    assert {"buildx/y", "s/t/top", "p/q/y"} <= {*_not_ignored(tmp_path)}


def _not_ignored(root: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in listed.splitlines() if not name.endswith(".gitignore"))


def test_a_negated_default_holds_for_a_file_that_git_tracks(tmp_path: Path) -> None:
    written(tmp_path, {".gitignore": "!kept.swp\n", "kept.swp": "", "other.swp": ""})
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "add", "--force", "."], check=True)
    assert [item.path for item in list_app(tmp_path).files] == ["kept.swp"]


def test_a_project_in_a_repository_has_what_git_tracks_below_it(tmp_path: Path) -> None:
    written(tmp_path, {".gitignore": "data/\n*.db\n", "app/main.py": "", "app/data/a.csv": "", "app/data/b.csv": "", "app/x.db": ""})
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "add", "-f", "app/data/a.csv"], cwd=tmp_path, check=True)
    assert _paths(list_app(tmp_path / "app")) == ["data/a.csv", "main.py"]


def test_reads_gitignore_files_above_the_project(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    root = (
        written(
            tmp_path,
            {".gitignore": "*.sqlite\n/libs/app/local/\n", "libs/app/x.sqlite": "", "libs/app/main.py": "", "libs/app/local/y": ""},
        )
        / "libs/app"
    )
    assert _paths(list_app(root)) == ["main.py"]


def test_lists_a_project_that_its_repository_ignores(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    written(tmp_path, {".gitignore": "scratch/\n", "scratch/app/main.py": ""})
    assert _paths(list_app(tmp_path / "scratch/app")) == ["main.py"]


def test_dockerignore_starts_at_the_root_and_the_last_pattern_decides(tmp_path: Path) -> None:
    written(tmp_path, {".dockerignore": "# all\n*\n!src\n!main.py\nsrc/secret\n!src/secret/pub.txt\n**/*.tmp\n"})
    written(tmp_path, dict.fromkeys(["main.py", "other.py", "src/a.py", "src/b.tmp", "src/secret/x", "src/secret/pub.txt", "docs/x"], ""))
    assert _paths(list_app(tmp_path)) == ["main.py", "src/a.py", "src/secret/pub.txt"]


def test_dockerignore_pattern_without_slash_is_anchored(tmp_path: Path) -> None:
    written(tmp_path, {".dockerignore": "data\n", "data/x": "", "pkg/data/x": ""})
    assert _paths(list_app(tmp_path)) == ["pkg/data/x"]


def test_include_and_exclude_override_ignore_files(tmp_path: Path) -> None:
    written(tmp_path, {".gitignore": "static/\n", "static/dist/app.js": "", "static/dist/app.map": "", "notes.md": "", "uv.lock": ""})
    tree = list_app(tmp_path, include=["/static/dist/*.js", "/uv.lock"], exclude=["notes.md"])
    assert _paths(tree) == ["static/dist/app.js", "uv.lock"]


def test_takes_only_the_given_paths(tmp_path: Path) -> None:
    written(tmp_path, {"tool.py": "x", "other.py": "", ".gitignore": "tool.py\n"})
    assert _paths(list_app(tmp_path, only=["tool.py"])) == ["tool.py"]


def test_keeps_links_inside_the_project_as_links(tmp_path: Path) -> None:
    written(tmp_path, {"real/x": "", "sub/deep/y": ""})
    (tmp_path / "current").symlink_to("real")
    (tmp_path / "sub/deep/up").symlink_to("../../real/x")
    (tmp_path / "sub/absolute").symlink_to(tmp_path / "real/x")
    (tmp_path / "dangling").symlink_to("not-there-yet")
    links = {file.path: file.link for file in list_app(tmp_path).files if file.link is not None}
    assert links == {"current": "real", "sub/deep/up": "../../real/x", "sub/absolute": "../real/x", "dangling": "not-there-yet"}


def test_names_all_links_that_lead_out_of_the_project(tmp_path: Path) -> None:
    root = tmp_path / "app"
    root.mkdir()
    (root / "a").symlink_to("../elsewhere")
    (root / "b").symlink_to("/etc/passwd")
    (root / "inner").symlink_to(".")
    (root / "c").symlink_to("inner/../../x")
    with pytest.raises(ProjectError) as caught:
        list_app(root)
    for name in ("link a ", "link b ", "link c "):
        assert name in caught.value.message
    (tmp_path / "elsewhere").mkdir()
    assert _paths(list_app(root, exclude=["a", "b", "c"])) == ["inner"]


def test_lists_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert _paths(list_app(tmp_path)) == ["a", "b"]


def test_reports_sockets_and_pipes_that_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        tree = list_app(tmp_path)
    assert (tree.files, tree.special) == ((), ("pipe", "sock"))


def test_rejects_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.txt")).touch()
    with pytest.raises(ProjectError, match=r"bad\\xff\.txt"):
        list_app(tmp_path)


def test_includes_names_with_a_backslash(tmp_path: Path) -> None:
    (tmp_path / "a\\b.txt").write_text("x")
    (tmp_path / "link").symlink_to("a\\b.txt")
    tree = list_app(tmp_path)
    assert [(item.path, item.link) for item in tree.files] == [("a\\b.txt", None), ("link", "a\\b.txt")]


def test_an_invalid_pattern_is_ignored_as_git_does(tmp_path: Path) -> None:
    tree = list_app(written(tmp_path, {".gitignore": "!\na\n", "a": "", "b": ""}))
    assert [item.path for item in tree.files] == ["b"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab*?!/[]\\#-. \n", max_size=30), st.sampled_from([".gitignore", ".dockerignore"]))
def test_any_ignore_file_gives_a_list_or_a_project_error(tmp_path: Path, text: str, name: str) -> None:
    for other in (".gitignore", ".dockerignore"):
        (tmp_path / other).unlink(missing_ok=True)
    written(tmp_path, {name: text, "a/b": "", "b": "", "a-b/a.a": "", ".env": ""})
    try:
        tree = list_app(tmp_path)
    except ProjectError as error:
        assert name in error.message
    else:
        # A pattern like !* takes the ignore file itself back; a secret never comes.
        assert set(_paths(tree)) <= {"a/b", "b", "a-b/a.a", name}


def test_names_are_utf8_in_every_locale(tmp_path: Path) -> None:
    (tmp_path / "ünï").mkdir()
    (tmp_path / "ünï" / "ç.txt").write_text("x")
    (tmp_path / "link").symlink_to("ünï/ç.txt")
    (tmp_path / ".gitignore").write_text("ünï/weg.txt\n", encoding="utf-8")
    (tmp_path / "ünï" / "weg.txt").write_text("x")
    program = "import sys; from pathlib import Path; from shipwheel.project.app_tree import list_app; tree = list_app(Path(sys.argv[1]));"
    program += "print(ascii([(file.path, file.link) for file in tree.files if not file.path.startswith('.')]))"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii([("link", "ünï/ç.txt"), ("ünï/ç.txt", None)])


def test_leaves_out_files_with_the_password_of_an_index(tmp_path: Path) -> None:
    told = "--index-url https://bob:s3cret@host.example/simple\nsmall\n"
    files = {
        "requirements.txt": told,
        "requirements/base.in": told,
        "a/deps.txt": told,
        "a/dev-requirements.txt": told,
        "pip.conf": told,
        "uv.toml": told,
    }
    harmless = {
        "constraints.txt": "--index-url https://${USER}:${PASSWORD}@host.example/simple\n",
        "pyproject.toml": 'url = "https://bob@host.example/simple"\nnext = "a:b@c"\n',
        "notes.txt": "see https://user:password@host.example/\n",
        "data/urls.txt": "https://user:password@host.example/\n",
        "main.py": 'URL = "postgresql://user:password@db"\n',
    }
    tree = list_app(written(tmp_path, {**files, **harmless}))
    assert tree.secrets == tuple(sorted(files))
    assert _paths(tree) == sorted(harmless)


def test_copies_have_other_paths_and_no_ignore_rules(tmp_path: Path) -> None:
    files = {".gitignore": "conf\n", "conf/a.ini": "1", "conf/.env": "KEY=1", "conf/sub/b.ini": "", "b[1].ini": "22", "b1.ini": ""}
    root = written(tmp_path, files)
    (root / "conf/link").symlink_to("sub/b.ini")
    tree = list_copies(root, {"/etc/shop": "conf", "/etc/shop/a.ini": "b[1].ini"})
    assert [(file.path, file.size, file.link) for file in tree.files] == [
        ("etc/shop/a.ini", 2, None),
        ("etc/shop/link", 0, "sub/b.ini"),
        ("etc/shop/sub/b.ini", 0, None),
    ]
    assert tree.secrets == ("conf/.env",)


def test_copies_come_from_inside_the_project(tmp_path: Path) -> None:
    root = written(tmp_path / "shop", {"conf/a.ini": "", "other.ini": ""})
    (root / "out").symlink_to("/etc")
    (root / "conf/link").symlink_to("../other.ini")
    with pytest.raises(ProjectError) as caught:
        list_copies(root, {"/etc/a": "out/passwd", "/etc/b": "gone.ini", "/etc/shop": "conf"})
    assert "out/passwd, which is to be copied to /etc/a, leads out of the project" in caught.value.message
    assert "gone.ini, which is to be copied to /etc/b, is not in the project" in caught.value.message
    assert "the symbolic link conf/link leads out of conf, to ../other.ini" in caught.value.message


def test_ignores_the_patterns_that_git_ignores(tmp_path: Path) -> None:
    written(tmp_path, {".gitignore": "*.log\n.mypy_cache\\\n!\n/data/\n", "a.log": "", "data/x": "", "main.py": ""})
    assert _paths(list_app(tmp_path)) == ["main.py"]
