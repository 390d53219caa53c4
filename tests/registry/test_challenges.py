"""WWW-Authenticate fields, valid and malformed, and scopes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.registry.auth import parse_challenges
from shipwheel.registry.tokens import covers, describe_scopes, merge_scopes

BEARER = ("bearer", {"realm": "https://auth.example/token", "service": "registry", "scope": "repository:team/app:pull,push"})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (['Bearer realm="https://auth.example/token",service="registry",scope="repository:team/app:pull,push"'], [BEARER]),
        (['BEARER  Realm = "https://auth.example/token" , SERVICE=registry,  scope="repository:team/app:pull,push" ,'], [BEARER]),
        (["Bearer realm=https://auth.example/token,service=registry"], [("bearer", {k: BEARER[1][k] for k in ("realm", "service")})]),
        (['Basic realm="a"', 'Bearer realm="b"'], [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        (['Basic realm="a", Bearer realm="b"'], [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        # RFC 9110's own example.
        (
            ['Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""'],
            [("basic", {"realm": "simple"}), ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'})],
        ),
        (["Negotiate, NTLM"], [("negotiate", {}), ("ntlm", {})]),
        (["Negotiate abc+/==, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (['Basic realm="with, Bearer realm=\\"evil\\", in it"'], [("basic", {"realm": 'with, Bearer realm="evil", in it'})]),
        (["Basic realm=first, realm=second"], [("basic", {"realm": "first"})]),
        (['Basic realm="x" charset="UTF-8"'], [("basic", {"realm": "x", "charset": "UTF-8"})]),
        (["", ",,, ", '"', "realm=x", "= =", 'Bearer realm="never closed'], [("bearer", {})]),
    ],
)
def test_parses_the_challenges(values: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(found.scheme, dict(found.parameters)) for found in parse_challenges(values)] == expected


@given(st.lists(st.text('ab=," \\\t', max_size=300) | st.text(max_size=300), max_size=4))
def test_never_raises(values: list[str]) -> None:
    for found in parse_challenges(values):
        assert found.scheme == found.scheme.lower() != ""


TOKENS = st.text("abcXYZ019-._~", min_size=1, max_size=8)


@given(
    st.lists(
        st.tuples(TOKENS, st.dictionaries(TOKENS.map(str.lower), st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=4)),
        max_size=5,
    ),
    st.booleans(),
)
def test_parses_any_well_formed_challenge(given_: list[tuple[str, dict[str, str]]], together: bool) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    texts = [f"{scheme} {', '.join(f'{key}={quoted(value)}' for key, value in values.items())}".strip() for scheme, values in given_]
    found = parse_challenges([", ".join(texts)] if together else texts)
    assert [(one.scheme, dict(one.parameters)) for one in found] == [(scheme.lower(), values) for scheme, values in given_]


def test_parses_long_malformed_fields_quickly() -> None:
    # Without a length limit, or with patterns that backtrack, these take hours.
    for text in ('"', "a ", 'a="', '\\"', "a=\\", "Bearer a=b ", ",", " ", 'a=" ', 'a="\\', "a"):
        parse_challenges([text * 1_000_000])


def test_merges_and_describes_scopes() -> None:
    assert merge_scopes(["repository:a:pull", "repository:host:5000/a:pull", "repository:a:push,pull"]) == (
        "repository:a:pull,push",
        "repository:host:5000/a:pull",
    )
    assert merge_scopes(["", "x", ":", "a:b c:pull", 'a"b:pull', "ä:pull", "a\r\nb:pull", "registry:catalog:*"]) == ("registry:catalog:*",)
    assert len(merge_scopes(f"repository:{n}:pull" for n in range(1000))) == 32
    assert covers(["repository:a:pull,push"], ["repository:a:pull"])
    assert covers(["repository:a:pull"], [])
    assert not covers(["repository:a:pull"], ["repository:a:push"])
    assert not covers([], ["repository:a:pull"])
    assert describe_scopes(["repository:a:pull,push", "repository:b:pull"]) == "pull and push of a, pull of b"
