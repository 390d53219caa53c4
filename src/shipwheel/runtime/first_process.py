"""Lets the image's command end when its container is stopped. Runs inside the image, with the standard library alone.

The kernel does not do a signal's default action to the first process of a container, so a program without a handler of its own would
outlive SIGSIGTERM and be killed after the engine's grace period, its work unfinished. Imported by a .pth file, and only in that process.
"""

import os
import signal
import sys
from types import FrameType

__all__ = ["stop"]


def stop(number: int, frame: FrameType | None) -> None:
    """Ends the program as `sys.exit` does, with the status that shells have for the signal.

    A server that handled the signal and now raises it again, for whom started it, has already ended its work: it goes on to its own end.
    """
    if os.getpid() != 1:
        # Forked off: here the default action works.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif frame is None or "raise_signal" not in frame.f_code.co_names:
        sys.exit(128 + number)


if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
    signal.signal(signal.SIGTERM, stop)
