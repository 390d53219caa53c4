"""The errors that a program logs where nobody sees them."""

from pathlib import Path

import pytest
from support.observed import interpreters, observe_command

from shipwheel.trial.observe import program_of

SPEAKING = program_of("aside", "spoken_errors")


@pytest.mark.parametrize("python", interpreters())
@pytest.mark.parametrize(
    "how",
    [
        "logger.exception('it fails')",
        "logger.error('%s', 'it fails', exc_info=sys.exc_info())",
        "logger.error(msg='', exc_info=why)",
    ],
)
def test_a_logger_that_nobody_hears_speaks(tmp_path: Path, python: str, how: str) -> None:
    text = f"""\
import logging, sys
logger = logging.getLogger("django.request")
logger.disabled = True
logger.propagate = False
try:
    {{}}["no such key"]
except KeyError as why:
    {how}
logger.error("without an error")
"""
    (tmp_path / "program.py").write_text(text)
    seen = observe_command([python, "program.py"], tmp_path, python=python, clock=SPEAKING, scratch=str(tmp_path))
    lines = seen.log.splitlines()
    assert (seen.ended, lines[0], lines[-1]) == (0, "Traceback (most recent call last):", "KeyError: 'no such key'")
    assert observe_command([python, "program.py"], tmp_path, python=python, clock="", scratch=str(tmp_path)).log == ""
