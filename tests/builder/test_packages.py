"""A builder's packages: compilers of this machine, libraries and headers of the target, and what the archive has for missing things."""

from collections.abc import Collection, Iterable

import pytest
from support.debian_packages import index_of

from shipwheel.builder.complaints import Lack, LackKind
from shipwheel.builder.packages import BuilderIndex, compiler_labels, deciding_debs
from shipwheel.builder.search import find_packages
from shipwheel.debian.package import DebianPackage
from shipwheel.digest import Sha256
from shipwheel.errors import FetchError
from shipwheel.platform import Platform
from shipwheel.suites import suite_by_name

_RUST = (("cargo", ""), ("rustc", ""), ("libstd-rust", "-dev"))
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
TRIXIE = suite_by_name("trixie")
DEPENDS = {
    "gcc": "cpp, gcc-14",
    "gcc-aarch64-linux-gnu": "gcc-14-aarch64-linux-gnu, debconf",
    "libc6-dev": "libc6, linux-libc-dev",
    "libpython3.13-dev": "libpython3.13-stdlib (= 1), media-types | mime-support",
    "libldap-dev": "libldap2, python3:any",
    "libboth-dev": "liba-dev | libldap-dev",
}
MULTI_ARCH = dict.fromkeys(("libc6-dev", "libc6", "libpython3.13-dev", "libpython3.13-stdlib", "libldap-dev", "libldap2"), "same")
MULTI_ARCH |= {"python3": "allowed", "media-types": "foreign"}
NAMES = """
    cpp g++ gcc gcc-14 gcc-aarch64-linux-gnu g++-aarch64-linux-gnu gcc-14-aarch64-linux-gnu libc6 libc6-dev linux-libc-dev
    libpython3.13-dev libpython3.13-stdlib media-types python3.13 python3 libldap-dev libldap2 swig libboth-dev
    """.split()  # noqa: SIM905


def builder(target: Platform, *, without: str = "") -> BuilderIndex:
    names = [name for name in NAMES if name != without]
    host = index_of(*names, depends=DEPENDS, multi_arch=MULTI_ARCH)
    other = index_of(*names, depends=DEPENDS, multi_arch=MULTI_ARCH, architecture=target.architecture)
    return BuilderIndex(TRIXIE, AMD64, target, host, other)


def listed(packages: object) -> list[str]:
    assert isinstance(packages, tuple)
    return [f"{package.name}:{package.architecture}" for package in packages]


def test_a_cross_builder_has_compilers_of_this_machine_and_libraries_of_the_target() -> None:
    found = listed(builder(ARM64).core())
    assert {"gcc-aarch64-linux-gnu:amd64", "gcc-14-aarch64-linux-gnu:amd64", "python3.13:amd64"} < set(found)
    assert {"libc6-dev:arm64", "libpython3.13-dev:arm64", "libpython3.13-stdlib:arm64", "media-types:amd64"} < set(found)
    assert not {"gcc:amd64", "gcc:arm64", "media-types:arm64", "debconf:amd64"} & set(found)


def test_dpkg_s_tools_have_the_tables_of_dpkg() -> None:
    names = ("dpkg", "dpkg-dev", "libdpkg-perl", "perl-base")
    depends = {"dpkg-dev": "libdpkg-perl, patch", "libdpkg-perl": "dpkg (>= 1), perl-base", "perl-base": "dpkg"}
    index = index_of(*names, depends=depends)
    found = BuilderIndex(TRIXIE, AMD64, AMD64, index, index)
    assert [package.name for package in found.closed(["dpkg-dev"])] == ["dpkg", "dpkg-dev", "libdpkg-perl", "perl-base"]
    assert [package.name for package in found.closed(["perl-base"])] == ["perl-base"]


def labels(packages: Iterable[DebianPackage], names: Collection[str] = ()) -> tuple[str, ...]:
    return compiler_labels(deciding_debs(packages, names))


def test_compilers_have_the_same_names_for_every_host_and_target() -> None:
    found = {target: labels(builder(target).core()) for target in (AMD64, ARM64)}
    assert found[AMD64] == found[ARM64] and [label.split()[0] for label in found[AMD64]] == ["gcc-14", "libc6-dev"]


@pytest.mark.parametrize("version", ["14.2.0-19", "14.2.0-19cross1", "14.2.0-19+b3", "14.2.0-19+b3cross1"])
def test_a_compiler_that_was_built_again_is_the_same(version: str) -> None:
    package = DebianPackage("gcc-14-aarch64-linux-gnu", version, "amd64", "gcc.deb", Sha256("0" * 64), 1)
    assert labels([package]) == ("gcc-14 14.2.0-19",)


def test_an_update_of_a_compiler_is_another_one() -> None:
    versions = ("12.2.0-14", "12.2.0-14+deb12u1")
    packages = [DebianPackage("gcc-12", version, "amd64", "gcc.deb", Sha256("0" * 64), 1) for version in versions]
    assert len({labels([package]) for package in packages}) == 2


def test_the_packages_of_a_build_decide_with_the_compilers() -> None:
    packages = [
        DebianPackage(name, f"1.0-{name[-1]}", "amd64", "x.deb", Sha256("0" * 64), 1) for name in ("rustc-web", "libpq5", "libpq-dev")
    ]
    assert labels(packages, ("libpq-dev", "rustc-web")) == ("libpq-dev 1.0-v", "rustc-web 1.0-b")


