"""References: docker's familiar names, and common mistakes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.digests import digest

from shipwheel.errors import UsageError
from shipwheel.oci.reference import Reference

SHA = digest("sha256:" + "0123456789abcdef" * 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app", Reference("app")),
        ("app:1.0", Reference("app", tag="1.0")),
        ("team/app", Reference("team/app")),
        ("localhost/app", Reference("app", "localhost")),
        ("localhost:5000/app:v1", Reference("app", "localhost:5000", "v1")),
        ("registry.example/team/app", Reference("team/app", "registry.example")),
        ("Registry/app", Reference("app", "Registry")),
        ("[::1]:5000/app:v1", Reference("app", "[::1]:5000", "v1")),
        ("127.0.0.1:5000/a/b/c@" + SHA, Reference("a/b/c", "127.0.0.1:5000", None, SHA)),
        ("app:1@" + SHA, Reference("app", None, "1", SHA)),
        ("a__b/c-d/e--f/g.h:_x", Reference("a__b/c-d/e--f/g.h", tag="_x")),
    ],
)
def test_parses_every_form(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "lower-case"),
        ("App", "'app'"),
        ("team/App:1", "'team/app'"),
        ("app:", "tag"),
        ("app:.1", "tag"),
        ("app:" + "x" * 129, "tag"),
        ("app@sha256:abc", "64"),
        ("app@" + SHA.upper(), "64"),
        ("app@md5:0", "64"),
        ("app:1@md5:0", "64"),
        ("a//b", "lower-case"),
        ("/app", "lower-case"),
        ("app/", "lower-case"),
        ("-app", "lower-case"),
        ("a_-b", "lower-case"),
        ("a___b", "lower-case"),
        ("app name", "lower-case"),
        ("../app", "host name"),
        ("a..b/app", "host name"),
        ("host:port/app", "host name"),
        ("0" * 64, "digest"),
        ("x" * 256, "shorter"),
        ("registry.example/" + "x/" * 130 + "x", "shorter"),
    ],
)
def test_rejects_mistakes_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text", ["https://user:secret@registry.example/app:1", "user:secret@registry.example/app", "http://registry.example/app?token=secret"]
)
def test_never_repeats_a_password(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "path"),
    [("app", "/library/app:latest"), ("team/app:1", "/team/app:1"), ("app:1@" + SHA, "/library/app:1")],
)
def test_the_full_name_of_a_short_one(text: str, path: str) -> None:
    registry, slash, rest = Reference.parse(text).full.partition("/")
    assert "." in registry
    assert slash + rest == path
    assert Reference.parse(Reference.parse(text).full).full == Reference.parse(text).full


def test_a_name_with_a_registry_is_already_full() -> None:
    assert Reference.parse("localhost:5000/app").full == "localhost:5000/app:latest"


component = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
references = st.builds(
    Reference,
    repository=st.lists(component, min_size=1, max_size=3).map("/".join),
    registry=st.sampled_from([None, "localhost", "localhost:5000", "registry.example", "r.example:443", "[::1]:80"]),
    tag=st.none() | st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True),
    digest=st.sampled_from([None, SHA]),
)


@given(reference=references)
def test_parses_what_it_prints(reference: Reference) -> None:
    if reference.registry is None and "/" in reference.repository and "." in reference.repository.partition("/")[0]:
        return  # its first part reads as a registry, to docker as well
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        found = Reference.parse(text)
    except UsageError as error:
        assert error.hint
    else:
        assert Reference.parse(str(found)) == found
