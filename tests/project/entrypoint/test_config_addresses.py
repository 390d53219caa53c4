"""Loopback addresses in configuration files."""

from pathlib import Path

from support.project_tree import written

from shipwheel.project.entrypoint.config_addresses import find_config_addresses
from shipwheel.user.files import UserFiles


def test_finds_the_lines_that_keep_a_server_inside(tmp_path: Path) -> None:
    files = {
        "server.ini": "[server]\nhost = 127.0.0.1\nport = 8500\n",
        "config/app.yml": "web:\n  bind: 'localhost:9000'\n  # host: 127.0.0.1\n",
        "conf/x.json": '{"listen_address": "127.0.0.1"}',
        "settings.toml": 'database = "127.0.0.1"\nhost = "0.0.0.0"\n',
        "docker-compose.yml": "host: 127.0.0.1\n",
        "notes.txt": "host = 127.0.0.1\n",
    }
    assert find_config_addresses(written(tmp_path, files), UserFiles()) == (
        ("server.ini, line 2", "127.0.0.1"),
        ("config/app.yml, line 2", "localhost"),
        ("conf/x.json, line 1", "127.0.0.1"),
    )
