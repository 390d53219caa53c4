"""Platforms: the spellings that users type, and which images match."""

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import UsageError
from shipwheel.platform import Platform, host_platform


@pytest.mark.parametrize(
    ("text", "architecture"),
    [
        ("linux/amd64", "amd64"),
        ("amd64", "amd64"),
        (" Linux/AMD64 ", "amd64"),
        ("x86_64", "amd64"),
        ("linux/x86-64", "amd64"),
        ("arm64", "arm64"),
        ("aarch64", "arm64"),
        ("linux/arm64/v8", "arm64"),
        ("arm64/v8", "arm64"),
    ],
)
def test_parses_every_common_spelling(text: str, architecture: str) -> None:
    assert Platform.parse(text) == Platform("linux", architecture)


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "windows/amd64", "darwin/arm64", "linux/riscv64", "linux/arm/v7", "linux/arm64/v9", "/", "linux/amd64/"]
)
def test_rejects_an_unsupported_platform_and_lists_the_supported_ones(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Platform.parse(text)
    assert "linux/amd64 and linux/arm64" in caught.value.hint


@given(st.text(max_size=30))
def test_any_text_is_a_platform_or_a_usage_error(text: str) -> None:
    try:
        found = Platform.parse(text)
    except UsageError:
        return
    assert Platform.parse(str(found)) == found


def test_machine_and_multiarch_names() -> None:
    arm = Platform.parse("linux/arm64")
    assert (arm.machine, arm.multiarch, str(arm)) == ("aarch64", "aarch64-linux-gnu", "linux/arm64")
    assert str(Platform("linux", "arm64", "v8")) == "linux/arm64/v8"


def test_an_empty_variant_matches_every_variant() -> None:
    plain, v8, v9 = (Platform("linux", "arm64", variant) for variant in ("", "v8", "v9"))
    assert plain.matches(v8)
    assert v8.matches(plain)
    assert not v8.matches(v9)
    assert not plain.matches(Platform("linux", "amd64"))
    assert not plain.matches(Platform("windows", "arm64"))


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", "amd64"), ("AMD64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")])
def test_host_platform_is_linux_on_this_architecture(machine: str, architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_platform() == Platform("linux", architecture)
