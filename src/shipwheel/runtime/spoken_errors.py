"""Print the errors that a program logs, wherever its own configuration sends them.

Every interpreter of such a run runs this as its `sitecustomize`, which PYTHONPATH has in a directory of its own. Unless DEBUG is on, Django
mails the error of a request to its administrators, and prints nothing. The source of `aside` travels in front of this. Standard library
only, and the syntax of Python 3.7.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Any

from shipwheel.runtime.aside import step_aside

__all__ = ["install"]

STDERR = 2
"""Programs replace sys.stderr."""


def install() -> None:
    """Let loggers print each error that they get, also those that are disabled or have other handlers."""
    logged = logging.Logger.error

    def error(self: logging.Logger, msg: object, *arguments: Any, **options: Any) -> None:
        found = options.get("exc_info")
        found = found if isinstance(found, BaseException) else (found[1] if isinstance(found, tuple) else sys.exc_info()[1])
        if options.get("exc_info") and found is not None:
            text = "".join(traceback.format_exception(type(found), found, found.__traceback__))
            os.write(STDERR, text.encode("utf-8", "backslashreplace"))
        logged(self, msg, *arguments, **options)

    logging.Logger.error = error  # type: ignore[method-assign]


if __name__ == "sitecustomize":
    try:
        install()
    finally:
        step_aside(__file__.rpartition("/")[0])
