"""Signals to a container by a program inside, in place of which a program here writes down what it is told."""

import sys
from pathlib import Path
from typing import Any

from support.process import until

from shipwheel.engine.quick_signals import QuickSignals

WRITES = """
import sys
print(flush=True)
for line in sys.stdin:
    with open(sys.argv[1], "a") as file:
        file.write(line)
"""


class Told:
    """A container that lists the signals that the engine itself sends."""

    def __init__(self, *exec_words: str) -> None:
        self.exec_words = exec_words
        self.by_engine: list[str] = []

    def send(self, signal: str) -> None:
        self.by_engine.append(signal)


def quick(container: Any) -> Any:
    return QuickSignals(container)


def test_a_program_inside_sends_all_signals_but_the_first_ones(tmp_path: Path) -> None:
    file = tmp_path / "signals"
    container = Told(sys.executable, "-c", WRITES, str(file))
    signals = quick(container)
    signals.send("SIGURG")
    until(signals._answered.is_set)
    signals.send("SIGURG")
    signals.send("SIGWINCH")
    until(lambda: file.exists() and len(file.read_text().splitlines()) == 2)
    assert file.read_text() == "SIGURG\nSIGWINCH\n"
    signals.close()
    signals.send("SIGURG")
    assert container.by_engine == ["SIGURG", "SIGURG"], "the first, and that after its end"


def test_the_engine_sends_what_no_program_inside_does() -> None:
    for words in ((), (sys.executable, "-c", "raise SystemExit(1)")):
        container = Told(*words)
        signals = quick(container)
        signals.send("SIGURG")
        signals.send("SIGURG")
        assert container.by_engine == ["SIGURG", "SIGURG"]
        signals.close()
