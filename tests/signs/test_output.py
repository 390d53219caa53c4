"""Signs in real output: each rule with what a library really prints, and the lines of healthy programs, which are no signs."""

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.signs.output import SignKind, signs_in

RECORDED = Path(__file__).parent.parent / "trial" / "recorded"
SIGNS = [
    (SignKind(kind), subject, text)
    for block in (RECORDED / "signs.txt").read_text(encoding="utf-8").split("## ")[1:]
    for head, _, text in (block.partition("\n"),)
    for kind, _, subject in (head.partition(" "),)
]
"""Each with the lines that a library printed: the kind of sign, its subject, the text."""

NO_SIGNS = (RECORDED / "no_signs.txt").read_text(encoding="utf-8").split("##\n")


@pytest.mark.parametrize(("kind", "subject", "text"), SIGNS, ids=[f"{kind.value}-{number}" for number, (kind, _, _) in enumerate(SIGNS)])
def test_reads_what_programs_print(kind: SignKind, subject: str, text: str) -> None:
    signs = signs_in(f"INFO: starting\n{text}\n")
    assert [(sign.kind, sign.subject) for sign in signs] == [(kind, each) for each in subject.split(", ")]
    assert all(sign.line in text or sign.line.partition(": ")[2] in text for sign in signs)
    assert "\x1b" not in "".join(sign.line for sign in signs)


@pytest.mark.parametrize("text", NO_SIGNS)
def test_the_lines_of_a_healthy_program_are_no_signs(text: str) -> None:
    assert signs_in(f"{text}\n") == ()


def test_every_kind_has_a_real_line() -> None:
    assert {kind for kind, _, _ in SIGNS} == set(SignKind)


def test_names_each_thing_once_in_the_order_of_the_log() -> None:
    log = "ModuleNotFoundError: No module named 'b'\nModuleNotFoundError: No module named 'a'\nModuleNotFoundError: No module named 'b'\n"
    assert [sign.subject for sign in signs_in(log)] == ["b", "a"]


def test_a_line_can_list_several_variables() -> None:
    (first, second, third) = signs_in("environment variables are missing: BOT_TOKEN, API_KEY and 'DB_NAME'. See LICENSE_TEXT\n")
    assert (first.subject, second.subject, third.subject) == ("BOT_TOKEN", "API_KEY", "DB_NAME")


def test_an_unnamed_server_is_the_one_that_another_line_names() -> None:
    log = (
        "ConnectionRefusedError: [Errno 111] Connection refused\n\nDuring handling of the above exception, another exception occurred:\n\n"
        "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.\n"
    )
    assert [sign.subject for sign in signs_in(log)] == ["localhost:6379"]


def test_reads_the_traceback_in_a_line_of_json() -> None:
    trace = "Traceback (most recent call last):\n  File \"/usr/lib/os.py\", line 1\n    raise KeyError(key)\nKeyError: 'API_TOKEN'"
    log = json.dumps({"level": "ERROR", "exc_info": trace}) + "\n" + json.dumps({"level": "INFO", "message": "bye"}) + "\n"
    (sign,) = signs_in(log)
    assert (sign.kind, sign.subject) == (SignKind.VARIABLE, "API_TOKEN")


_WORDS = st.sampled_from(
    [
        "Permission denied",
        "connection refused",
        "://",
        ": ",
        "/",
        "'",
        '"',
        "A_B",
        "is not set",
        "usage:",
        "[Errno 111]",
        "KeyError: ",
        "\x1b[1m",
    ]
)


@given(st.lists(st.text(max_size=20) | _WORDS | st.sampled_from(["\n", "\r", "\x00", "\u2028"]), max_size=30).map("".join))
def test_any_text_gives_signs(text: str) -> None:
    for sign in signs_in(text):
        assert "\n" not in sign.line


REPEATED = ["/", "a.", "/a", "'/", "[", "{", " ", "A_", "a:1", "://", "@", "-1 ", "x://a@", "not set ", "Missing ", "is missing "]
REPEATED += ["connection refused ", "Permission denied ", "environment variable ", "cannot connect to ", "HTTPConnectionPool(host='"]


@pytest.mark.parametrize("part", REPEATED)
def test_long_lines_do_not_take_long(part: str) -> None:
    """Quadratic patterns would take minutes: the test would not end."""
    line = part * (50_000 // len(part))
    signs_in(line)
    signs_in("\n".join([line[:2000]] * 8))
    signs_in("\n".join([(string.ascii_letters + part * 800)[:2000]] * 8))
