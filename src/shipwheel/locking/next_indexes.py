"""The package indexes to go on with when one of them cannot be reached."""

from collections.abc import Mapping, Sequence
from typing import Any

from shipwheel.events import Warned
from shipwheel.locking import uv
from shipwheel.locking.uv_output import Failure
from shipwheel.project.indexes import Indexes, warn_of_failed_mirror, warn_of_replaced_mirror

__all__ = ["next_indexes"]


def next_indexes(indexes: Indexes, failure: Failure | None, listed: Sequence[Mapping[str, Any]]) -> tuple[Indexes, Warned] | None:
    """Return the next chosen mirror, or the index behind a public mirror, with the warning of it; None if there is neither.

    `failure` is what uv said of the index that it asked; `listed` are the project's indexes in uv's form.
    """
    if failure is None or not failure.unreachable:
        return None
    if (following := indexes.next_mirror()) is not None:
        return following, warn_of_failed_mirror(indexes, failure.reason)
    public = uv.default_index() if failure.url else ""
    replaced = indexes.without_mirror(failure.url, listed, public)
    return (replaced, warn_of_replaced_mirror(failure.url, public)) if replaced is not None else None
