"""Documents of JSON kinds as YAML, as a person would write them: keys in their order, and nothing by reference."""

from collections.abc import Iterable
from typing import Any

import msgspec

__all__ = ["yaml_documents"]


def yaml_documents(documents: Iterable[Any]) -> str:
    """Return the documents as one text, `---` between them."""
    import yaml

    # What is one object twice would become an anchor and an alias.
    copies = [msgspec.json.decode(msgspec.json.encode(document)) for document in documents]
    texts = (yaml.safe_dump(each, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False) for each in copies)
    return "---\n".join(map(str, texts))
