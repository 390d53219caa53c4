"""YAML documents with Helm's expressions in the places of values.

Expressions are no YAML, so a document has marks in their places while it is written as YAML, and the marks are replaced in the text. All
other text stays what it is: Helm's own braces in it are written as an expression that yields them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["TemplateText"]


class TemplateText:
    """The expressions of one template. `others` are the documents as they are, whose texts must not be taken for marks."""

    def __init__(self, others: Sequence[Mapping[str, Any]]) -> None:
        self._expressions: list[Sequence[str]] = []
        self._name, text = "expression", yaml_documents(others)
        while self._name in text:
            self._name += "x"
        # The mark of lines is a line of its own: an item of a list, or a key without a value.
        self._marks = re.compile(
            rf"(?P<head> *(?:- )?){self._name}-(?P<block>\d+)-lines(?:: null)?$|{self._name}-(?P<inline>\d+)-inline", re.MULTILINE
        )

    def inline(self, expression: str) -> str:
        """Return the mark of an expression in a value, or in a part of one."""
        self._expressions.append((f"{{{{ {expression} }}}}",))
        return f"{self._name}-{len(self._expressions) - 1}-inline"

    def item(self, *lines: str) -> str:
        """Return the mark of lines in place of an item of a list. They get the indentation of their place, for which `{indent}` stands."""
        self._expressions.append(lines)
        return f"{self._name}-{len(self._expressions) - 1}-lines"

    def entries(self, *lines: str) -> dict[str, None]:
        """Return the mark of lines in place of entries of a mapping, to merge into it."""
        return {self.item(*lines): None}

    def document(self, document: Mapping[str, Any]) -> str:
        """Return a document as a template."""
        text = yaml_documents([document]).replace("{{", '{{ "{{" }}')
        return self._marks.sub(self._replacement, text)

    def _replacement(self, mark: re.Match[str]) -> str:
        if mark["inline"] is not None:
            return self._expressions[int(mark["inline"])][0]
        indent = len(mark["head"].removesuffix("- "))
        lines = self._expressions[int(mark["block"])]
        return "\n".join(f"{' ' * indent}{line.replace('{indent}', str(indent))}" for line in lines)
