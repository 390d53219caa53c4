"""Secrets in what goes into an image besides files: variables, labels and annotations. Everyone who has the image can read its config."""

import re
from collections.abc import Iterator, Sequence

from shipwheel.errors import ProjectError
from shipwheel.events import Reporter, Warned
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.secrets import has_credentials
from shipwheel.project.secret_files import secret_rules
from shipwheel.project.secret_tokens import find_tokens
from shipwheel.settings.settings import Settings

__all__ = ["check_settings", "left_out_secrets"]

_SECRET_NAME = lazy_pattern(
    r"(pass|passw(or)?d|passphrase|pwd|secret|token|credentials?|(api|secret|access|private|signing|encryption)_?key(_base)?)$",
    re.IGNORECASE,
)
_PLAIN_VALUE = lazy_pattern(r"\s*|true|false|yes|no|none|null|\d+|[./~].*|https?://[^@]*|.{1,5}|.*[<{$].*", re.IGNORECASE | re.DOTALL)
"""Values that are no secrets: switches, numbers, paths, addresses, placeholders."""


def left_out_secrets(paths: Sequence[str], where: str = "") -> Warned:
    """Return the warning for secrets that stay out of the image; `where` names the wheel that lost them."""
    what = f"left out{' of ' if where else ''}{where} as secrets: {', '.join(paths)}"
    return Warned(what, "Pass them to the container when it starts.", lasting=True)


def check_settings(settings: Settings, reporter: Reporter) -> None:
    """Warn of variables that look like passwords. Raise ProjectError for tokens of a known form in what becomes the image's config."""
    rules, found = secret_rules(settings), []
    for where, value in _config_texts(settings):
        if rules.allows(where):
            continue
        if (token := next(find_tokens(where, value.encode(errors="surrogateescape")), None)) is not None:
            found.append(f"{where} has {token.kind}")
        elif where.startswith("env.") and _looks_secret(where.removeprefix("env."), value):
            reporter(Warned(f"{where} looks like a password: everyone who has the image can read it", _NEXT_STEP, lasting=True))
    if found:
        raise ProjectError(f"secrets would get into the image: {'; '.join(found)}", hint=_NEXT_STEP)


_NEXT_STEP = "Leave it out, and pass it when the container starts: -e NAME, --env-file, or a Kubernetes Secret."


def _config_texts(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each setting that everyone can read in the image."""
    for table, values in (("env", settings.env), ("labels", settings.labels), ("annotations", settings.annotations)):
        yield from ((f"{table}.{name}", value) for name, value in values.items())
    for name, words in (("command", settings.command), ("entrypoint", settings.entrypoint)):
        yield name, " ".join(words)
    yield "before-start", "\n".join(" ".join(words) for words in settings.before_start)
    # The history names the layers by what made them.
    for name, programs in (("steps", settings.steps or ()), ("assets", settings.assets)):
        yield name, "\n".join(" ".join(program.run) for program in programs)


def _looks_secret(name: str, value: str) -> bool:
    return has_credentials(value) or (_SECRET_NAME.search(name) is not None and _PLAIN_VALUE.fullmatch(value) is None)
