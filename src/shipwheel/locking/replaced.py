"""Packages that the user replaces by others of the same content, such as one that brings wheels: the setting `replace`."""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from shipwheel.locking.synthetic import Synthetic
from shipwheel.versions import normalized

__all__ = ["with_replaced"]

_NEVER = "python_version < '0'"


def with_replaced(synthetic: Synthetic, replaced: Mapping[str, str]) -> Synthetic:
    """Return the project with other packages in place of some, whatever depends on these.

    `replaced` maps a name to the requirement that takes its place, which may be another version of the same package. One without a version
    gets the version that the project requires of the package that it replaces; another version has the extras that the project requires.
    """
    if not replaced:
        return synthetic
    names = {normalized(name): _with_extras(requirement, normalized(name), synthetic) for name, requirement in replaced.items()}
    kept = [text for text in synthetic.settings.get("override-dependencies", []) if _name(text) not in names]
    overrides = [*kept, *(text if _name(text) == name else f"{name} ; {_NEVER}" for name, text in names.items())]
    dependencies = (*synthetic.dependencies, *_requirements(synthetic, names))
    return replace(synthetic, dependencies=dependencies, settings={**synthetic.settings, "override-dependencies": overrides})


def _with_extras(text: str, name: str, synthetic: Synthetic) -> str:
    from packaging.requirements import Requirement

    wanted = Requirement(text)
    stated = [Requirement(each).extras for each in synthetic.dependencies if _name(each) == name == normalized(wanted.name)]
    if wanted.extras or not any(stated):
        return text
    wanted.extras = set().union(*stated)
    return str(wanted)


def _requirements(synthetic: Synthetic, names: Mapping[str, str]) -> Iterator[str]:
    from packaging.requirements import Requirement

    stated = {name: text for text in synthetic.dependencies if (name := _name(text)) in names}
    for name, text in names.items():
        wanted = Requirement(text)
        if not wanted.specifier and not wanted.url and name in stated:
            wanted.specifier = Requirement(stated[name]).specifier
        yield str(wanted)


def _name(text: str) -> str:
    """Return the normalized name of a requirement; empty for a text that is none."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return normalized(Requirement(text).name)
    except InvalidRequirement:
        return ""
