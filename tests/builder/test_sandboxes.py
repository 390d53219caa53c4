"""The sandbox of a machine: which one is taken, what an engine is told, and that its files come back as they are and nowhere else."""

import io
import os
import subprocess
import tarfile
import threading
import time
from pathlib import Path
from typing import IO

import pytest
from support.programs import needs

from shipwheel.builder.engine_client import BuildContainer, EngineClient, create_words
from shipwheel.builder.engine_files import add_tree, replace_content, tar_stream
from shipwheel.builder.engine_leftovers import STEP_IMAGES, new_name, remove_leftovers
from shipwheel.builder.engine_root import EngineRoot
from shipwheel.builder.engine_sandbox import EngineSandbox, run_container
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.sandboxes import find_sandbox
from shipwheel.builder.step_run import ImageRoot
from shipwheel.errors import BuildError, ShipwheelError, UsageError
from shipwheel.locking.bounds import Bounds, OverBounds
from shipwheel.platform import host_platform
from shipwheel.witness.witness import Witness

INFO = "#!/bin/sh\n[ \"$1\" = info ] || exit 1\necho '{answer}'\nexit {code}\n"


def programs(folder: Path, **answers: str) -> str:
    """Return a PATH with engines that answer with their platform, or with nothing and an error."""
    folder.mkdir()
    for name, answer in answers.items():
        (folder / name).write_text(INFO.format(answer=answer, code=0 if answer else 1))
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({}, ""),
        ({"docker": "linux/{machine}"}, "docker"),
        ({"docker": "", "podman": "linux/{architecture}"}, "podman"),
        ({"docker": "linux/{machine}", "podman": "linux/{architecture}"}, "docker"),
        ({"docker": "linux/riscv64"}, ""),
        ({"docker": "windows/{machine}"}, ""),
    ],
)
def test_an_engine_that_answers_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], found: str) -> None:
    host = host_platform()
    known = {name: text.format(machine=host.machine, architecture=host.architecture) for name, text in answers.items()}
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", **known))
    chosen = find_sandbox()
    assert (chosen.name if chosen is not None else "") == found


def test_an_engine_that_starts_later_is_found_and_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = programs(tmp_path / "bin", docker="")
    monkeypatch.setenv("PATH", folder)
    assert find_sandbox() is None
    Path(folder, "docker").write_text(INFO.format(answer=f"linux/{host_platform().machine}", code=0))
    found = find_sandbox()
    assert found is not None and found.name == "docker"
    assert find_sandbox() is found


def test_a_machine_without_one_may_have_one_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    project = tmp_path / "project"
    project.mkdir()
    time.sleep(0.05)  # a tick of the kernel's clock
    witness = Witness()
    assert find_sandbox() is None
    assert witness.looks(str(project)) is None


@needs("bwrap")
def test_a_variable_names_the_only_one_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIPWHEEL_SANDBOX", "podman")
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", docker=f"linux/{host_platform().machine}"))
    assert find_sandbox() is None
    monkeypatch.setenv("SHIPWHEEL_SANDBOX", "gvisor")
    with pytest.raises(UsageError, match="SHIPWHEEL_SANDBOX is 'gvisor'"):
        find_sandbox()


