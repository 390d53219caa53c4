"""Programs in an image's root: what they see, what they may do, and which of the files that they write are taken."""

import os
import re
import shutil
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.programs import needs
from support.small_image import make_small_image

from shipwheel.builder.step_run import ImageRoot
from shipwheel.locking.bounds import Bounds, OverBounds

SHELL = "/bin/sh"
ENVIRONMENT = {"PATH": "/bin", "GREETING": "hello"}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("image")
    make_small_image(root)
    return root


def image_root(image: Path, folder: Path, bounds: Bounds | None = None) -> ImageRoot:
    root = ImageRoot(image, folder / "place", "65532:65532", "/app", threading.Event(), bounds or Bounds())
    root.prepare()
    return root


def run(root: ImageRoot, line: str, *, network: bool = False) -> str:
    done = root.run(["sh", "-c", line], ENVIRONMENT, network=network)
    assert done.code == 0, done.stderr
    return done.stdout


@needs("bwrap")
@pytest.mark.parametrize("overlay", [True, False])
def test_takes_what_a_program_writes_and_leaves_the_image_as_it_is(
    image: Path, tmp_path: Path, overlay: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not overlay:
        monkeypatch.setattr(ImageRoot, "_overlays", lambda _: False)
    root = image_root(image, tmp_path)
    out = run(
        root,
        "pwd; echo $GREETING; echo a > new; : > main.py; echo b > ../srv; echo x > /tmp/x; echo c > /var/tmp/c;"
        "umask 077; echo d > private; exec > /opt/venv/.cache; echo e",
    )
    assert out == "/app\nhello\n"
    assert [each.path for each in root.written()] == ["app/main.py", "app/new", "app/private", "srv"]
    assert (image / "app" / "main.py").read_text() == "print(1)\n"
    assert run(root, "read line < new; echo $line") == "a\n"
    root.remove()
    assert not (tmp_path / "place").exists()


@needs("bwrap")
def test_a_file_that_is_as_before_does_not_count(image: Path, tmp_path: Path) -> None:
    root = image_root(image, tmp_path)
    run(root, "echo 'print(1)' > main.py")
    assert root.written() == ()
    root.remove()


@needs("bwrap")
@pytest.mark.parametrize("overlay", [True, False])
def test_tools_are_there_and_do_not_count_as_written(image: Path, tmp_path: Path, overlay: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not overlay:
        monkeypatch.setattr(ImageRoot, "_overlays", lambda _: False)
    for path, text in {"opt/tool": "#!/bin/sh\necho done > made\n", "app/main.py": "theirs"}.items():
        (tmp_path / "tools" / path).parent.mkdir(parents=True)
        (tmp_path / "tools" / path).write_text(text)
        (tmp_path / "tools" / path).chmod(0o755)
    root = replace(image_root(image, tmp_path), tools=tmp_path / "tools")
    if not overlay:
        root.remove()
        root.prepare()
    assert run(root, "/opt/tool; read line < main.py; echo $line") == "print(1)\n"
    assert [each.path for each in root.written()] == ["app/made"]
    root.remove()


@needs("bwrap")
def test_a_program_sees_nothing_of_this_machine(image: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret")
    root = image_root(image, tmp_path)
    assert run(
        root, f"[ -e {canary} ] && echo seen; [ -e /etc/passwd ] && echo passwd; for each in /proc/[0-9]*; do echo p; done"
    ).split() in (
        ["p"],
        ["p", "p"],
    )
    devices = run(root, "while read -r line; do echo $line; done < /proc/net/dev")
    assert re.findall(r"^(\w+):", devices, re.MULTILINE) == ["lo"]
    root.remove()


@needs("bwrap")
def test_the_loaders_variables_reach_the_program_alone(image: Path, tmp_path: Path) -> None:
    root = image_root(image, tmp_path)
    done = root.run(["sh", "-c", "echo $LD_PRELOAD"], {**ENVIRONMENT, "LD_PRELOAD": "/app/nowhere.so"}, network=False)
    assert done.stdout == "/app/nowhere.so\n"
    # The sandbox, which runs outside, would complain as well.
    assert done.stderr.count("nowhere.so") == 1
    root.remove()


@needs("bwrap")
def test_a_program_is_stopped_at_its_bounds(image: Path, tmp_path: Path) -> None:
    root = image_root(image, tmp_path, Bounds(seconds=0.2))
    with pytest.raises(OverBounds, match="stopped after"):
        root.run(["sh", "-c", "while :; do :; done"], ENVIRONMENT, network=False)
    root.remove()


@needs("bwrap")
@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm", "/app"])
def test_what_a_program_writes_anywhere_counts(image: Path, tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.locking.bounds._SCAN_EVERY_S", 0.01)
    root = image_root(image, tmp_path, Bounds(size=1 << 20))
    with pytest.raises(OverBounds, match="GB of disk"):
        root.run(["sh", "-c", f"while :; do echo {'x' * 4000}; done > {folder}/filling"], ENVIRONMENT, network=False)
    root.remove()


@needs("bwrap")
def test_a_root_for_another_processor_does_not_start(image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(image, other, symlinks=True)
    (other / "opt" / "venv" / "bin" / "python").write_bytes(b"\x7fELF of another machine")
    assert not image_root(other, tmp_path).starts()
    assert image_root(image, tmp_path / "again").starts()


@needs("bwrap")
def test_links_and_programs_are_told(image: Path, tmp_path: Path) -> None:
    root = image_root(image, tmp_path)
    upper = tmp_path / "place" / "upper" / "app"
    upper.mkdir(parents=True)
    (upper / "link").symlink_to("/srv/target")
    (upper / "tool").write_bytes(b"\x7fELF")
    (upper / "tool").chmod(0o755)
    (upper / "__pycache__").mkdir()
    (upper / "__pycache__" / "a.pyc").touch()
    os.mkfifo(upper / "pipe")
    link, tool = root.written()
    assert (link.link, link.is_elf) == ("/srv/target", False)
    assert (tool.link, tool.is_elf, tool.executable) == (None, True, True)
    root.remove()


def test_no_file_is_compared_through_a_link_of_the_image(tmp_path: Path) -> None:
    for folder in ("outside", "image/app", "place/upper/app/out"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "image" / "app" / "out").symlink_to(tmp_path / "outside")
    for folder in ("outside", "place/upper/app/out"):
        (tmp_path / folder / "a").write_text("the same")
    root = ImageRoot(tmp_path / "image", tmp_path / "place", "0:0", "/", threading.Event())
    assert [each.path for each in root.written()] == ["app/out/a"]