def test_programs_of_this_machine_are_unpacked_last() -> None:
    found = listed(builder(ARM64).core())
    assert [name.endswith(":arm64") for name in found] == sorted((name.endswith(":arm64") for name in found), reverse=True)


def test_a_native_builder_has_no_other_compiler() -> None:
    found = listed(builder(AMD64).core())
    assert {"gcc:amd64", "g++:amd64", "libc6-dev:amd64"} < set(found)
    assert not any("aarch64" in name or name.endswith(":arm64") for name in found)


def test_the_newest_rust_that_is_there_for_both_machines_is_taken() -> None:
    def rust(host: dict[str, str], target: dict[str, str]) -> tuple[str, ...]:
        indexes = [
            index_of(
                versions={f"{name}{suffix}{dev}": version for suffix, version in has.items() for name, dev in _RUST},
                architecture=architecture,
            )
            for has, architecture in ((host, "amd64"), (target, "arm64"))
        ]
        return BuilderIndex(TRIXIE, AMD64, ARM64, *indexes).rust()

    web, own = ("cargo-web", "libstd-rust-web-dev", "rustc-web"), ("cargo", "libstd-rust-dev", "rustc")
    assert rust({"": "1.85-1", "-web": "1.96-1+b1"}, {"": "1.85-1", "-web": "1.96-1"}) == web
    assert rust({"": "1.97-1", "-web": "1.96-1"}, {"": "1.97-1", "-web": "1.96-1"}) == own
    assert rust({"": "1.85-1", "-web": "1.96-1"}, {"": "1.85-1", "-web": "1.95-1"}) == own, "crates need one compiler for both"
    assert rust({"": "1.85-1"}, {}) == ()


def test_a_dev_package_is_the_targets_and_a_program_is_of_this_machine() -> None:
    added = listed(builder(ARM64).with_packages(["libldap-dev", "swig", "unknown-dev"]))
    assert added == ["libldap-dev:arm64", "libldap2:arm64", "python3:amd64", "swig:amd64"]


def test_the_first_alternative_that_the_suite_has_is_taken() -> None:
    assert "libldap-dev:arm64" in listed(builder(ARM64).with_packages(["libboth-dev"]))


def test_an_archive_without_compilers_is_named() -> None:
    with pytest.raises(FetchError, match=r"has no package gcc-aarch64-linux-gnu, which compiling needs"):
        builder(ARM64, without="gcc-aarch64-linux-gnu").core()


PATHS = {
    "usr/include/ldap.h": "libldap-dev",
    "usr/include/mailutils/ldap.h": "libmailutils-dev",
    "usr/include/aarch64-linux-gnu/curl/curl.h": "libcurl4-gnutls-dev,libcurl4-openssl-dev",
    "usr/lib/aarch64-linux-gnu/libsasl2.so": "libsasl2-dev",
    "usr/lib/aarch64-linux-gnu/pkgconfig/libffi.pc": "libffi-dev",
    "usr/lib/aarch64-linux-gnu/pkgconfig/zlib.pc": "zlib1g-dev",
    "usr/include/elsewhere/zlib.h": "libother-dev",
    "usr/include/tiffio.h": "libtiff-dev",
    "usr/bin/pg_config": "libpq-dev,postgresql-common",
    "usr/bin/swig": "swig",
    "usr/share/eigen3/cmake/Eigen3Config.cmake": "libeigen3-dev",
    "usr/lib/aarch64-linux-gnu/cmake/fmt/fmt-config.cmake": "libfmt-dev",
    "usr/lib/x86_64-linux-gnu/cmake/own/ownConfig.cmake": "libown-dev",
    "usr/include/used.h": "liba-dev,libb-dev",
    "usr/aarch64-linux-gnu/include/ldap.h": "libldap-dev-arm64-cross",
}


@pytest.mark.parametrize(
    ("kind", "name", "package"),
    [
        (LackKind.HEADER, "ldap.h", "libldap-dev"),
        (LackKind.HEADER, "curl/curl.h", "libcurl4-openssl-dev"),
        (LackKind.LIBRARY, "sasl2", "libsasl2-dev"),
        (LackKind.MODULE, "libffi", "libffi-dev"),
        (LackKind.NAMED, "zlib", "zlib1g-dev"),
        (LackKind.NAMED, "sasl2", "libsasl2-dev"),
        (LackKind.NAMED, "ffi", "libffi-dev"),
        (LackKind.NAMED, "tiffio", "libtiff-dev"),
        (LackKind.NAMED, "dap", None),
        (LackKind.NAMED, "swig", "swig"),
        (LackKind.CMAKE, "Eigen3Config.cmake", "libeigen3-dev"),
        (LackKind.CMAKE, "fmt-config.cmake", "libfmt-dev"),
        (LackKind.CMAKE, "ownConfig.cmake", None),
        (LackKind.PROGRAM, "pg_config", "libpq-dev"),
        (LackKind.HEADER, "used.h", "libb-dev"),
        (LackKind.HEADER, "dap.h", None),
    ],
)
def test_the_archive_names_the_package_of_a_missing_thing(kind: LackKind, name: str, package: str | None) -> None:
    index = index_of("libb-dev", "x", "y", depends={"x": "libb-dev, z", "y": "libb-dev (>= 1)"}, paths=PATHS)
    lack = Lack(kind, name)
    assert find_packages([lack], index, "aarch64-linux-gnu") == ({lack: package} if package else {})
