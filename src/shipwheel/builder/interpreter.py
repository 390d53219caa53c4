"""The Python of a builder: that of the Debian suite, or a standalone one, with the headers and the build variables of the target's."""

from datetime import date

import msgspec

from shipwheel.base.standalone_archive import PREFIX, Standalone, StandaloneSource, interpreter_path
from shipwheel.files.entry import Source
from shipwheel.store.store import Store
from shipwheel.suites import python_released

__all__ = ["BuilderPython", "standalone_python", "suite_python", "write_build_variables"]

_OWN_VARIABLES = "_sysconfigdata_shipwheel"


class BuilderPython(msgspec.Struct, frozen=True):
    """An interpreter of a builder: `path` in its root, `minor` its version, `variables` the module with the target's build variables.

    `sources` have its files, as far as Debian packages do not.
    """

    minor: str
    path: str
    variables: str
    sources: tuple[Source, ...] = ()

    @property
    def home(self) -> str:
        """The directory of the interpreter, as pyvenv.cfg names it."""
        return self.path.rpartition("/")[0]

    @property
    def released(self) -> date:
        """The day on which this version of Python came out."""
        return python_released(self.minor)


def suite_python(minor: str, multiarch: str) -> BuilderPython:
    """Return the Python of a Debian suite; `multiarch` is that of the target."""
    return BuilderPython(minor, f"/usr/bin/python{minor}", f"_sysconfigdata__{multiarch}")


def standalone_python(host: Standalone, target: Standalone, store: Store) -> BuilderPython:
    """Return a standalone Python of this machine, with the headers of the target's; both archives must be in the store when it is used."""
    sources = (StandaloneSource(host, store), StandaloneSource(target, store, headers=True))
    return BuilderPython(host.minor, interpreter_path(host.minor), _OWN_VARIABLES, sources)


def write_build_variables(minor: str, machine: str, multiarch: str) -> tuple[str, str]:
    """Return the path and the text of a module with the build variables of a standalone Python, for gcc.

    Its own are those of the machine that built it: clang with its flags, and other directories.
    """
    text = f"""import importlib
build_time_vars = {{
    name: value.replace("/install", "/{PREFIX}") if isinstance(value, str) else value
    for name, value in importlib.import_module("_sysconfigdata__linux_{machine}-linux-gnu").build_time_vars.items()
}}
build_time_vars.update({{
    "CC": "{multiarch}-gcc -pthread",
    "CXX": "{multiarch}-g++ -pthread",
    "AR": "{multiarch}-ar",
    "ARFLAGS": "rcs",
    "OPT": "-DNDEBUG -O2 -Wall",
    "CFLAGS": "-Wsign-compare -DNDEBUG -O2 -Wall -fwrapv",
    "PY_CFLAGS": "-Wsign-compare -DNDEBUG -O2 -Wall -fwrapv",
    "CCSHARED": "-fPIC",
    "LDFLAGS": "",
    "LDSHARED": "{multiarch}-gcc -pthread -shared",
    "BLDSHARED": "{multiarch}-gcc -pthread -shared",
    "LDCXXSHARED": "{multiarch}-g++ -pthread -shared",
}})
"""
    return f"{PREFIX}/lib/python{minor}/{_OWN_VARIABLES}.py", text
