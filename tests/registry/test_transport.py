"""Retries: how long they wait, what they send again, and how they end."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from support.process import HANG_S, ended, until

from shipwheel.download.http import transient_error
from shipwheel.errors import FetchError
from shipwheel.oci.layout import write_layout
from shipwheel.oci.reference import Reference
from shipwheel.registry.hosts import host_of, unreachable_hint
from shipwheel.registry.repository import Repository
from shipwheel.registry.transport import RegistryRequest, Transport
from shipwheel.store.store import Store
from shipwheel.testing.images import small_index
from shipwheel.testing.registry import FakeRegistry, RegistryFault

pytestmark = pytest.mark.usefixtures("either_client")


@pytest.mark.parametrize(
    ("after", "least", "most"),
    [
        (7, 7, 7),
        (timedelta(hours=1), 3000, 3600),
        (timedelta(hours=-1), 0, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(after: int | timedelta, least: float, most: float) -> None:
    text = str(after) if isinstance(after, int) else format_datetime(datetime.now(UTC) + after, usegmt=True)
    transient = transient_error(httpx.Response(429, headers={"Retry-After": text}))
    assert transient is not None
    assert transient.retry_after is not None
    assert least <= transient.retry_after <= most


@pytest.mark.parametrize("text", ["", "soon", "-1", "9" * 400 + "x", "Thu, 99 Foo 9999999999 00:00:00 GMT"])
def test_ignores_an_invalid_retry_after(text: str) -> None:
    transient = transient_error(httpx.Response(503, headers={"Retry-After": text}))
    assert transient is not None
    assert transient.retry_after is None or transient.retry_after >= 0


class Anonymous:
    """An Authorization without credentials."""

    def header(self, scopes: tuple[str, ...]) -> str | None:
        return None

    def challenged(self, response: object, scopes: tuple[str, ...], sent: str | None) -> bool:
        return False


def test_waits_grow_with_jitter_or_follow_retry_after() -> None:
    waits: list[float] = []
    with FakeRegistry() as registry, Repository(Reference.parse(f"{registry.host}/app")) as repo:
        transport = Transport(repo.transport.host, Anonymous(), waits.append)
        registry.fault(RegistryFault("status", times=99, status=503))
        with pytest.raises(FetchError, match="6 attempts"):
            transport.request(RegistryRequest("GET", "/v2/", "it"))
        assert len(registry.requests) == 6
        assert all(0.25 * 2**number * 0.5 <= wait <= 0.25 * 2**number * 1.5 for number, wait in enumerate(waits))
        registry._faults.clear()
        waits.clear()
        registry.fault(RegistryFault("status", status=429, headers={"Retry-After": "5"}))
        transport.request(RegistryRequest("GET", "/v2/", "it"))
        assert len(waits) == 1
        assert 5 <= waits[0] <= 5.25
        transport.close()


def test_hints_at_the_name_and_port_of_an_unreachable_registry() -> None:
    with FakeRegistry() as registry:
        gone = registry.host
    with Repository(Reference.parse(f"{gone}/app")) as repo:
        transport = Transport(repo.transport.host, Anonymous(), lambda _: None)
        with pytest.raises(FetchError, match="6 attempts") as raised:
            transport.request(RegistryRequest("GET", "/v2/", "it"))
        assert "name and port" in raised.value.hint
        assert "image name without a registry" not in raised.value.hint
        transport.close()
    assert "image name without a registry" in unreachable_hint(host_of(None))


def test_sends_a_body_again_from_its_beginning() -> None:
    with FakeRegistry() as registry, Repository(Reference.parse(f"{registry.host}/app")) as repo:
        registry.uploads["x"] = bytearray()
        registry.fault(RegistryFault("status", "PUT", status=500))
        digest = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
        url = f"/v2/app/blobs/uploads/x?digest={digest}"
        repo.transport.request(RegistryRequest("PUT", url, "it", body=lambda: iter((b"1",)), size=1, expected=(201,)))
        assert registry.blobs["app"] == {digest: b"1"}


def test_ctrl_c_ends_a_waiting_push(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    write_layout(small_index(store), tmp_path / "layout", store, name="app:1")
    with FakeRegistry() as registry:
        registry.fault(RegistryFault("status", "HEAD", times=99, status=503, headers={"Retry-After": "50"}))
        started = subprocess.Popen(
            [sys.executable, "-c", "from shipwheel.cli import main; main()", "push", str(tmp_path / "layout"), f"{registry.host}/app:1"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        with ended(started) as process:
            until(lambda: registry.received("HEAD"), process)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=HANG_S)
        assert process.returncode == 130
        assert "Interrupted" in stderr
        assert not registry.tags
