"""The sentences with which code refuses to go on, and what it has looked for."""

import pytest

from shipwheel.cli.refusals import find_refusals
from shipwheel.trial.source_facts import Refusal

CONFIG = '''import os, sys
HOME_FILE = "bot.yml"

def load(path=None):
    """Read /etc/other.yml."""
    tried = [path] if path else []
    if "BOT_CONFIG" in os.environ:
        tried.append(os.environ["BOT_CONFIG"])
    tried += [os.path.join(os.getcwd(), HOME_FILE), "/etc/bot.yml"]
    for each in filter(os.path.exists, tried):
        return open(each)
    raise ConfigError("The configuration file could not be found.")


def other():
    raise ValueError("A sentence of code that reads nothing")
'''


def test_a_function_that_refuses_tells_what_it_looks_for() -> None:
    assert list(find_refusals("bot/config.py", CONFIG)) == [
        Refusal("The configuration file could not be found.", "bot/config.py, line 12", ("BOT_CONFIG", "bot.yml", "/etc/bot.yml"))
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('sys.exit(f"{path}: no such configuration")', ": no such configuration"),
        ('logger.error("Cannot start without settings: %s", path)', "Cannot start without settings:"),
        ('print("Please write\\nthe settings of your bot")', "the settings of your bot"),
    ],
)
def test_the_longest_words_of_a_sentence_count(line: str, sentence: str) -> None:
    (found,) = find_refusals("main.py", f'import os\npath = os.getenv("SETTINGS") or "settings.toml"\nif not path:\n    {line}\n')
    assert found == Refusal(sentence, "main.py, line 4", ("SETTINGS", "settings.toml"))


@pytest.mark.parametrize("text", ['open("a.yml"', "x = 1\n", 'p = "a.yml"\nprint("short")\n', 'p = "a.yml"\nx("A sentence of no use")\n'])
def test_other_code_refuses_nothing(text: str) -> None:
    assert list(find_refusals("main.py", text)) == []


def test_reads_a_deep_expression() -> None:
    text = f"import os\nos.environ['SHOP_URL']\nX = {' + '.join(['1'] * 1500)}\nraise RuntimeError('no shop was found')\n"
    assert [each.read for each in find_refusals("shop.py", text)] == [("SHOP_URL",)]


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("print('Starting the shop now')\n    serve(name)", 0),
        ("with x:\n        print('Starting the shop now')\n    return app", 0),
        ("print('No name of a shop is set')\n    sys.exit(1)", 1),
        ("if not name:\n        print('No name of a shop is set')\n    serve(name)", 1),
    ],
)
def test_what_a_program_says_before_it_goes_on_refuses_nothing(lines: str, count: int) -> None:
    text = f"import os, sys\ndef main():\n    name = os.getenv('SHOP_NAME')\n    {lines}\n"
    assert len(list(find_refusals("main.py", text))) == count
