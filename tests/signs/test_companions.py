"""Servers that applications use, told by their addresses."""

import pytest

from shipwheel.settings.settings import settings_from
from shipwheel.signs.companions import companion_hint, companion_name, companion_service
from shipwheel.user.files import parse_toml


def test_knows_a_server_by_its_port() -> None:
    assert companion_name("db:5432") == "PostgreSQL at db:5432"
    assert companion_name("localhost:7777") == "localhost:7777"
    assert companion_name("") == "another server"
    assert companion_service("localhost:7777") == ""


@pytest.mark.parametrize(
    ("address", "name", "image"),
    [
        ("localhost:5432", "db", "postgres"),
        ("/var/run/postgresql/:5432", "db", "postgres"),
        ("shop-data:3306", "shop-data", "mariadb"),
        ("127.0.0.1:6379", "redis", "redis"),
        ("cache:6379", "cache", "redis"),
        ("broker:5672", "broker", "rabbitmq"),
        ("mongo.example.org:27017", "mongo", "mongo"),
    ],
)
def test_the_service_that_it_proposes_has_the_name_that_the_app_asks_for(address: str, name: str, image: str) -> None:
    services = settings_from(parse_toml(companion_service(address), "here"), "here").services
    assert [*services] == [name]
    assert str(services[name].image).startswith(f"{image}:")
    assert services[name].health


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("api.example.org:443", "--network"),
        ("api.example.org", "--network"),
        ("", "--network"),
        ("db:5432", "shipwheel up"),
        ("10.0.0.7:8080", ""),
        ("search:8080", ""),
        ("api.team.internal:443", ""),
    ],
)
def test_what_may_be_on_the_internet_is_looked_for_with_a_network(address: str, said: str) -> None:
    hint = companion_hint(address)
    assert said in hint and bool(hint) == bool(said)