def test_an_images_root_has_each_path_once(tmp_path: Path) -> None:
    """docker imports no archive with a path twice. The tools' files are where the image has nothing."""
    root, tools = tmp_path / "root", tmp_path / "tools"
    for path in ("root/tmp/left", "root/usr/bin/python", "tools/usr/bin/python", "tools/usr/bin/sh", "tools/bin/hidden"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (root / "bin").symlink_to("usr/bin")
    stream = io.BytesIO()
    made = EngineRoot(EngineClient("docker"), ImageRoot(root, tmp_path / "place", "1000:1001", "/", threading.Event(), tools=tools))
    made._write_root(stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        members = {member.name: member for member in archive}
        assert sorted(archive.getnames()) == sorted({*archive.getnames()})
        assert sorted(members) == ["bin", "tmp", "tmp/left", "usr", "usr/bin", "usr/bin/python", "usr/bin/sh", "var/tmp"]
        python = archive.extractfile("usr/bin/python")
        assert python is not None and python.read() == b"root/usr/bin/python"
        assert (members["tmp"].mode, members["bin"].linkname, members["usr/bin/sh"].uid) == (0o1777, "usr/bin", 1000)


@pytest.mark.parametrize("network", [False, True])
def test_a_container_has_no_mounts_no_capabilities_and_only_its_variables(monkeypatch: pytest.MonkeyPatch, network: bool) -> None:
    monkeypatch.setenv("SECRET", "of the caller")
    options = BuildContainer("own", "image", ("npm", "ci"), (65532, 65532), "/build", {"PATH": "/usr/bin", "TOKEN": "hidden"}, network)
    words, environment = create_words("docker", options)
    assert words[:2] == ["docker", "create"]
    assert words[-3:] == ["image", "npm", "ci"]
    assert {
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--user=65532:65532",
        "--workdir=/build",
        "--pull=never",
        "--name=own",
    } <= {*words}
    assert ("--network=none" in words, "--network=host" in words) == (not network, network)
    assert [word for word in words if word.startswith(("--volume", "--mount", "-v", "--privileged", "--device"))] == []
    given = [words[number + 1] for number, word in enumerate(words) if word == "--env"]
    assert given == ["PATH=/usr/bin", "TOKEN"], "a value is not in the list of processes, unless the engine's program has that variable"
    assert environment["TOKEN"] == "hidden"
    assert any(word.startswith("--pids-limit=") for word in words)
    assert not any(word.startswith("--pids-limit=") for word in create_words("podman", options)[0])


def test_a_proxy_s_password_is_not_in_the_list_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example")
    options = BuildContainer(
        "own", "image", ("npm", "ci"), (1, 1), "/", {"HTTPS_PROXY": "http://user:secret@proxy.example", "HOME": "/build"}
    )
    words, environment = create_words("docker", options)
    assert "secret" not in " ".join(words)
    assert environment["HTTPS_PROXY"].endswith("@proxy.example") and "HTTPS_PROXY" in words
    assert "HOME=/build" in words


def test_an_engine_that_never_answers_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.builder.engine_sandbox._ANSWER_S", 0.05)
    assert EngineSandbox.connect(engine(tmp_path, "exec sleep 60").name) is None


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    own = new_name()
    left = own.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    others = (own, f"{'0' * 12}{left[12:]}", "shop-db-1")
    listed = {"ps": (left, *others), "image": (f"localhost/{STEP_IMAGES}:{left}", f"{STEP_IMAGES}:{own}", f"{STEP_IMAGES}:latest")}
    answers = "".join(f"[ $1 = {name} ] && echo {' '.join(texts)}\n" for name, texts in listed.items())
    client = engine(tmp_path, f'echo "$*" >>{tmp_path}/asked\n{answers}exit 0')
    remove_leftovers(client)
    removed = [line for line in (tmp_path / "asked").read_text().splitlines() if " rm " in f" {line}"]
    assert removed == [f"rm --force --volumes {left}", f"image rm --force localhost/{STEP_IMAGES}:{left}"]
    remove_leftovers(engine(tmp_path, "exit 1"))


def test_an_engine_that_cannot_list_its_containers_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.builder.engine_leftovers._ANSWER_S", 0.05)
    script = f"[ $1 = info ] && exec echo linux/{host_platform().architecture}\nexec sleep 60"
    assert EngineSandbox.connect(engine(tmp_path, script).name) is not None


def archive_of(folder: Path) -> io.BytesIO:
    stream = io.BytesIO()
    with tar_stream(stream) as archive:
        add_tree(archive, folder, "/build/source", (65532, 65532))
    stream.seek(0)
    return stream


def test_files_come_back_as_they_are(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "program").write_text("run")
    (source / "folder" / "program").chmod(0o700)
    (source / "folder" / "same").hardlink_to(source / "folder" / "program")
    (source / "link").symlink_to("/etc/passwd")
    (source / "ü").write_text("text")
    stream = archive_of(source)
    with tarfile.open(fileobj=stream) as archive:
        assert {(member.uid, member.gid, member.uname) for member in archive} == {(65532, 65532, "")}
        assert all(member.mode & 0o004 for member in archive)
    stream.seek(0)
    (target / "old").mkdir(parents=True)
    # The container's directory is the last part of the path.
    replace_content(target / "old", _renamed(stream))
    back = target / "old"
    assert sorted(path.relative_to(back).as_posix() for path in back.rglob("*")) == ["folder", "folder/program", "folder/same", "link", "ü"]
    assert (back / "folder" / "program").stat().st_mode & 0o777 == 0o755
    assert (back / "folder" / "same").samefile(back / "folder" / "program")
    assert (back / "folder" / "program").stat().st_mtime == pytest.approx((source / "folder" / "program").stat().st_mtime, abs=1e-3)
    assert str((back / "link").readlink()) == "/etc/passwd"


def _renamed(stream: io.BytesIO) -> io.BytesIO:
    """Return the archive as an engine gives it back, from the directory `source` on."""
    made = io.BytesIO()
    with tarfile.open(fileobj=stream) as old, tarfile.open(fileobj=made, mode="w") as new:
        for member in old:
            content = old.extractfile(member) if member.isreg() else None
            member.name = member.name.removeprefix("build/")
            member.linkname = member.linkname.removeprefix("build/") if member.islnk() else member.linkname
            member.pax_headers = {}
            new.addfile(member, content)
    made.seek(0)
    return made


def hostile(*members: tuple[str, bytes, str]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind, link in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = kind, link, 0o755
            archive.addfile(entry)
    stream.seek(0)
    return stream


@pytest.mark.parametrize(
    "members",
    [
        [("source/link", tarfile.SYMTYPE, "{outside}"), ("source/link/evil", tarfile.REGTYPE, "")],
        [("source/../evil", tarfile.REGTYPE, "")],
        [("source/folder/evil", tarfile.REGTYPE, "")],
        [("source/link", tarfile.SYMTYPE, "{outside}/evil"), ("source/link", tarfile.REGTYPE, "")],
    ],
)
def test_nothing_comes_back_to_another_place(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    stream = hostile(("source", tarfile.DIRTYPE, ""), *((name, kind, link.format(outside=outside)) for name, kind, link in members))
    with pytest.raises((ShipwheelError, FileExistsError)):
        replace_content(folder, stream)
    assert [*outside.iterdir()] == [] and not (tmp_path / "evil").exists()


def test_a_hard_link_to_a_file_of_this_machine_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    replace_content(folder, hostile(("source", tarfile.DIRTYPE, ""), ("source/stolen", tarfile.LNKTYPE, "source/../secret")))
    assert [*folder.iterdir()] == []


def test_an_archive_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    (source / "file").write_bytes(bytes(5000))
    with pytest.raises(BuildError, match="the engine's files cannot be read"):
        replace_content(target, io.BytesIO(_renamed(archive_of(source)).getvalue()[:3000]))


def engine(folder: Path, script: str) -> EngineClient:
    """Return an engine that is a shell script in a directory, which it can write to as $HERE."""
    program = folder / "engine"
    program.write_text(f"#!/bin/sh\nHERE={folder}\n{script}\n")
    program.chmod(0o755)
    return EngineClient(str(program))


def test_an_image_of_which_only_a_part_was_sent_is_not_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill, ended = subprocess.Popen.kill, list[bool]()

    def note(process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        ended.append(process.stdin.closed)
        kill(process)

    def write(stream: IO[bytes]) -> None:
        stream.write(b"the first files")
        raise OverBounds("it was stopped")

    monkeypatch.setattr(subprocess.Popen, "kill", note)
    with pytest.raises(OverBounds):
        engine(tmp_path, 'cat > "$HERE/image"').send(["import", "-", "name"], write)
    assert ended == [False], "a program that sees the end of its input takes it for the whole"


def test_a_file_of_holes_counts_with_its_whole_size(tmp_path: Path) -> None:
    script = 'case $1 in start) touch "$HERE/ran";; *) [ -e "$HERE/ran" ] && echo 1000000000000 || echo 0;; esac'
    with pytest.raises(OverBounds, match="used more than 1 GB of disk"):
        run_container(engine(tmp_path, script), "container", threading.Event(), Bounds(60, 1 << 30))


def test_an_image_has_a_container_before_another_may_be_pruned(tmp_path: Path) -> None:
    script = 'case "$1 $2" in "image inspect") exit 1;; esac\necho "$1" >> "$HERE/calls"; [ "$1" != import ] || cat > "$HERE/made"\necho id'
    sandbox, runs = EngineSandbox(engine(tmp_path, script)), list[threading.Thread]()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run = SandboxRun(("true",), tmp_path / name, {}, "/")
        runs.append(threading.Thread(target=sandbox.run, args=(run,), kwargs={"stop": threading.Event(), "bounds": Bounds()}))
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    calls = [line for line in (tmp_path / "calls").read_text().split() if line in ("import", "create")]
    assert calls == ["import", "create", "import", "create"]


def test_a_directory_that_two_runs_may_change_is_for_one_at_a_time(tmp_path: Path) -> None:
    script = """case $1 in
start) touch "$HERE/run.$$"; sleep 0.1; ls -d "$HERE"/run.* | wc -l >> "$HERE/together"; rm "$HERE/run.$$";;
cp) [ "$3" = - ] && exec tar -cC "$HERE" cache; exec cat > /dev/null;;
*) echo 1;;
esac"""
    sandbox = EngineSandbox(engine(tmp_path, script))
    (tmp_path / "cache").mkdir()
    run = SandboxRun(("true",), tmp_path, {"/cache": (tmp_path / "cache", True)}, "/")
    runs = [threading.Thread(target=sandbox.run, args=(run,), kwargs={"stop": threading.Event(), "bounds": Bounds()}) for _ in range(2)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert (tmp_path / "together").read_text().split() == ["1", "1"]


def test_a_root_whose_python_never_ends_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.builder.engine_root._PROBE", Bounds(seconds=0.05))
    client = engine(tmp_path, 'case $1 in start) exec sleep 60;; import) exec cat > /dev/null;; rm) touch "$HERE/gone";; *) echo 0;; esac')
    (tmp_path / "root").mkdir()
    root = EngineRoot(client, ImageRoot(tmp_path / "root", tmp_path / "place", "1:1", "/", threading.Event()))
    root.prepare()
    assert not root.starts()
    assert (tmp_path / "gone").exists()
