"""Secrets in deployment files."""

import pytest

from shipwheel.project.deployment.secrets import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("DEBUG=0 SECRET_KEY='a b' x", "DEBUG=0 SECRET_KEY=… x"),
        ("x --api-key abc --port 80", "x --api-key … --port 80"),
        ("x --password=abc redis://me:abc@host/1", "x --password=… redis://…@host/1"),
        ("gunicorn --keyfile /x a:b", "gunicorn --keyfile /x a:b"),
    ],
)
def test_messages_have_no_secrets(text: str, shown: str) -> None:
    assert masked(text) == shown
