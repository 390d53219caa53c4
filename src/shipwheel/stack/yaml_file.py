"""Documents of JSON kinds as YAML, as a person would write them: keys in their order, and nothing by reference."""

from collections.abc import Iterable
from typing import Any

import msgspec

__all__ = ["yaml_documents"]


def yaml_documents(documents: Iterable[Any]) -> str:
    """Return the documents as one text, `---` between them."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    # What is one object twice would become an anchor and an alias.
    copies = [msgspec.json.decode(msgspec.json.encode(document)) for document in documents]
    texts = (yaml.dump(each, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False) for each in copies)
    return "---\n".join(map(str, texts))
