"""Tokens of known forms are found with their line, and placeholders, public keys and parts of other words are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.planted_secrets import private_key, tokens

from shipwheel.project.secret_tokens import find_tokens


def _found(text: str, path: str = "config.py") -> list[tuple[int, str]]:
    return [(token.line, token.kind) for token in find_tokens(path, text.encode())]


@pytest.mark.parametrize("name", tokens())
@pytest.mark.parametrize("seed", range(3))
def test_finds_a_token_of_each_form(name: str, seed: int) -> None:
    token = tokens(seed)[name]
    for text in (f'\nKEY = "{token}"\n', f"a: 1\nkey: {token}", f'{{"a": 1,\n"key":"{token}"}}'):
        assert [line for line, _ in _found(text)] == [2], token


@pytest.mark.parametrize("name", tokens())
def test_finds_no_token_inside_a_longer_word(name: str) -> None:
    token = tokens()[name]
    if not token.startswith(("http", "AccountName", "Shared", "Fly", "aws_", "PrivateKey")):
        assert _found(f"x = 'abc{token}'") == []


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_1234567890abcdefghijklmnopqrstuvwxyz",
        "sk_live_your_key_here_00000000",
        "sk_live_abcabcabcabcabcabcabcabc",
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "xoxb-123456789012-1234567890123-abcdefghijklmnopqrstuvwx",
        "AIzaSyDdI0hCZtE6vySjMm-WEfRq3CPzqKqqsHI"[:20],
        "glpat-XXXXXXXXXXXXXXXXXXXX",
        "SECRET_KEY = 'django-insecure-&8y0w#q1=4z5(k$m_p7v!x3c@b2n6j9h+g0f-d5s8a1l4r7t'",
        "postgresql://shop:shop@localhost/shop",
        "hf_YourTokenFromTheSettingsPageOfTheHub",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE...\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\n" + "x" * 200 + "\n-----END RSA PRIVATE KEY-----",
        "if line.startswith('-----BEGIN PRIVATE KEY-----'): pass",
        "AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;",
        "sha512-" + "0a1b2c3d4e5f" * 12 + "-us",
    ],
)
def test_finds_nothing_in_placeholders_and_public_values(text: str) -> None:
    assert _found(text) == []


def test_the_public_half_of_a_signed_url_is_no_secret() -> None:
    key = tokens()["AWS access key"]
    assert _found(f"https://files.example/a?X-Amz-Credential={key}%2F20240101") == []
    assert _found(f"https://files.example/a?AWSAccessKeyId={key}&Expires=1") == []
    assert _found(f"'x-amz-credential': '{key}/20240101/eu-central-1/s3/aws4_request'") == []


def test_an_example_of_what_a_key_becomes_is_no_secret() -> None:
    assert _found(f'Example:\n    "{tokens()["AWS access key"]}" => "123456789012"\n') == []


def test_an_api_key_that_browsers_send_is_no_secret() -> None:
    key = tokens()["Google API"]
    assert _found(f"key: '{key}'", "static/app.js") == []
    assert _found(f"key={key}", "templates/base.html") == []
    assert _found(f'GOOGLE_MAPS_API_KEY = "{key}"') == []
    assert _found(f'{{"apiKey": "{key}", "authDomain": "shop.firebaseapp.com"}}', "firebase.json") == []
    assert _found(f'GEMINI_KEY = "{key}"') == [(1, "a Google API key")]


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH "])
def test_finds_a_private_key_in_code(kind: str) -> None:
    key = private_key(kind=kind)
    assert _found(f'import jwt\n\nKEY = """{key}"""\n') == [(3, "a private key")]
    assert _found("KEY = '" + key.replace("\n", "\\n") + "'\n") == [(1, "a private key")]
    lines = "\n".join(f'    "{line}\\n"' for line in key.splitlines())
    assert _found(f"KEY = (\n{lines}\n)\n") == [(2, "a private key")]


def test_finds_a_private_key_with_headers() -> None:
    first, rest = private_key().split("\n", 1)
    key = f"{first}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB12\nComment: https://example.org\n\n{rest}"
    for text in (key, key.replace("\n", "\\n"), key.replace("\n", " ", 4)):
        assert [kind for _, kind in _found(text)] == ["a private key"]


@pytest.mark.parametrize("rest", ["\n" + "ABCDEFGHI+" * 100, "a: " * 100, "\nA: " + "b " * 100 + "c: " * 100, "\\n\n" * 1000])
def test_a_private_key_without_its_end_is_none(rest: str) -> None:
    # A pattern that reads each plus or header in two ways tries 2**100 of them.
    assert _found(f"-----BEGIN PRIVATE KEY-----{rest}\n...\n{'.' * 200}") == []


def test_binary_content_is_no_text() -> None:
    assert list(find_tokens("data.bin", b"\0" + tokens()["GitHub"].encode())) == []


@given(st.binary(max_size=400) | st.text(alphabet="-BEGIN PRIVATEKY\n=ghp_AKIAxob09\"'", max_size=600).map(str.encode))
def test_any_bytes_are_read(data: bytes) -> None:
    assert all(token.line >= 1 for token in find_tokens("x", data))
