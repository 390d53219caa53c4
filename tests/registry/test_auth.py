"""Authorization against a token server: what is sent to whom, how often, and what is never sent."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from shipwheel.errors import FetchError
from shipwheel.registry.auth import Authorizer
from shipwheel.registry.credentials import Credential
from shipwheel.registry.hosts import Host, client, host_of
from shipwheel.testing.token_server import TokenServer

SCOPE = ("repository:team/app:pull,push",)
ANN = Credential("ann", "s3cret:with:colons", source="a test")


def get_root(host: Host, authorizer: Authorizer, scopes: tuple[str, ...] = (), ask: str = "") -> httpx.Response:
    """Request the API's root as the transport does, with a few challenges at most."""
    with client(host) as asked:
        for _ in range(5):
            sent = authorizer.header(scopes)
            response = asked.get(f"{host.url}/v2/", params={"scope": ask} if ask else {}, headers={"Authorization": sent} if sent else {})
            if response.status_code != 401 or not authorizer.challenged(response, scopes, sent):
                return response
    raise AssertionError("too many challenges")


def test_sends_basic_credentials_after_a_challenge() -> None:
    with TokenServer({"ann": ANN.password}, basic=True) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        assert authorizer.header(SCOPE) is None
        assert get_root(host, authorizer, SCOPE).status_code == 200
        assert get_root(host, authorizer, SCOPE).status_code == 200
        assert [bool(asked.authorization) for asked in server.requests] == [False, True, True]


def test_tries_a_wrong_password_once() -> None:
    with TokenServer({"ann": "other"}, basic=True) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match=r"denies pull and push of team/app to user 'ann' \(from a test\)") as caught:
            get_root(host, Authorizer(host, ANN), SCOPE)
        assert caught.value.status == 401
        assert f"shipwheel login {server.host}" in caught.value.hint
        assert ANN.password not in caught.value.message + caught.value.hint
        assert len(server.requests) == 2


def test_asks_an_anonymous_user_to_log_in() -> None:
    with TokenServer(basic=True) as server, pytest.raises(FetchError, match=r"requires a login for pull of a") as caught:
        get_root(host_of(server.host), Authorizer(host_of(server.host), None), ("repository:a:pull",))
    assert caught.value.hint == f"Log in: shipwheel login {server.host}."
    with TokenServer() as server, pytest.raises(FetchError, match=r"requires a user name and password for pull of a") as caught:
        get_root(host_of(server.host), Authorizer(host_of(server.host), None), ("repository:a:pull",))
    assert caught.value.status == 401


def test_gets_a_token_with_a_user_name_and_password() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        mount = ("repository:team/app:pull,push", "repository:other/base:pull")
        assert get_root(host, authorizer, mount).status_code == 200
        (asked,) = server.token_requests
        assert asked.method == "GET"
        assert asked.fields == (("service", server.service), ("client_id", "shipwheel"), ("scope", mount[0]), ("scope", mount[1]))
        # A token for more scopes serves fewer.
        assert get_root(host, authorizer, ("repository:other/base:pull",)).status_code == 200
        assert len(server.token_requests) == 1
        assert get_root(host, authorizer, ("repository:third:pull",)).status_code == 200
        assert len(server.token_requests) == 2


def test_gets_a_token_with_an_identity_token() -> None:
    with TokenServer(identities={"identity-1": "ann"}) as server:
        host = host_of(server.host)
        assert get_root(host, Authorizer(host, Credential(identity_token="identity-1")), SCOPE).status_code == 200
        (asked,) = server.token_requests
        assert (asked.method, asked.authorization) == ("POST", "")
        assert dict(asked.fields) == {
            "grant_type": "refresh_token",
            "refresh_token": "identity-1",
            "service": server.service,
            "client_id": "shipwheel",
            "scope": SCOPE[0],
        }
        with pytest.raises(FetchError, match=r"refuses the identity token") as caught:
            get_root(host, Authorizer(host, Credential(identity_token="identity-2")), SCOPE)
        assert "identity-2" not in caught.value.message + caught.value.hint


def test_gets_an_anonymous_token() -> None:
    with TokenServer(anonymous=True) as server:
        host = host_of(server.host)
        assert get_root(host, Authorizer(host, None), ("repository:a:pull",)).status_code == 200
        assert server.token_requests[0].authorization == ""


def test_sends_a_registry_token_as_it_is() -> None:
    with TokenServer() as server:
        host = host_of(server.host)
        token = server.token_for("ann", [])["token"]
        assert get_root(host, Authorizer(host, Credential(registry_token=token))).status_code == 200
        assert server.token_requests == []


