"""A program that makes layers for a build, which `layer_processes` starts: one Python uses one processor, whatever its number of threads.

It is told on standard input what to make, and answers on standard output. It ends with its input, also in the middle of a layer.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from shipwheel.files.compress import Deflated
from shipwheel.oci.layer import Layer, make_layer
from shipwheel.pipeline.layer_messages import CompiledModules, CompileModules, MadeLayer, MakeLayer, load_spec, receive_request, send
from shipwheel.store.store import Store
from shipwheel.timeline import collected

__all__ = ["main"]

_Messages = SimpleQueue[MakeLayer | CompiledModules]


def main() -> None:
    """Make layers until the input ends. The arguments are the store's directory, and the compiler's identity."""
    messages, store = _Messages(), Store(Path(sys.argv[1]))
    Thread(target=_read, args=(messages, store), daemon=True).start()
    names = {"store": store, "compiler": _BuildsCompiler(sys.argv[2], messages)}
    while isinstance(message := messages.get(), MakeLayer):
        with collected(active=message.recorded) as moments:
            layer = _made(message, names, store)
        send(MadeLayer(layer, tuple(moments)), sys.stdout.buffer)


def _made(message: MakeLayer, names: dict[str, object], store: Store) -> Layer | None:
    try:
        return make_layer(load_spec(message.spec, names), store)
    except Exception:
        # The build makes it again, and meets the error where it can be handled.
        return None


def _read(messages: _Messages, store: Store) -> None:
    """Pass messages on. At the end of the input nobody waits for a layer any more: leave no unfinished file, and end."""
    while (message := receive_request(sys.stdin.buffer)) is not None:
        messages.put(message)
    store.close()
    os._exit(0)


class _BuildsCompiler:
    """A `Compiler` that asks the build to compile, which does so once for all its processes."""

    def __init__(self, identity: str, messages: _Messages) -> None:
        self.identity = identity
        self._messages = messages

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        """See Compiler."""
        send(CompileModules(tuple(sources)), sys.stdout.buffer)
        answer = self._messages.get()
        assert isinstance(answer, CompiledModules)  # noqa: S101 - the build answers before it asks for the next layer
        return answer.files
