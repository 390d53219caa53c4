"""The line that marks a file as made by `shipwheel export`, by which a later export knows that it may replace it."""

__all__ = ["head_for", "is_made"]

_MARK = "# Made by `shipwheel export "


def head_for(form: str) -> str:
    """Return the first line of a file of a format."""
    return f"{_MARK}{form}`: change the settings, and make it again.\n"


def is_made(data: bytes) -> bool:
    """Return whether a file begins with the line."""
    return data.startswith(_MARK.encode())
