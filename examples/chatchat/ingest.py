"""Read the documents that are new, and fail unless all are read: `chatchat kb -i` succeeds without a model server, and then reads none."""

import os
import sys
import time
from pathlib import Path

from chatchat.server.db.repository.knowledge_file_repository import list_files_from_db
from chatchat.server.knowledge_base.migrate import folder2db
from chatchat.server.knowledge_base.utils import SUPPORTED_EXTS, list_files_from_folder, list_kbs_from_folder
from chatchat.server.utils import check_embed_model

PATIENCE_S, POLL_S = 300, 0.5
UNFINISHED = Path(os.environ["CHATCHAT_ROOT"], ".reading")
"""Chatchat writes down each file at once, but the vectors of all at the end. After an interruption everything is read again."""


def main() -> None:
    await_model()
    mode = "recreate_vs" if UNFINISHED.exists() else "increment"
    UNFINISHED.touch()
    folder2db([], mode)
    if left := unread():
        print(f"not read: {', '.join(left)}", file=sys.stderr)
        # A document without text is none that could be read at another time.
        await_model(0)
    UNFINISHED.unlink()


def await_model(seconds: float = PATIENCE_S) -> None:
    """Wait for the model server, and end with its error if it does not answer in time."""
    deadline = time.monotonic() + seconds
    while not (answer := check_embed_model())[0]:
        if time.monotonic() >= deadline:
            sys.exit(f"the documents are not read: {answer[1]}")
        time.sleep(POLL_S)


def unread() -> list[str]:
    """Return the documents that have not been read."""
    return sorted(
        f"{base}/{name}"
        for base in list_kbs_from_folder()
        for name in set(list_files_from_folder(base)) - set(list_files_from_db(base))
        if Path(name).suffix.lower() in SUPPORTED_EXTS
    )


if __name__ == "__main__":
    main()
