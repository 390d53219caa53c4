"""The host names that applications serve, in their source."""

import pytest

from shipwheel.project.entrypoint.module import read_module
from shipwheel.project.entrypoint.syntax import ModulePath

LISTS = {
    'ALLOWED_HOSTS = ["shop.example", ".shop.test", "*", name]': (("shop.example", ".shop.test"), ()),
    'ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "a.example,b.example").split(",")': (("a.example", "b.example"), ("SHOP_HOSTS",)),
    'ALLOWED_HOSTS = [host for host in os.environ.get("HOSTS", "").split(",") if host]': ((), ("HOSTS",)),
    'ALLOWED_HOSTS = env.list("DJANGO_HOSTS", default=["a.example"])': (("a.example",), ("DJANGO_HOSTS",)),
    'ALLOWED_HOSTS = [os.environ["HOST"]]': ((), ("HOST",)),
    "ALLOWED_HOSTS = []": ((), ()),
    'app.add_middleware(TrustedHostMiddleware, allowed_hosts=["*.shop.example", "localhost"])': (("*.shop.example", "localhost"), ()),
}


@pytest.mark.parametrize("line", LISTS)
def test_reads_names_and_variables(line: str) -> None:
    module = read_module(ModulePath("settings.py", "settings", ""), f"import os\n\n{line}\n".encode())
    assert module is not None
    (found,) = module.allowed_hosts
    assert (found.hosts, found.variables) == LISTS[line]
    assert found.line == 3


@pytest.mark.parametrize(
    ("base", "field", "expected"),
    [
        ("BaseSettings", "ALLOWED_HOSTS: list[str] = ['localhost', 'a.example']", (("SHOP_ALLOWED_HOSTS",), True)),
        ("pydantic_settings.BaseSettings", "allowed_hosts: str = 'localhost'", (("SHOP_ALLOWED_HOSTS",), False)),
        ("object", "ALLOWED_HOSTS: list[str] = ['localhost']", ((), False)),
    ],
)
def test_a_field_of_settings_comes_from_its_variable(base: str, field: str, expected: tuple[tuple[str, ...], bool]) -> None:
    text = f"class Settings({base}):\n    model_config = SettingsConfigDict(env_prefix='shop_')\n    {field}\n"
    module = read_module(ModulePath("settings.py", "settings", ""), text.encode())
    assert module is not None
    (found,) = module.allowed_hosts
    assert (found.variables, found.is_json) == expected
