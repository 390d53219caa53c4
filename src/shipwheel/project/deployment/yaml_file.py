"""YAML files with the line of every key, read as values of the JSON kinds (YAML 1.1).

Aliases are shared, never copied, so that a small file cannot become a large value.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yaml import Node

__all__ = ["YamlTable", "parse_yaml", "yaml_list", "yaml_table", "yaml_text"]

_MAX_BYTES = 1 << 20
_MAX_DEPTH = 30


class YamlTable(dict[str, object]):
    """A mapping, with the line of each key and its own."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        """Return the line of a key, or the mapping's own."""
        return self.lines.get(key, self.line)


def parse_yaml(data: bytes) -> YamlTable:
    """Return the mapping in a YAML file; empty for anything else, and for a file that is too large or malformed."""
    import yaml

    if len(data) > _MAX_BYTES:
        return YamlTable()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(data, Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return YamlTable()
    found = _value(node, {}, 0) if node is not None else None
    return found if isinstance(found, YamlTable) else YamlTable()


def yaml_table(value: object) -> YamlTable:
    """Return a value if it is a mapping, else an empty one."""
    return value if isinstance(value, YamlTable) else YamlTable()


def yaml_list(value: object) -> list[object]:
    """Return a value if it is a list, a single text as a list of it, else an empty one."""
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def yaml_text(value: object) -> str:
    """Return a scalar's text, empty for anything else."""
    return value if isinstance(value, str) else ""


def _value(node: "Node", known: dict[int, object], depth: int) -> object:
    """Return a node's value: texts as they are written, so that 1.10 and 010 stay what they are."""
    import yaml

    if id(node) in known or depth > _MAX_DEPTH:
        return known.get(id(node))
    if isinstance(node, yaml.ScalarNode):
        known[id(node)] = None if node.tag.endswith(":null") else node.value
    elif isinstance(node, yaml.SequenceNode):
        # A list that contains itself has nothing at that place.
        known[id(node)] = None
        known[id(node)] = [_value(item, known, depth + 1) for item in node.value]
    elif isinstance(node, yaml.MappingNode):
        known[id(node)] = None
        known[id(node)] = _table(node, known, depth)
    return known.get(id(node))


def _table(node: "Node", known: dict[int, object], depth: int) -> YamlTable:
    table, merged = YamlTable(node.start_mark.line + 1), list[YamlTable]()
    for key_node, value_node in node.value:
        value = _value(value_node, known, depth + 1)
        if key_node.tag.endswith(":merge"):
            merged += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, YamlTable)]
        elif isinstance(key_node.value, str):
            table[key_node.value] = value
            table.lines[key_node.value] = key_node.start_mark.line + 1
    for other in merged:
        for key, value in other.items():
            if key not in table:
                table[key] = value
                table.lines[key] = other.line_of(key)
    return table
