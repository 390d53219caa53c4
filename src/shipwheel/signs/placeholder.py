"""Values for the variables that an application wants, to see how much further it comes."""

import re
from collections.abc import Callable

__all__ = ["corrected", "placeholder"]

_JSON = "[]"
"""A list, as pydantic's settings take it."""
_TOKEN = "1234567890:" + "A" * 35
"""The form of a bot's token for Telegram, which its clients check before they connect."""
_ASYNCHRONOUS = {
    "aiosqlite": "sqlite+aiosqlite:////tmp/check.db",
    "asyncpg": "postgresql+asyncpg://user:password@localhost:5432/check",
    "psycopg": "postgresql+psycopg://user:password@localhost:5432/check",
    "aiomysql": "mysql+aiomysql://user:password@localhost:3306/check",
    "asyncmy": "mysql+asyncmy://user:password@localhost:3306/check",
}
"""SQLAlchemy's drivers for asyncio, by their Python packages, with a made-up address."""


def placeholder(name: str, evidence: str = "", example: str = "") -> str:
    """Return a value for a variable that an application wants, to see how much further it comes: never written into an image.

    `evidence` is the line that says so, which may name the type of the value; `example` is the project's own example, for a variable whose
    name tells nothing.
    """
    name = name.upper()
    if "valid boolean" in evidence:
        return "false"
    if "PORT" in name:
        return "8000"
    if "valid integer" in evidence or "valid number" in evidence:
        return "1"
    if "HOSTS" in name or re.search(r"(?:^|_)HOST(?:NAME)?$", name):
        return "localhost"
    if "MONGO" in name and not name.endswith(("NAME", "USER", "PASSWORD")):
        return "mongodb://localhost:27017/check"
    if name.endswith(("DATABASE_URL", "DATABASE_URI", "DB_URL", "SQLALCHEMY_DATABASE_URI")):
        return "sqlite:////tmp/check.db"
    if "CREDENTIAL" in name:
        return "user:password"
    if "REDIS" in name:
        return "redis://localhost:6379/0"
    if re.search(r"(?:AMQP|RABBIT|BROKER).*_UR[LI]", name):
        return "amqp://localhost:5672//"
    if "URL" in name or "URI" in name or "ORIGIN" in name:
        return "http://localhost:8000"
    if re.search(r"DEBUG|ENABLE|DISABLE|USE_|VERIFY", name):
        return "false"
    if re.search(r"(?:^|_)(?:IDS?|TIMEOUT|COUNT|SIZE|LIMIT|SECONDS|MINUTES|MAX|MIN)(?:_|$)", name):
        # Most programs take these for numbers.
        return "1"
    return example or "check-" + "0" * 40


def corrected(name: str, value: str, log: str, has_package: Callable[[str], bool]) -> str:
    """Return a value in place of a made-up one that the application refuses in `log`; empty if it does not, or nothing else fits.

    `has_package` tells whether the image has a Python package.
    """
    if "TOKEN" in name.upper() and value != _TOKEN and re.search(r"\b(?:TokenValidationError|telegram\.error\.InvalidToken)\b", log):
        return _TOKEN
    field = re.search(r'error parsing value for field "(\w+)" from source "EnvSettingsSource"', log)
    if field is not None and name.lower().endswith(field[1].lower()) and value != _JSON:
        return _JSON
    if value.startswith("sqlite:") and "The asyncio extension requires an async driver" in log:
        return next((address for package, address in _ASYNCHRONOUS.items() if has_package(package)), "")
    return ""
