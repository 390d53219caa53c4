"""Servers that applications use: what probably listens at an address, and the setting that starts one beside the application."""

import msgspec

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["companion_hint", "companion_name", "companion_service", "is_companion_port", "is_on_the_web"]

_SERVICE_NAME = lazy_pattern(r"[a-z][a-z0-9-]*")
_DOMAIN = lazy_pattern(r"([\w-]+\.)+(?!local$|internal$|svc$)[A-Za-z]{2,}")


class _Companion(msgspec.Struct, frozen=True):
    """A server that applications use: its name for people, and the port that tells it."""

    name: str
    port: int
    host: str = ""
    """The usual name of a service for it; empty if there is no usual image."""
    service: str = ""
    """The value of the setting that lets `shipwheel up` start one beside the application."""


_COMPANIONS = (
    _Companion(
        "PostgreSQL",
        5432,
        "db",
        '{image = "postgres:17", secrets = ["POSTGRES_PASSWORD"], health = ["pg_isready", "-U", "postgres"]}',
    ),
    _Companion(
        "MySQL or MariaDB",
        3306,
        "db",
        '{image = "mariadb:11", secrets = ["MARIADB_ROOT_PASSWORD"], health = ["healthcheck.sh", "--connect"]}',
    ),
    _Companion("Redis", 6379, "redis", '{image = "redis:8", health = ["redis-cli", "ping"]}'),
    _Companion("RabbitMQ", 5672, "rabbitmq", '{image = "rabbitmq:4", health = ["rabbitmq-diagnostics", "-q", "ping"]}'),
    _Companion("MongoDB", 27017, "mongo", '{image = "mongo:8", health = ["mongosh", "--quiet", "--eval", "db.version()"]}'),
    _Companion("Elasticsearch", 9200),
    _Companion("Memcached", 11211),
    _Companion("Kafka", 9092),
    _Companion("SQL Server", 1433),
    _Companion("Milvus", 19530),
    _Companion("Qdrant", 6333),
    _Companion("ClickHouse", 8123),
    _Companion("Cassandra", 9042),
    _Companion("NATS", 4222),
    _Companion("Temporal", 7233),
    _Companion("an SMTP server", 25),
    _Companion("an LDAP server", 389),
)


def companion_name(address: str) -> str:
    """Return what probably listens at `host:port`, or at a port alone, for people."""
    companion = _companion(address)
    where = f"port {address}" if address.isdecimal() else address
    return f"{companion.name} at {where}" if companion is not None else where or "another server"


def companion_service(address: str) -> str:
    """Return the setting for a service that is probably what listens at `host:port`, by the name of that host; empty if there is none."""
    companion = _companion(address)
    if companion is None or not companion.service:
        return ""
    host = address.rpartition(":")[0]
    name = host if _SERVICE_NAME.fullmatch(host) and host != "localhost" else companion.host
    return f"services.{name} = {companion.service}"


def companion_hint(address: str) -> str:
    """Return a sentence about how the app reaches what listens at `host:port`, with a space before it; empty if there is nothing to say.

    Without an address, it may be anywhere.
    """
    if service := companion_service(address):
        return f" `shipwheel up` starts one beside the app with the setting {service}."
    host, _, port = address.rpartition(":")
    is_public = not address or _DOMAIN.fullmatch(host if port.isdecimal() else address) is not None
    return " If it is on the internet: a trial has no network, unless `shipwheel check` gets --network." if is_public else ""


def is_on_the_web(address: str) -> bool:
    """Return whether `host:port` is the usual port of HTTPS or HTTP of a host with a public name."""
    host, _, port = address.rpartition(":")
    return port in ("443", "80") and _DOMAIN.fullmatch(host) is not None


def is_companion_port(port: str) -> bool:
    """Return whether a port is that of a server which applications are clients of, and hardly ever serve on themselves."""
    companion = _companion(port)
    return companion is not None and bool(companion.service)


def _companion(address: str) -> _Companion | None:
    return next((each for each in _COMPANIONS if str(each.port) == address.rpartition(":")[2]), None)
