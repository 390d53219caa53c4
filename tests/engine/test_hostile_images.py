"""The arguments that engines get for images with hostile configs: none of them is an option that a config put there."""

import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.hostile_configs import configs

from shipwheel.engine.bwrap import Bwrap
from shipwheel.engine.ctr import Ctr
from shipwheel.engine.docker import Docker
from shipwheel.engine.dockerlike import DockerLike
from shipwheel.engine.interface import Mount, RunSpec
from shipwheel.engine.local import make_binds
from shipwheel.engine.podman import Podman
from shipwheel.engine.run_options import add_image_ports, add_image_volumes
from shipwheel.errors import EngineError, ImageError
from shipwheel.oci.execution import ExecutionConfig, execution_config
from shipwheel.oci.model import ContainerConfig
from shipwheel.platform import Platform

AMD64 = Platform("linux", "amd64")
ARGUMENTS = ("ARGUMENT", "--option-of-the-app")
"""The words behind the image's name."""

BWRAP_ARITY = {
    **dict.fromkeys(("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1"), 0),
    **dict.fromkeys(("--die-with-parent", "--new-session", "--clearenv"), 0),
    **dict.fromkeys(("--hostname", "--uid", "--gid", "--proc", "--dev", "--tmpfs", "--perms", "--chdir"), 1),
    **dict.fromkeys(("--ro-bind", "--bind", "--dev-bind", "--ro-bind-try", "--setenv"), 2),
}
"""bwrap's options that a container needs, with the numbers of their values."""


def spec_of(config: ContainerConfig, image: str = "app:1", *, ephemeral: bool) -> RunSpec:
    """Return what `shipwheel run` makes of an image. Discards configs that are refused."""
    try:
        checked = execution_config(config, image)
    except ImageError:
        assume(False)
        raise
    ports = add_image_ports(checked.exposed_ports, (), lambda _event: None)
    mounts = add_image_volumes(checked.volumes, (Mount("/srv", checked.volumes[0]),) if checked.volumes else (), "app", ephemeral=ephemeral)
    return RunSpec(image, checked, AMD64, "app-1", args=ARGUMENTS, ports=ports, mounts=mounts)


def docker() -> DockerLike:
    return Docker("26", AMD64, (AMD64,))


def rootless_podman() -> DockerLike:
    engine = Podman("5", AMD64, (AMD64,))
    engine.maps_user = True
    return engine


@pytest.mark.parametrize("engine", [docker, rootless_podman])
@settings(suppress_health_check=[HealthCheck.filter_too_much])  # most hostile configs are refused, which other tests are about
@given(config=configs(), ephemeral=st.booleans())
def test_docker_and_podman_get_known_options_only(engine: Callable[[], DockerLike], config: ContainerConfig, ephemeral: bool) -> None:
    spec = spec_of(config, ephemeral=ephemeral)
    words = [*engine()._flags(spec), *engine()._image_and_arguments(spec)]
    assert words[-3:] == ["app:1", *ARGUMENTS]
    head = ["--name", "app-1", "--pull", "never", "--platform", "linux/amd64"]
    assert words[:6] == head
    targets = {mount.target for mount in spec.mounts}
    for word in words[6:-3]:
        option, _, value = word.partition("=")
        match option:
            case "--volume":
                assert value.split(":")[-1] in targets, word
                assert len(value.split(":")) == (1 if ephemeral and not value.startswith("/srv:") else 2), word
            case "--publish":
                address, host, container = value.split(":")
                assert (address, host.isdecimal(), container.partition("/")[2] in ("tcp", "udp")) == ("127.0.0.1", True, True)
            case "--userns":
                assert value.removeprefix("keep-id:").replace("uid=", "").replace("gid=", "").replace(",", "").isascii()
                assert value.count("=") == 2
            case _:
                assert word in ("--read-only", "--tmpfs=/tmp")


