"""The variables and files by which a build learns of its target: what compilers and build backends obey."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from shipwheel.builder.interpreter import BuilderPython
from shipwheel.files.segment import source_date_epoch
from shipwheel.platform import Platform

__all__ = ["INSIDE", "Surroundings"]

INSIDE = "/build"
"""The directory of a build in the sandbox, the same on every machine: compilers and backends write it into what they make."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A build for `target` on `host`, by `python`. `stated` are variables that the user adds."""

    host: Platform
    target: Platform
    python: BuilderPython
    stated: Mapping[str, str]

    @property
    def is_cross(self) -> bool:
        """True if the result does not run on the machine that compiles."""
        return self.host != self.target

    def variables(self) -> dict[str, str]:
        """Return the environment of the build."""
        machine, home = self.target.multiarch, f"{INSIDE}/home"
        compiler, flags = f"{machine}-gcc", f"-O2 -g0 -ffile-prefix-map={INSIDE}/source=."
        return {
            "PATH": f"{INSIDE}/venv/bin:{INSIDE}/venv/lib/python{self.python.minor}/site-packages/bin:/usr/bin:/usr/sbin",
            "VIRTUAL_ENV": f"{INSIDE}/venv",
            "HOME": home,
            "TMPDIR": home,
            "USER": "build",
            "LOGNAME": "build",
            "SHELL": "/bin/sh",
            "SOURCE_DATE_EPOCH": str(source_date_epoch()),
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            "LANGUAGE": "",
            "MAKEFLAGS": f"-j{max(1, len(os.sched_getaffinity(0)))}",
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
            **self.stated,
        }

    def start_up(self) -> str:
        """Return the module that Python imports when it starts: `platform.machine()` is that of the target."""
        if not self.is_cross:
            return ""
        return (
            f"import os\n_own = os.uname()\n_target = os.uname_result((*_own[:4], {self.target.machine!r}))\nos.uname = lambda: _target\n"
        )
