"""uv's explanations in the user's words: without temporary paths, speaking of the user's file, with a next step."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shipwheel.errors import LockError

if TYPE_CHECKING:
    from shipwheel.lock.uv import UvFailed

__all__ = ["UNKNOWN", "explained"]

UNKNOWN = "Check the name and the version; an index or day may not have it."
"""The hint where an index answered, and has nothing of that name or version."""

_HINTS = (
    (r"python-build-standalone|No interpreter found|No download found", "Install that Python version, or choose another (--python)."),
    (r"is missing an upload date", "This index does not say when files were uploaded, so a day cannot be chosen: leave as-of out for it."),
    (r"`python_full_version == '[0-9.*]+'`-compatible", "Choose another version of it, or another Python version (--python)."),
    (
        r"401 Unauthorized|403 Forbidden|authentication credentials",
        "Check the index's user name and password: in its address, in UV_INDEX_<NAME>_USERNAME and _PASSWORD, or in .netrc.",
    ),
    (r"-compatible wheels", "It cannot run on Linux as it is: give it a marker (; sys_platform == 'win32'), or remove it."),
    (r"[Rr]equires-[Pp]ython|Python version|Python>", "Choose another Python version (--python)."),
    (r"not found in the package registry|no versions? of|was not found", UNKNOWN),
    (r"unsatisfiable|No solution found", "Loosen one of these requirements, or resolve as of another day (--as-of)."),
    (
        r"[Bb]uild backend|Failed to build",
        "Its build failed, in isolation, for the reason above: try another version of it, an older Python (--python) or day (--as-of).",
    ),
    (
        r"unexpected (JSON|HTML|content type|response)|[Uu]nsupported content type|Couldn't parse",
        "What answers there is not a package index: check the address (UV_DEFAULT_INDEX), or whether a login page is in between.",
    ),
    (
        r"Failed to fetch|error sending request|dns error|timed out",
        "Check the network and the package index (UV_DEFAULT_INDEX); try again.",
    ),
    (r"Git operation failed|git", "Check the repository's address, that git is installed, and that you may read it."),
)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@'\"]+@")
_USELESS = "Build failures|To update|The `requires-python`|While the active Python|You can re-run|Pre-releases are available"
_LIMIT = 6000


def explained(failure: "UvFailed", origin: str, places: Mapping[str, str], python: str = "") -> LockError:
    """A LockError with uv's explanation; `places` are temporary paths and what the user knows them as, `python` is the minor version."""
    text = failure.explanation
    for temporary, known in sorted(places.items(), key=lambda item: -len(item[0])):
        text = text.replace(f"{temporary}/", f"{known}/" if known else "").replace(temporary, known or origin)
    text = _CREDENTIALS.sub("", text)
    text = re.sub(r" for split \(markers: .*\)$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*sys_platform == 'linux'[^`]*`-compatible", "Linux-compatible", text)
    text = re.sub(r"`python_full_version == '([0-9.]+)\.\*'`-compatible", r"Python-\1-compatible", text)
    text = re.sub(r"requested Python version \([^)]*\)", f"Python version {python}", text)
    text = text.replace("your project's requirements are", f"the requirements in {origin} are").replace("your project", origin)
    text = re.sub(r"\bshipwheel-lock(==0|\s*@\s*\S+)?", origin, text)
    text = re.sub(rf"\n\s*hint: ({_USELESS})[^\n]*", "", text)
    if len(text) > _LIMIT:
        text = f"{text[: _LIMIT // 2]}\n  …\n{text[-_LIMIT // 2 :]}"
    hint = next(
        (hint for pattern, hint in _HINTS if re.search(pattern, failure.explanation)), "Change the requirements, then run it again."
    )
    error = LockError(f"{origin} cannot be locked: {text.strip()}", hint=hint)
    error.explanation = failure.explanation
    return error
