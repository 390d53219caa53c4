"""Addresses of servers that code has, as they are or as defaults of variables."""

import pytest

from shipwheel.cli.fixed_addresses import default_addresses, fixed_addresses

LINES = {
    "url = 'postgresql+psycopg2://me@localhost/shop'": [("localhost", "5432")],
    'db = connect("mysql://root:secret@10.0.0.7:3307/shop")': [("10.0.0.7", "3307")],
    'MongoClient("mongodb://mongo")': [("mongo", "27017")],
    "url = os.environ.get('DATABASE_URL', 'postgresql://localhost/shop')": [],
    "url = config(\n    'DATABASE_URL',\n    'postgresql://localhost/shop')": [],
    "url: str = 'redis://localhost:6379'": [],
    "url = 'https://localhost/shop'": [],
    "url = 'postgresql://{user}@{host}/shop'": [],
    "DATABASES = {'default': {'NAME': env('NAME'), 'HOST': 'db'}}": [("db", "")],
    "DATABASES = {'default': {'HOST': env('HOST', 'db')}}": [],
}


@pytest.mark.parametrize("line", LINES)
def test_finds_what_nothing_configures(line: str) -> None:
    found = [*fixed_addresses("shop/data.py", f"import x\n{line}\n")]
    assert [(host, port) for host, port, _ in found] == LINES[line]
    assert all(place == "shop/data.py, line 2" for *_, place in found)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("url = os.environ.get('DATABASE_URL', 'postgresql://localhost/shop')", [("DATABASE_URL", "localhost", "5432")]),
        ("db = env.db(\n    'SHOP_DB', default='mysql://root:secret@10.0.0.7:3307/shop')", [("SHOP_DB", "10.0.0.7", "3307")]),
        ("x = config('CACHE', default=\"redis://cache\", cast=str)", [("CACHE", "cache", "6379")]),
        ("x = os.getenv('URL', 'https://localhost/')", []),
        ("x = os.getenv('SHOP_DB_HOST', 'localhost')", [("SHOP_DB_HOST", "localhost", "5432"), ("SHOP_DB_HOST", "localhost", "3306")]),
        ("x = os.getenv('DB_HOST', 'db')\ny = int(os.getenv('DB_PORT', '5433'))", [("DB_HOST", "db", "5433")]),
        ("x = os.getenv('PGHOST', 'localhost')\ny = os.getenv('SHOP_PORT', 5433)", [("PGHOST", "localhost", "5432")]),
        ("class A(BaseSettings):\n    redis_host: str = 'cache'\n    redis_port: int = 6380", [("REDIS_HOST", "cache", "6380")]),
        ("x = os.getenv('ALLOWED_HOST', 'localhost')", []),
        ("x = os.getenv('DB_HOST', 'db:5432/x')", []),
        ("class A(Base):\n    cache_url: str = 'redis://localhost'", []),
        ("class A(BaseSettings):\n    cache_url: str = 'redis://localhost'", [("CACHE_URL", "localhost", "6379")]),
        ("class A(BaseSettings):\n    cache_url: str = 'redis://localhost'\n    env_prefix = 'x'", []),
    ],
)
def test_finds_the_variables_that_have_an_address(line: str, found: list[tuple[str, str, str]]) -> None:
    assert [each[:3] for each in default_addresses("shop/data.py", f"import x\n{line}\n")] == found
