"""Sources that must be compiled: packages that are known for it, and a small one for each build backend."""

import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from shipwheel.suites import Suite, suite_by_name

__all__ = ["CASES", "Case"]

_TRIXIE = suite_by_name("trixie")


@dataclass(frozen=True, slots=True)
class Case:
    """A source: a requirement, or `files` of a project of one's own. `proof` is what must end well in the image.

    `builds_with` are build requirements that the source does not state in pyproject.toml.
    """

    name: str
    proof: tuple[str, ...]
    requirement: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    builds_with: tuple[str, ...] = ()
    suite: Suite = _TRIXIE

    @property
    def package(self) -> str:
        """The name of the Python package."""
        return self.requirement.partition("==")[0] or self.name

    def write_source(self, path: Path) -> None:
        """Write the files of a project of one's own as an archive."""
        with tarfile.open(path, "w:gz") as archive:
            for name, text in self.files.items():
                entry = tarfile.TarInfo(f"{self.name}-1.0/{name}")
                entry.size = len(text.encode())
                archive.addfile(entry, BytesIO(text.encode()))

    def requires(self, source: Path) -> tuple[str, ...]:
        """Return what a build of the source requires."""
        with tarfile.open(source) as archive:
            found = next((each for each in archive if each.name.count("/") == 1 and each.name.endswith("/pyproject.toml")), None)
            content = archive.extractfile(found) if found is not None else None
            tables = tomllib.loads(content.read().decode()) if content is not None else {}
        return (*tables.get("build-system", {}).get("requires", ("setuptools", "wheel")), *self.builds_with)


def _import(*names: str) -> tuple[str, ...]:
    return ("python", "-c", f"import {', '.join(names)}")


_EXTENSION = """\
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "NAME", "", -1, methods};
PyMODINIT_FUNC PyInit_NAME(void) { return PyModule_Create(&module); }
"""


def _project(name: str, backend: str, requires: str, files: Mapping[str, str], builds_with: tuple[str, ...] = ()) -> Case:
    """Return a project of one's own; NAME in names and texts of files stands for its name."""
    system = f'[build-system]\nrequires = [{requires}]\nbuild-backend = "{backend}"\n'
    head = f'{system}[project]\nname = "{name}"\nversion = "1.0"\n'
    proof = ("python", "-c", f"import {name}; assert {name}.answer() == 42")
    named = {path.replace("NAME", name): text.replace("NAME", name) for path, text in files.items()}
    return Case(name, proof, files={"pyproject.toml": head, **named}, builds_with=builds_with)


_SETUP = 'from setuptools import Extension, setup\nsetup(ext_modules=[Extension("NAME", ["NAME.c"])], py_modules=[])\n'
_CYTHON = 'from Cython.Build import cythonize\nfrom setuptools import setup\nsetup(ext_modules=cythonize("NAME.pyx"), py_modules=[])\n'
_CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(NAME LANGUAGES CXX)
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 CONFIG REQUIRED)
pybind11_add_module(NAME NAME.cpp)
install(TARGETS NAME DESTINATION .)
"""
_PYBIND11 = '#include <pybind11/pybind11.h>\nPYBIND11_MODULE(NAME, made) { made.def("answer", [] { return 42; }); }\n'
_MESON = """\
project('NAME', 'c', version: '1.0')
import('python').find_installation().extension_module('NAME', 'NAME.c', install: true)
"""

CASES = (
    _project("own_c", "setuptools.build_meta", '"setuptools"', {"setup.py": _SETUP, "NAME.c": _EXTENSION}),
    _project(
        *("own_cython", "setuptools.build_meta", '"setuptools", "cython"'),
        {"setup.py": _CYTHON, "NAME.pyx": "def answer():\n    cdef int value = 42\n    return value\n"},
    ),
    _project(
        *("own_pybind11", "scikit_build_core.build", '"scikit-build-core", "pybind11"'),
        {"CMakeLists.txt": _CMAKE, "NAME.cpp": _PYBIND11},
        ("cmake", "ninja"),
    ),
    _project("own_meson", "mesonpy", '"meson-python"', {"meson.build": _MESON, "NAME.c": _EXTENSION}, ("ninja",)),
    Case("netifaces", _import("netifaces"), "netifaces==0.11.0"),
    Case("pyaudio", _import("pyaudio"), "pyaudio==0.2.14"),
    Case("python-ldap", _import("ldap", "_ldap"), "python-ldap==3.4.4"),
    Case("psycopg2", _import("psycopg2"), "psycopg2==2.9.10"),
    Case("mysqlclient", _import("MySQLdb"), "mysqlclient==2.2.7"),
    Case("pycurl", _import("pycurl"), "pycurl==7.45.6"),
    Case("pyodbc", _import("pyodbc"), "pyodbc==5.2.0"),
    Case("greenlet", _import("greenlet"), "greenlet==3.2.4"),
    Case("uwsgi", ("uwsgi", "--version"), "uwsgi==2.0.31"),
    Case("lxml", _import("lxml.etree", "lxml.objectify"), "lxml==5.4.0"),
    Case("libsass", _import("sass"), "libsass==0.23.0"),
    Case("pandas", _import("pandas"), "pandas==1.3.5", builds_with=("numpy==1.23.5",), suite=suite_by_name("bookworm")),
)
"""From those that compile in a second to those that take minutes."""
