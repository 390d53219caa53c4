"""Values for the variables that an application wants, to see how much further it comes."""

import re

__all__ = ["placeholder"]


def placeholder(name: str, evidence: str = "") -> str:
    """Return a value for a variable that an application wants, to see how much further it comes: never written into an image.

    `evidence` is the line that says so, which may name the type of the value.
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
    return "check-" + "0" * 40