@pytest.fixture(scope="module", autouse=True)
def data_directory() -> Iterator[Path]:
    """Keep the volumes of containerd and bwrap out of the user's directories."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", folder)
        patch.setenv("TMPDIR", folder)
        patch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # most hostile configs are refused, which other tests are about
@given(config=configs(), ephemeral=st.booleans())
def test_containerd_gets_known_options_only(data_directory: Path, config: ContainerConfig, ephemeral: bool) -> None:
    spec = spec_of(config, ephemeral=ephemeral)
    binds = make_binds(spec, chown=False)
    with Ctr("1.7")._run_command(spec, binds.mounts) as (words, _):
        cut = words.index("docker.io/library/app:1")
    binds.remove()
    assert words[cut + 1 :] == ["app-1", *spec.config.entrypoint, *ARGUMENTS]
    head = ["ctr", "run", "--platform", "linux/amd64", "--cpu-shares", "0", "--seccomp", "--net-host", "--read-only"]
    assert words[: len(head)] == head
    sources = {"tmpfs", "/srv", *(str(data_directory / path) for path in ("shipwheel/volumes",))}
    for word in words[len(head) : cut]:
        assert word.startswith("--mount=")
        (fields,) = csv.reader([word.removeprefix("--mount=")])
        kind, source, target, options = (field.partition("=") for field in fields)
        assert [kind[0], source[0], target[0], options[0]] == ["type", "src", "dst", "options"]
        assert target[2] == "/tmp" or target[2] in spec.config.volumes
        assert source[2] in sources or source[2].startswith(str(data_directory))
        assert options[2] in ("rbind:rw", "nosuid:nodev:mode=1777")


def bwrap_options(flags: bytes) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the options in an argument file of bwrap, each with its values."""
    words = iter(flags.decode("utf-8", "surrogateescape").split("\0")[:-1])
    for word in words:
        yield word, [next(words) for _ in range(BWRAP_ARITY[word])]


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # most hostile configs are refused, which other tests are about
@given(config=configs(), ephemeral=st.booleans())
def test_bwrap_gets_known_options_only(data_directory: Path, config: ContainerConfig, ephemeral: bool) -> None:
    with tempfile.TemporaryDirectory(dir=data_directory) as root:
        spec = spec_of(msgspec.structs.replace(config, user="1:1"), root, ephemeral=ephemeral)
        binds = make_binds(spec, chown=False)
        options = list(bwrap_options(Bwrap("0.11.0")._flags(spec, binds.mounts, ())))
        binds.remove()
    sources = [values[0] for option, values in options if option in ("--bind", "--ro-bind")]
    assert all(source in (root, "/srv") or source.startswith(str(data_directory)) for source in sources)
    variables = {values[0]: values[1] for option, values in options if option == "--setenv"}
    assert {**variables, **spec.config.environment} == variables
    assert [values for option, values in options if option in ("--uid", "--gid", "--chdir")] == [["1"], ["1"], [spec.config.working_dir]]
    assert len([option for option, _ in options if option == "--setenv"]) == len({"PATH", "HOME", *spec.config.environment})


@pytest.mark.parametrize(("name", "host"), [("app-1", "app-1"), ("a" * 63 + "-check", "a" * 63), ("a" * 90, "a" * 64)])
def test_bwrap_gets_a_host_name_that_linux_takes(tmp_path: Path, name: str, host: str) -> None:
    spec = msgspec.structs.replace(spec_of(ContainerConfig(user="1:1"), str(tmp_path), ephemeral=True), name=name)
    assert dict(bwrap_options(Bwrap("0.11.0")._flags(spec, (), ())))["--hostname"] == [host]


@pytest.mark.parametrize("row", ["app:x:0\0--bind\0/\0/host:0::/:/bin/sh", "app:x:-1:0", "app:x:٣:0", "app:x", "app:x:12345678901:0"])
def test_bwrap_takes_no_user_from_a_hostile_passwd(tmp_path: Path, row: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(row)
    with pytest.raises(EngineError, match="the image has no user 'app'"):
        Bwrap("0.11.0")._flags(spec_of(ContainerConfig(user="app"), str(tmp_path), ephemeral=True), (), ())


def test_a_variable_with_nul_is_one_argument_or_none(tmp_path: Path) -> None:
    hostile = RunSpec(str(tmp_path), ExecutionConfig(cmd=("x",)), AMD64, "app-1", env={"A": "x\0--bind\0/\0/host"})
    with pytest.raises(EngineError, match="contains NUL"):
        Bwrap("0.11.0")._flags(hostile, (), ())


@pytest.mark.parametrize("target", ["/oldroot/made", "../../made", "/newroot/../oldroot/made"])
@pytest.mark.parametrize("volume", ["/link/x", "/link"])
def test_bwrap_gets_mount_points_without_links(tmp_path: Path, target: str, volume: str) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "link").symlink_to(target)
    (root / "etc/hosts").symlink_to("/oldroot/etc/canary")
    spec = spec_of(ContainerConfig(volumes={volume: {}}), str(root), ephemeral=True)
    options = list(bwrap_options(Bwrap("0.11.0")._flags(spec, make_binds(spec, chown=False).mounts, ())))
    # --dev-bind is below bubblewrap's own /dev.
    mount_points = [values[-1] for option, values in options if option in ("--bind", "--ro-bind-try", "--tmpfs", "--proc", "--dev")]
    assert len(mount_points) == 7
    for path in mount_points:
        real = root / path.lstrip("/")
        assert real.exists()
        assert real.resolve() == real, "it leads through no link"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
