"""Documents of JSON kinds as YAML, as a person would write them: keys in their order, and nothing by reference."""

from collections.abc import Iterable
from typing import Any

import msgspec

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["yaml_documents"]

_AMBIGUOUS = lazy_pattern(r"[-+.0-9].*|[yYnN]")
"""Texts that readers of YAML 1.1 and 1.2 disagree about: `1e3` and `0o17` are numbers to some, `y` is true."""


def yaml_documents(documents: Iterable[Any]) -> str:
    """Return the documents as one text, `---` between them."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # In any other style, readers take it for the end of a line.
        style = '"' if "\x85" in value else "|" if "\n" in value else "'" if _AMBIGUOUS.fullmatch(value) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    # What is one object twice would become an anchor and an alias.
    copies = [msgspec.json.decode(msgspec.json.encode(document)) for document in documents]
    texts = (yaml.dump(each, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False) for each in copies)
    return "---\n".join(map(str, texts))
