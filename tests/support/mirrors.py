"""A choice of mirrors that shipwheel has made already."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from shipwheel.download.mirrors import Choice, save_choice
from shipwheel.locking import uv
from shipwheel.testing.world import World

__all__ = ["chosen"]


class _Server(Protocol):
    @property
    def simple(self) -> str: ...


def chosen(world: World, servers: Mapping[str, _Server], *names: str, root: Path | None = None) -> dict[str, str]:
    """Store a choice of mirrors, in this order, and the address of the default index's files. Return variables that make uv use them."""
    root = root or world.cache
    save_choice(root, Choice(tuple(servers[name].simple.rstrip("/") for name in names), (), "9999-12-31"))
    record = {"index": uv.default_index(), "files": "http://127.0.0.1:9/packages"}
    (root / "package-index.json").write_text(json.dumps(record))
    return {"UV_DEFAULT_INDEX": "", "XDG_CONFIG_HOME": str(world.root / "none"), "XDG_CONFIG_DIRS": str(world.root / "none")}
