"""Command lines as words, without a shell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.command_line import parse_command


@pytest.mark.parametrize(
    ("line", "env", "words"),
    [
        ("gunicorn app:app", {}, ("gunicorn", "app:app")),
        ("gunicorn -b 0.0.0.0:$PORT app:app", {}, ("gunicorn", "-b", "0.0.0.0:8000", "app:app")),
        ('uvicorn --port "${PORT}" a:b', {}, ("uvicorn", "--port", "8000", "a:b")),
        ("x --workers ${WORKERS:-3}", {}, ("x", "--workers", "3")),
        ("exec A=1 x", {}, ("A=1", "x")),
        ("A=1 B='two words' x", {"A": "1", "B": "two words"}, ("x",)),
        ("x --ips='*' '$PORT' 'a|b' \"a;b\"", {}, ("x", "--ips=*", "$PORT", "a|b", "a;b")),
        ("gunicorn 'pkg:create_app()' # not a comment", {}, ("gunicorn", "pkg:create_app()", "#", "not", "a", "comment")),
        (r"x a\ b", {}, ("x", "a b")),
    ],
)
def test_splits_a_command_line_into_words(line: str, env: dict[str, str], words: tuple[str, ...]) -> None:
    assert parse_command(line, "Procfile, line 1", {"PORT": "8000"}) == (env, words)


@pytest.mark.parametrize(
    "line",
    [
        "a | b",
        "a && b",
        "a; b",
        "a > b",
        "a &",
        "a $(b)",
        "a `b`",
        'a "$(b)"',
        "cd x",
        "sh -c 'a'",
        "a $UNSET",
        "a ${UNSET}",
        "a 'b",
        "A=1",
        "",
        "a (b)",
        "exec",
    ],
)
def test_rejects_a_command_line_that_needs_a_shell(line: str) -> None:
    with pytest.raises(ProjectError, match="Procfile, line 1: ") as caught:
        parse_command(line, "Procfile, line 1", {})
    assert caught.value.hint


def test_rejects_a_variable_that_a_shell_would_split() -> None:
    with pytest.raises(ProjectError, match="split"):
        parse_command("a $X", "Procfile, line 1", {"X": "b; c"})


@given(st.text(alphabet="ab=$ {}:-()'\"\\|&;<>`#*~\t\x00é/.PORT", max_size=50))
def test_any_command_line_gives_words_or_a_project_error(line: str) -> None:
    try:
        _, words = parse_command(line, "Procfile, line 1", {"PORT": "8000"})
    except ProjectError as error:
        assert error.message.startswith("Procfile, line 1: ")
    else:
        assert words
        assert words[0]
        assert all("\0" not in word for word in words)
