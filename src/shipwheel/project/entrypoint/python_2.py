"""Projects that are written for Python 2, which no image has."""

from collections.abc import Mapping, Sequence

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.launch import Launch, started_modules
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.scripts import USUAL_FILES

__all__ = ["refuse_python_2"]

_MOST = 0.5
"""The share of files of Python 2 from which they are the project, where nothing but the files tells what it is."""


def refuse_python_2(launch: Launch | None, scripts: Mapping[str, str], modules: Sequence[Module]) -> None:
    """Raise ProjectError for a command that imports a file of Python 2, or, without a command that something names, if most files are.

    `scripts` maps a console script to its module:function. A project that has a file or directory of such a name itself may mean that.
    """
    own = {part for module in modules for part in module.file.removesuffix(".py").split("/")}
    old = [module for module in modules if module.python_2 is not None and own.isdisjoint(module.python_2.text.split()[-1:])]
    started = () if launch is None else started_modules(launch, scripts, modules)
    first = next((module for module in started if module in old), None)
    is_named = launch is not None and (launch.declared_at or launch.command[0] != "python")
    if first is None and not is_named and old:
        # A program that Python 3 can run may have as many old tools beside it as it has files.
        share = len(old) / len(modules)
        usual = [module for module in old if module.file in USUAL_FILES and launch is None]
        first = next(iter(usual or (old if share > _MOST or (launch is None and share == _MOST) else ())), None)
    if first is None or first.python_2 is None:
        return
    raise ProjectError(
        f"{first.file}, line {first.python_2.line}, {first.python_2.text}: the project is written for Python 2, and images have Python 3",
        hint="Port it to Python 3, where 2to3 or futurize do most of the work, and build again.",
    )
