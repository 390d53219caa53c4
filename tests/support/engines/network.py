"""A port of this machine's loopback interface that is reachable in another network namespace."""

import ctypes
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

__all__ = ["Relay"]

_CLONE_NEWNET = 0x40000000
_CHUNK = 1 << 18


class Relay:
    """Listens on a loopback port of a namespace and passes every connection to the same port of this machine."""

    def __init__(self, namespace: Path, port: int) -> None:
        """Start listening; `namespace` is a file such as /proc/PID/ns/net."""
        self._port = port
        self._listener = _listen_in(namespace, port)
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, name=f"relay-{port}")]
        self._threads[0].start()

    def close(self) -> None:
        """End all connections."""
        # Closing alone does not wake a thread that waits for a connection; a shutdown does.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            try:
                outer = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                inner.close()
                continue
            with self._lock:
                self._sockets |= {inner, outer}
            for source, target in ((inner, outer), (outer, inner)):
                thread = threading.Thread(target=_copy, args=(source, target))
                self._threads.append(thread)
                thread.start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until the source ends, then end the target's input. A connection that breaks ends both ways."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _listen_in(namespace: Path, port: int) -> socket.socket:
    """Create a listening socket in a network namespace. A socket stays in the namespace of the thread that created it."""
    created: list[socket.socket | Exception] = []

    def work() -> None:
        # The thread ends afterwards and takes its namespace with it. os.setns exists from Python 3.12 on.
        try:
            descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
            finally:
                os.close(descriptor)
            created.append(socket.create_server(("127.0.0.1", port)))
        except Exception as error:
            created.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (result,) = created
    if isinstance(result, Exception):
        raise result
    return result
