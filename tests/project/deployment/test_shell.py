"""Shell scripts, followed without running anything."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.project.deployment import shell
from shipwheel.project.deployment.script import NoFiles, Script, ShellCommand
from shipwheel.project.deployment.shell import run_shell, run_words
from shipwheel.project.deployment.shell_words import ShellState


class _Files:
    """Scripts by their absolute path."""

    def __init__(self, scripts: Mapping[str, str]) -> None:
        self._scripts = scripts

    def read_script(self, path: str) -> Script | None:
        text = self._scripts.get(path)
        return None if text is None else Script(path.lstrip("/"), text.encode())

    def exists(self, path: str) -> bool | None:
        return True if path in self._scripts else None

    def names_in(self, path: str) -> tuple[str, ...]:
        return tuple(name.rpartition("/")[2] for name in self._scripts if name.rpartition("/")[0] == path)


def _run(text: str, *arguments: str, variables: Mapping[str, str] | None = None) -> tuple[ShellCommand, ...]:
    return run_shell(Script("start.sh", text.encode()), ShellState(dict(variables or {}), arguments, "/app"), NoFiles())


def _words(text: str, *arguments: str, **variables: str) -> list[str]:
    return [" ".join(command.words) for command in _run(text, *arguments, variables=variables) if not command.doubt]


FOLLOWED = {
    "if a; then exec serve; else echo no >&2; exit 1; fi": ["a", "serve"],
    "if ! a; then exit 2; else exec serve; fi": ["a", "serve"],
    "a\nif [ $? -eq 0 ]; then exec serve; fi\nexit 1": ["a", "serve"],
    "if a; then serve; else other; fi": [],
    "if a; then serve; else exit 0; fi": [],
    "if a; then serve; elif b; then other; else exit 1; fi": [],
    "a 1; b 2": ["a 1", "b 2"],
    "a && b || c": ["a", "b"],
    "a \\\n  --x\n# comment\nb": ["a --x", "b"],
    'serve --port "${PORT:-80}" $EXTRA': ["serve --port 80"],
    "X=1\nexport Y=$X\nserve $Y": ["serve 1"],
    ": ${W:=4}\nserve -w$W": ["serve -w4"],
    "exec serve\nnever": ["serve"],
    "serve 'a b' \"c d\" e\\ f": ["serve a b c d e f"],
    'if [ -n "$UNSET" ]; then a; else b; fi': ["b"],
    'if [ "$MODE" = prod ]; then a; elif [ "$MODE" = dev ]; then b; else c; fi': ["a"],
    "if [[ $MODE == p* ]] && [ 2 -gt 1 ]; then a; fi": ["a"],
    'case "$MODE" in dev) a ;; p*|q) b ;; *) c ;; esac': ["b"],
    "until migrate; do sleep 1; done; serve": ["migrate", "serve"],
    "while true; do migrate && break; sleep 5; done\nserve": ["migrate", "serve"],
    "while !</dev/tcp/db/5432; do sleep 1; done; serve": ["serve"],
    "for name in a b; do run $name; done": ["run a", "run b"],
    "start() { run $1 --all; }\nstart web": ["run web --all"],
    "yes | migrate": ["migrate"],
    "while IFS= read -r line; do export $line; done < x\nserve": ["serve"],
    "read name; serve $name; serve": ["serve"],
    "serve 2>&1 | tee log": ["serve"],
    "serve >> log 2>&1": ["serve"],
    "bash -c 'exec serve $MODE'": ["serve prod"],
    "sh -ec 'a && b'": ["a", "b"],
    "exec gosu app:app tini -- serve": ["serve"],
    "sudo -EHu shop serve -u 1": ["serve -u 1"],
    "sudo -ushop -E serve": ["serve"],
    "conda run -n env --no-capture-output a --b; mamba run -p /env c": ["a --b", "c"],
    "poetry run a; uv run --no-sync b; pipenv run c; env X=1 d": ["a", "b", "c", "d"],
    "./wait-for-it.sh db:5432 -t 30 -- serve": ["serve"],
    'if [ "$(id -u)" = 0 ]; then chown x; fi; serve': ["serve"],
    "set -e\necho start\nserve": ["serve"],
    "exit 0\nserve": [],
    "serve -w $(nproc) --threads=$THREADS --workers $((2 * 2)) x": ["serve x"],
    'serve -w $WORKERS --threads "$THREADS" --workers "${N:-}" x': ["serve x"],
    "serve -w $MODE --threads=${N:-2} x": ["serve -w prod --threads=2 x"],
}


@pytest.mark.parametrize("text", FOLLOWED)
def test_follows_a_script(text: str) -> None:
    assert _words(text, MODE="prod") == FOLLOWED[text]


DOUBTFUL = {
    "serve --port $PORT": "",
    "serve --port=$PORT": "$PORT has no value here, which the setting `env` could give it",
    "serve $(nproc)": "$(nproc) needs a shell",
    "a | b": "a pipe needs a shell",
    "if check; then serve; fi": "it depends on `check`",
    "X=$(date)\nserve $X": "$X is not known",
    "serve ${API_KEY:-hidden}": "it contains a secret",
    "serve --token $TOKEN": "it contains a secret",
    "serve ${PATH%:*}": "${PATH%:*} needs a shell",
}


@pytest.mark.parametrize("text", DOUBTFUL)
def test_names_the_reason_for_a_doubt(text: str) -> None:
    assert _run(text)[-1].doubt == DOUBTFUL[text]


def test_passes_arguments_on() -> None:
    script = 'if [ "$1" = serve ]; then\n  migrate\nfi\nset -- nice "$@"\nshift\nexec "$@"\n'
    assert _words(script, "serve", "a b") == ["migrate", "serve a b"]
    assert _words(script, "shell") == ["shell"]
    assert _run(script, "serve", "a b")[-1].words == ("serve", "a b")


@pytest.mark.parametrize("count", ["$#", "${#}", '"$#"'])
def test_counts_arguments(count: str) -> None:
    script = f'if [ {count} -eq 0 ]; then\n  exec serve\nfi\nexec "$@"\n'
    assert (_words(script), _words(script, "shell")) == (["serve"], ["shell"])


def test_a_value_made_of_variables_of_the_container_is_none_of_the_image() -> None:
    script = 'U=$USER\nif [ -z "$MODE" ]; then export MODE=fast; fi\nexport A="x://${U}@$HOST" B=$A C=${D:-1} E=\nE=2\nserve\n'
    (command,) = _run(script)
    assert (command.env, command.derived) == ((("MODE", "fast"), ("C", "1"), ("E", "2")), ("A", "B"))


def test_a_value_may_be_added_to_what_the_variable_has() -> None:
    (command,) = _run('export PYTHONPATH="${PYTHONPATH}:/app/lib" PATH="$PATH:/app/bin"\nexport PATH="$HOME/bin:$PATH"\nserve\n')
    assert (command.env, command.derived) == ((("PYTHONPATH", ":/app/lib"),), ()), "an image has a PATH of its own"


def test_records_environment_directory_and_line() -> None:
    commands = _run("export A=1\nB=2\ncd src\nC=3 serve &\nother\n")
    assert [(command.words, command.line, command.background) for command in commands] == [(("serve",), 4, True), (("other",), 5, False)]
    assert (commands[0].env, commands[0].directory, commands[0].place) == ((("A", "1"), ("C", "3")), "/app/src", "start.sh, line 4")


def test_follows_scripts_that_call_each_other() -> None:
    files = _Files({"/entry.sh": '. ./common\nexec ./boot "$@"\n', "/common": "export A=1\n", "/boot": '#!/bin/sh\nmigrate\nexec "$@"\n'})
    commands = run_words(("/entry.sh", "serve", "-x"), ShellState({}, (), "/"), files, ("Dockerfile", 9))
    assert [(command.words, command.file) for command in commands] == [(("migrate",), "boot"), (("serve", "-x"), "boot")]
    assert commands[-1].env == (("A", "1"),)


@pytest.mark.parametrize(
    "place",
    [
        '$(dirname "$0")',
        "`dirname $0`",
        '$(cd "$(dirname "$0")" && pwd)',
        '$( cd "$( dirname "${BASH_SOURCE[0]}" )" >/dev/null 2>&1 && pwd )',
        '$(dirname "$(readlink -f "$0")")',
        "$(realpath $(dirname $BASH_SOURCE))",
    ],
)
def test_knows_where_a_script_is(place: str) -> None:
    scripts = {"/app/bin/start.sh": f'HERE="{place}"\ncd "$HERE/.."\nserve --config "$HERE/x.ini"; serve "$(pwd)"; make $(date)\n'}
    found = run_words(("bin/start.sh",), ShellState(directory="/app"), _Files(scripts), ("Procfile", 1))
    assert [(command.words, command.directory) for command in found if not command.doubt] == [
        (("serve", "--config", "/app/bin/x.ini"), "/app"),
        (("serve", "/app"), "/app"),
    ]


def test_knows_where_a_script_is_that_another_one_reads() -> None:
    scripts = {
        "/app/start.sh": '. bin/env.sh\nserve "$HERE" "$ALSO" "$(dirname "$BASH_SOURCE")"\n',
        "/app/bin/env.sh": 'HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"\nALSO=$(dirname "$0")\n',
    }
    (found,) = run_words(("./start.sh",), ShellState(directory="/app"), _Files(scripts), ("Procfile", 1))
    assert (found.words, found.doubt) == (("serve", "/app/bin", "/app", "/app"), "")


def test_a_script_that_calls_itself_ends() -> None:
    files = _Files({"/loop.sh": "./loop.sh\n"})
    assert run_words(("/loop.sh",), ShellState({}, (), "/"), files, ("x", 1)) == ()
    assert _words("f() { f; }; f; serve") == []


_PIECES = st.sampled_from(
    [
        "if",
        "then",
        "else",
        "fi",
        "while",
        "do",
        "done",
        "case",
        "esac",
        "in",
        ";;",
        ")",
        "(",
        "{",
        "}",
        "[",
        "]",
        "[[",
        "]]",
        "&&",
        "||",
        "|",
        "&",
        ";",
        "$A",
        "${A:-b}",
        "${A:=$B}",
        "$(x)",
        "`y`",
        '"$@"',
        "'q'",
        '"',
        "'",
        "\\",
        "<",
        ">",
        "<<",
        "EOF",
        "exec",
        "cd",
        "set",
        "--",
        "shift",
        ".",
        "f()",
        "f",
        "export",
        "A=1",
        "for",
        "x",
        "serve",
        "#",
        "!",
        "*",
        "\x00",
        "é",
    ]
)


def test_a_script_that_starts_itself_is_parsed_once() -> None:
    files = _Files({"/app/start.sh": '#!/bin/sh\ncase "$1" in web) exec serve ;; esac\n"$0" check\n"$0" web\n'})
    shell.parsed_script.cache_clear()
    found = run_words(("/app/start.sh",), ShellState({}, (), "/app"), files, ("Dockerfile", 1))
    assert ("serve",) in {command.words for command in found}
    assert shell.parsed_script.cache_info().misses == 1 < shell.parsed_script.cache_info().hits


@given(st.text() | st.lists(_PIECES, max_size=40).map(" ".join) | st.lists(_PIECES, max_size=40).map("\n".join))
def test_any_text_can_be_followed(text: str) -> None:
    for command in _run(text, "x"):
        assert command.words


@pytest.mark.parametrize("text", ["(" * 100_000, "$(" * 50_000, "a && " * 50_000, "if true; then " * 5_000, '"' * 100_000, "a " * 50_000])
def test_a_script_without_end_is_given_up(text: str) -> None:
    _run(text)
