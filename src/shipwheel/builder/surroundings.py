"""The variables and files by which a build learns of its target: what compilers and build backends obey."""

import os
from collections.abc import Mapping

import msgspec

from shipwheel.builder.interpreter import BuilderPython
from shipwheel.files.segment import source_date_epoch
from shipwheel.platform import Platform

__all__ = ["CONFIG_SITE", "INSIDE", "MESON_CROSS_FILE", "PORTABLE", "Surroundings"]

INSIDE = "/build"
"""The directory of a build in the sandbox, the same on every machine: compilers and backends write it into what they make."""

CONFIG_SITE = "config.site"
MESON_CROSS_FILE = "meson-cross.ini"
PORTABLE = "compilers"
"""The directory of a build with scripts that start compilers."""
_MESON_DIRECTORY = ".mesonpy-build"
_LONG_DOUBLES = {"amd64": "INTEL_EXTENDED_16_BYTES_LE", "arm64": "IEEE_QUAD_LE"}
"""Answers to a question of numpy's build, which cannot run a program to find out."""


class Surroundings(msgspec.Struct, frozen=True):
    """A build for `target` on `host`, by `python`. `stated` are variables that the user adds."""

    host: Platform
    target: Platform
    python: BuilderPython
    stated: Mapping[str, str]

    @property
    def is_cross(self) -> bool:
        """True if the result does not run on the machine that compiles."""
        return self.host != self.target

    @property
    def strip(self) -> str:
        """The path of the program that removes debugging symbols."""
        return f"/usr/bin/{self.target.multiarch}-strip"

    def variables(self) -> dict[str, str]:
        """Return the environment of the build."""
        machine, home, venv = self.target.multiarch, f"{INSIDE}/home", f"{INSIDE}/venv"
        programs = f"{venv}/bin:{venv}/lib/python{self.python.minor}/site-packages/bin"
        compiler, flags = f"{machine}-gcc", f"-O2 -g0 -ffile-prefix-map={INSIDE}/source=."
        return {
            "PATH": f"{programs}:{INSIDE}/{PORTABLE}:/usr/local/bin:/usr/bin:/usr/sbin",
            "VIRTUAL_ENV": venv,
            "HOME": home,
            "TMPDIR": home,
            "USER": "build",
            "LOGNAME": "build",
            "SHELL": "/bin/sh",
            "SOURCE_DATE_EPOCH": str(source_date_epoch()),
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            # A builder's Python and the build's requirements have no bytecode. This keeps it for the other programs of the same build.
            "PYTHONPYCACHEPREFIX": f"{home}/.pycache",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            "LANGUAGE": "",
            "MAKEFLAGS": f"-j{_cores()}",
            "CC": compiler,
            "CXX": f"{machine}-g++",
            "CPP": f"{compiler} -E",
            "LD": f"{machine}-ld",
            "AR": f"{machine}-ar",
            "NM": f"{machine}-nm",
            "RANLIB": f"{machine}-ranlib",
            "STRIP": f"{machine}-strip",
            "LDSHARED": f"{compiler} -shared",
            "LDCXXSHARED": f"{machine}-g++ -shared",
            "CFLAGS": flags,
            "CXXFLAGS": flags,
            "PKG_CONFIG": "pkg-config",
            "PKG_CONFIG_LIBDIR": f"/usr/lib/{machine}/pkgconfig:/usr/lib/pkgconfig:/usr/share/pkgconfig",
            # Python's own variables for cross builds: sysconfig then answers for the target.
            "_PYTHON_HOST_PLATFORM": f"linux-{self.target.machine}",
            "_PYTHON_SYSCONFIGDATA_NAME": self.python.variables,
            **({"CONFIG_SITE": f"{INSIDE}/{CONFIG_SITE}"} if self.is_cross else {}),
            **self._cargo_variables(home),
            **self.stated,
        }

    def _cargo_variables(self, home: str) -> dict[str, str]:
        """Return the variables of cargo, which also compiles programs that run while it builds, and of pyo3, which looks for Python."""
        linkers = {
            f"CARGO_TARGET_{_triple(each).upper().replace('-', '_')}_LINKER": f"{each.multiarch}-gcc" for each in (self.host, self.target)
        }
        found = {"CARGO_HOME": f"{home}/.cargo", "CARGO_NET_OFFLINE": "true", "CARGO_TERM_COLOR": "never", **linkers}
        if not self.is_cross:
            return found
        return {
            **found,
            "CARGO_BUILD_TARGET": _triple(self.target),
            "HOST_CC": f"{self.host.multiarch}-gcc",
            "HOST_CXX": f"{self.host.multiarch}-g++",
            "HOST_CFLAGS": "-O2",
            "PKG_CONFIG_ALLOW_CROSS": "1",
            "PYO3_CROSS_LIB_DIR": INSIDE,
            "PYO3_CROSS_PYTHON_VERSION": self.python.minor,
        }

    def backend_files(self) -> dict[str, str]:
        """Return the configuration files of build systems that variables do not reach, by their names in the build's directory."""
        if not self.is_cross:
            return {}
        # Autoconf's scripts read it before they try whether programs run.
        site = f"cross_compiling=yes\nbuild_alias={self.host.multiarch}\nhost_alias={self.target.multiarch}\n"
        # maturin and pyo3 run the file of this name, and take no link, which it is in some suites.
        variables = f"import importlib\nbuild_time_vars = importlib.import_module({self.python.variables!r}).build_time_vars\n"
        return {MESON_CROSS_FILE: self._meson_cross_file(), CONFIG_SITE: site, f"{self.python.variables}.py": variables}

    def backend_settings(self, backend: str) -> dict[str, str]:
        """Return the settings (PEP 517, config_settings) for a build backend by its name."""
        if backend.partition(":")[0] != "mesonpy":
            return {}
        cross = {"setup-args": f"--cross-file={INSIDE}/{MESON_CROSS_FILE}"} if self.is_cross else {}
        # Its own choice has another name each time, which compilers write into what they make. All of its versions know this spelling.
        return {"builddir": _MESON_DIRECTORY, **cross}

    def _meson_cross_file(self) -> str:
        machine = self.target.multiarch
        programs = {"c": "gcc", "cpp": "g++", "ar": "ar", "strip": "strip", "objcopy": "objcopy", "ld": "ld"}
        lines = [
            "[binaries]",
            *(f"{name} = '{machine}-{program}'" for name, program in programs.items()),
            "pkg-config = 'pkg-config'",
            "[properties]",
            "needs_exe_wrapper = true",
            f"longdouble_format = '{_LONG_DOUBLES[self.target.architecture]}'",
            "[host_machine]",
            "system = 'linux'",
            f"cpu_family = '{self.target.machine}'",
            f"cpu = '{self.target.machine}'",
            "endian = 'little'",
        ]
        return "\n".join(lines) + "\n"

    def start_up(self) -> str:
        """Return the module that Python imports when it starts: `platform.machine()` is that of the target."""
        if not self.is_cross:
            return ""
        return (
            f"import os\n_own = os.uname()\n_target = os.uname_result((*_own[:4], {self.target.machine!r}))\nos.uname = lambda: _target\n"
        )


def _cores() -> int:
    """Return how many cores a build may use. macOS has no such sets of them."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, allowed or 1)


def _triple(platform: Platform) -> str:
    """Return Rust's name of a platform."""
    return f"{platform.machine}-unknown-linux-gnu"
