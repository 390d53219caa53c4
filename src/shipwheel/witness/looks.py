"""A build's looks at the file system as a value, which a later build can compare with what is there then."""

import msgspec

from shipwheel.witness.file_states import State, Uncomparable, file_state, folder_state, tree_state

__all__ = ["Looks"]


class Looks(msgspec.Struct, frozen=True):
    """The files and directories that were looked at, with their states. Paths are absolute."""

    root: str
    """The project's directory, or the top of its git repository."""
    tree: str
    """Hash of all entries below it, those of opaque directories excepted."""
    folders: dict[str, str]
    """Other directories that were listed -> hash of their entries."""
    files: dict[str, State]
    """Other files that were opened, or that were not there."""

    def are_current(self) -> bool:
        """Return whether all of it is as it was."""
        try:
            return (
                all(file_state(path) == state for path, state in self.files.items())
                and all(folder_state(path) == entries for path, entries in self.folders.items())
                and tree_state(self.root) == self.tree
            )
        except (OSError, ValueError, Uncomparable):
            return False