def test_requests_the_challenge_s_scopes_as_well() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        assert get_root(host, Authorizer(host, ANN), (), ask="registry:catalog:*").status_code == 200
        assert ("scope", "registry:catalog:*") in server.token_requests[0].fields


def test_renews_a_revoked_token() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        for number in range(1, 4):
            assert get_root(host, authorizer, SCOPE).status_code == 200
            assert get_root(host, authorizer, SCOPE).status_code == 200
            assert len(server.token_requests) == number
            server.revoke()


def test_does_not_use_an_expired_token() -> None:
    now = [1000.0]
    for lifetime, still, over in ((300, 289.0, 291.0), (None, 49.0, 51.0), (5, 3.9, 4.1), (-1, 49.0, 51.0)):
        with TokenServer({"ann": ANN.password}, lifetime=lifetime) as server:
            host = host_of(server.host)
            authorizer = Authorizer(host, ANN, lambda: now[0])
            assert get_root(host, authorizer, SCOPE).status_code == 200
            begin = now[0]
            now[0] = begin + still
            assert authorizer.header(SCOPE)
            now[0] = begin + over
            assert authorizer.header(SCOPE) is None


def test_stops_when_the_user_lacks_permission() -> None:
    with TokenServer({"ann": ANN.password}, rights={"ann": {"repository:team/app:pull"}}) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match="denies pull and push of team/app to user 'ann'") as caught:
            get_root(host, Authorizer(host, ANN), SCOPE, ask="repository:team/app:push")
        assert caught.value.status == 401
        assert len(server.token_requests) == 2


def test_tells_a_wrong_password_from_a_missing_permission() -> None:
    with TokenServer({"ann": "other"}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        with pytest.raises(FetchError, match=r"refuses the user name and password of 'ann'") as caught:
            get_root(host, authorizer, SCOPE)
        assert caught.value.status == 401
        with pytest.raises(FetchError, match="refuses the user name"):
            get_root(host, authorizer, ("repository:b:pull",))
        assert len(server.token_requests) == 1, "a wrong password is sent once"
    with TokenServer({"ann": ANN.password}, statuses=[403]) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match="issues no token to user 'ann' for pull and push of team/app") as caught:
            get_root(host, Authorizer(host, ANN), SCOPE)
        assert caught.value.status == 403


def test_retries_transient_errors_of_the_token_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.tokens.time.sleep", lambda seconds: None)
    with TokenServer({"ann": ANN.password}, statuses=[503, 429]) as server:
        host = host_of(server.host)
        assert get_root(host, Authorizer(host, ANN), SCOPE).status_code == 200
    with TokenServer({"ann": ANN.password}, statuses=[503] * 9) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match=r"issued no token for .*: the server answered 503"):
            get_root(host, Authorizer(host, ANN), SCOPE)
        assert len(server.token_requests) == 4
    for status in (302, 404, 418):
        with TokenServer({"ann": ANN.password}, statuses=[status]) as server, pytest.raises(FetchError, match=f"status {status}"):
            get_root(host_of(server.host), Authorizer(host_of(server.host), ANN), SCOPE)


def test_threads_share_one_token_request() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        together = threading.Barrier(8)

        def one(_: int) -> int:
            together.wait()
            return get_root(host, authorizer, SCOPE).status_code

        for number in (1, 2):
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(one, range(8))) == [200] * 8
            assert len(server.token_requests) == number
            server.revoke()


def test_looks_for_the_credential_once_and_only_after_a_challenge() -> None:
    looked = []

    def find() -> Credential:
        looked.append(1)
        return ANN

    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, find)
        assert authorizer.header(SCOPE) is None
        assert not looked
        assert get_root(host, authorizer, SCOPE).status_code == 200
        assert get_root(host, authorizer, ("repository:b:pull",)).status_code == 200
        assert len(looked) == 1


