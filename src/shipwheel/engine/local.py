"""What engines without a daemon on another machine and without a network of their own have in common: they run here, and only here."""

from shipwheel.engine.emulation import emulated
from shipwheel.platform import Platform, host_platform

__all__ = ["LocalEngine"]


class LocalEngine:
    """An engine of this machine's kernel, whose containers are in this machine's network."""

    publishes = False
    detaches = True
    emulation_hint = ""

    def __init__(self, version: str) -> None:
        self._version = version

    def version(self) -> str:
        """See `Engine.version`."""
        return self._version

    def host(self) -> Platform:
        """See `Engine.host`: never another machine's."""
        return host_platform()

    def platforms(self) -> tuple[Platform, ...]:
        """See `Engine.platforms`."""
        return (self.host(), *emulated())
