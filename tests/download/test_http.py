"""TLS settings of downloads."""

import os
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from shipwheel.download import http as module
from shipwheel.download.http import trusted_authorities


def test_requests_that_come_together_read_the_authorities_once(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, count = threading.Event(), 0

    def read() -> ssl.SSLContext:
        nonlocal count
        count += 1
        # Time for the others to come in, if they can.
        entered.wait(0.05)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(httpx, "create_ssl_context", read)
    monkeypatch.setenv("SSL_CERT_DIR", "/somewhere/else")
    module._authorities.cache_clear()
    try:
        with ThreadPoolExecutor(3) as pool:
            found = set(pool.map(lambda _: trusted_authorities(), range(3)))
    finally:
        module._authorities.cache_clear()
    assert len(found) == count == 1


def test_authorities_that_changed_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    file = tmp_path / "authorities.pem"
    file.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    first = trusted_authorities()
    assert trusted_authorities() is first
    os.utime(file, (1, 1))
    assert trusted_authorities() is not first