def refusal(url: str, *challenges: str) -> httpx.Response:
    return httpx.Response(401, headers=[("WWW-Authenticate", text) for text in challenges], request=httpx.Request("GET", url))


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example/token",
        "http://127.0.0.1:1/token",
        "http://localhost:1/token",
        "ftp://auth.example/token",
        "//auth.example/token",
        "/token",
        "https://",
        "https://user@auth.example/token",
        "https://auth.example:99999/token",
        "https://[::1/token",
        "",
    ],
)
def test_sends_nothing_to_an_unsafe_token_server(realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpx.Client.send", lambda *_, **__: pytest.fail("a request was sent"))
    host = host_of("registry.example")
    with pytest.raises(FetchError):
        Authorizer(host, ANN).challenged(refusal("https://registry.example/v2/", f'Bearer realm="{realm}",service="x"'), SCOPE, None)


def test_sends_no_credentials_to_another_server() -> None:
    host = host_of("registry.example")
    for url in (
        "https://storage.example/v2/",
        "http://registry.example/v2/",
        "https://registry.example:444/",
        "https://registry.example.org/",
    ):
        authorizer = Authorizer(host, ANN)
        with pytest.raises(FetchError, match="redirected to a server"):
            authorizer.challenged(refusal(url, "Basic realm=x"), SCOPE, None)
        assert authorizer.header(SCOPE) is None
    assert Authorizer(host_of("registry.example:443"), ANN).challenged(refusal("https://registry.example/v2/", "Basic realm=x"), (), None)


def test_prefers_tokens_and_names_unsupported_schemes() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        assert authorizer.challenged(refusal(f"{host.url}/v2/", "Basic realm=x, Negotiate", server.challenge()), SCOPE, None)
        assert str(authorizer.header(SCOPE)).startswith("Bearer ")
    authorizer = Authorizer(host_of("registry.example"), ANN)
    with pytest.raises(FetchError, match="does not support: digest, negotiate"):
        authorizer.challenged(refusal("https://registry.example/v2/", "Negotiate, Digest realm=x"), (), None)
    with pytest.raises(FetchError, match="without naming a scheme"):
        authorizer.challenged(refusal("https://registry.example/v2/"), (), None)
    with pytest.raises(FetchError, match="denies access to a token"):
        Authorizer(host_of("registry.example"), Credential(identity_token="x")).challenged(
            refusal("https://registry.example/v2/", "Basic realm=x"), (), None
        )


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"token": 3}', b'{"token": "a b"}', b'{"token": "a\\r\\nX:y"}', b"{" * 9999, b"x" * 2_000_000]
)
def test_rejects_malformed_token_responses(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda self, request: httpx.Response(200, content=answer))
    with pytest.raises(FetchError, match=r"issued no token for registry.example"):
        Authorizer(host_of("registry.example"), ANN).challenged(
            refusal("https://registry.example/v2/", 'Bearer realm="https://auth.example/token"'), SCOPE, None
        )


def test_representations_hide_secrets() -> None:
    credential = Credential("ann", "hidden-1", "hidden-2", "hidden-3", "here")
    with TokenServer({"ann": ANN.password}) as server:
        authorizer = Authorizer(host_of(server.host), ANN)
        get_root(host_of(server.host), authorizer, SCOPE)
        shown = repr((credential, authorizer, authorizer._tokens))
        assert "ann" in shown
        assert "hidden" not in shown
        assert str(authorizer.header(SCOPE)).removeprefix("Bearer ") not in shown


FOREIGN = (*SCOPE, "repository:other/base:pull")
"""The scopes of a mount from a repository that the user may not read."""


def test_a_token_refused_for_a_foreign_repository_ends_no_other_scope() -> None:
    """Some token servers answer 401 where others grant less than was asked for."""
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        assert get_root(host, authorizer, SCOPE).status_code == 200
        server.statuses[:] = [401]
        for _ in range(3):
            with pytest.raises(FetchError, match="refuses the user name and password") as caught:
                get_root(host, authorizer, FOREIGN)
            assert caught.value.status == 401
        assert len(server.token_requests) == 2, "the mount of the next blob does not ask again"
        assert get_root(host, authorizer, ("repository:third:pull",)).status_code == 200
        server.revoke()
        assert get_root(host, authorizer, SCOPE).status_code == 200


@pytest.mark.parametrize("insufficient", [True, False])
def test_a_denied_mount_does_not_count_against_the_next_request(insufficient: bool) -> None:
    with TokenServer(
        {"ann": ANN.password}, rights={"ann": {f"{SCOPE[0].rpartition(':')[0]}:{action}" for action in ("pull", "push")}}
    ) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        assert get_root(host, authorizer, SCOPE).status_code == 200
        with pytest.raises(FetchError, match="denies pull and push of team/app, pull of other/base"):
            get_root(host, authorizer, FOREIGN, ask="repository:other/base:pull")
        if insufficient:
            server.revoke()
        assert get_root(host, authorizer, SCOPE).status_code == 200
