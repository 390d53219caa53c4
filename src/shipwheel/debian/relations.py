"""Relationship fields of packages: Depends and Provides (deb-control(5), Debian Policy 7)."""

import msgspec

from shipwheel.debian.version import version_key
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["Relation", "parse_relations"]

# "libc6 (>= 2.36) [linux-any] <!nocheck>", "python3:any"
_RELATION = lazy_pattern(r"\s*([^\s:(\[<|,]+)(?::[\w-]+)?\s*(?:\(\s*(<<|<=|>=|>>|=|<|>)\s*([^)\s]+)\s*\))?")


class Relation(msgspec.Struct, frozen=True):
    """A package's name, and the versions of it that are meant; without an operator all."""

    name: str
    operator: str = ""
    version: str = ""

    def allows(self, version: str) -> bool:
        """Return whether a version is one of those that are meant."""
        if not self.operator:
            return True
        mine, other = version_key(self.version), version_key(version)
        match self.operator:
            case "<<":
                return other < mine
            case "<=" | "<":
                return other <= mine
            case "=":
                return other == mine
            case ">=" | ">":
                return other >= mine
        return other > mine

    def is_provided_by(self, provided: "Relation") -> bool:
        """Return whether an entry of Provides satisfies this: one without a version satisfies only what asks for none (Policy 7.5)."""
        return provided.name == self.name and (not self.operator or (bool(provided.version) and self.allows(provided.version)))


def parse_relations(field: str) -> tuple[tuple[Relation, ...], ...]:
    """Return the groups of a field; one relation of each group is enough."""
    groups = (tuple(_parse(choice) for choice in group.split("|") if choice.strip()) for group in field.split(","))
    return tuple(group for group in groups if group)


def _parse(text: str) -> Relation:
    found = _RELATION.match(text)
    return Relation(found[1], found[2] or "", found[3] or "") if found is not None else Relation(text.strip())
