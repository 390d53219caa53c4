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
