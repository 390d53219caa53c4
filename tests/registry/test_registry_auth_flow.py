"""Authorisation: what goes where, how often, and what never does."""

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
ANN = Credential("ann", "s3cret:with:colons", origin="a test")


def page(host: Host, authorizer: Authorizer, scopes: tuple[str, ...] = (), ask: str = "") -> httpx.Response:
    """As a transport does it: at most a few challenges for one request."""
    with client(host) as asked:
        for _ in range(5):
            sent = authorizer.header(scopes)
            response = asked.get(f"{host.url}/v2/", params={"scope": ask} if ask else {}, headers={"Authorization": sent} if sent else {})
            if response.status_code != 401 or not authorizer.challenged(response, scopes, sent):
                return response
    raise AssertionError("challenged without end")


def test_basic() -> None:
    with TokenServer({"ann": ANN.password}, basic=True) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        assert authorizer.header(SCOPE) is None
        assert page(host, authorizer, SCOPE).status_code == 200
        assert page(host, authorizer, SCOPE).status_code == 200
        assert [bool(asked.authorization) for asked in server.asked] == [False, True, True]


def test_a_password_that_is_refused_is_tried_once() -> None:
    with TokenServer({"ann": "other"}, basic=True) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match=r"refuses pull and push of team/app to user 'ann' \(from a test\)") as caught:
            page(host, Authorizer(host, ANN), SCOPE)
        assert caught.value.status == 401
        assert f"shipwheel login {server.host}" in caught.value.hint
        assert ANN.password not in caught.value.message + caught.value.hint
        assert len(server.asked) == 2


def test_nobody_is_told_to_log_in() -> None:
    with TokenServer(basic=True) as server, pytest.raises(FetchError, match=r"wants to know who you are for pull of a") as caught:
        page(host_of(server.host), Authorizer(host_of(server.host), None), ("repository:a:pull",))
    assert caught.value.hint == f"Log in: shipwheel login {server.host}."
    with TokenServer() as server, pytest.raises(FetchError, match=r"wants a user name and a password for pull of a") as caught:
        page(host_of(server.host), Authorizer(host_of(server.host), None), ("repository:a:pull",))
    assert caught.value.status == 401


def test_token_with_user_and_password() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        mount = ("repository:team/app:pull,push", "repository:other/base:pull")
        assert page(host, authorizer, mount).status_code == 200
        (asked,) = server.token_requests
        assert asked.method == "GET"
        assert asked.fields == (("service", server.service), ("client_id", "shipwheel"), ("scope", mount[0]), ("scope", mount[1]))
        # One that was asked for more does for less.
        assert page(host, authorizer, ("repository:other/base:pull",)).status_code == 200
        assert len(server.token_requests) == 1
        assert page(host, authorizer, ("repository:third:pull",)).status_code == 200
        assert len(server.token_requests) == 2


def test_identity_token() -> None:
    with TokenServer(identities={"identity-1": "ann"}) as server:
        host = host_of(server.host)
        assert page(host, Authorizer(host, Credential(identity_token="identity-1")), SCOPE).status_code == 200
        (asked,) = server.token_requests
        assert (asked.method, asked.authorization) == ("POST", "")
        assert dict(asked.fields) == {
            "grant_type": "refresh_token",
            "refresh_token": "identity-1",
            "service": server.service,
            "client_id": "shipwheel",
            "scope": SCOPE[0],
        }
        with pytest.raises(FetchError, match=r"the identity token .* is refused") as caught:
            page(host, Authorizer(host, Credential(identity_token="identity-2")), SCOPE)
        assert "identity-2" not in caught.value.message + caught.value.hint


def test_anonymous_token() -> None:
    with TokenServer(anonymous=True) as server:
        host = host_of(server.host)
        assert page(host, Authorizer(host, None), ("repository:a:pull",)).status_code == 200
        assert server.token_requests[0].authorization == ""


def test_registry_token_goes_as_it_is() -> None:
    with TokenServer() as server:
        host = host_of(server.host)
        token = server.token_for("ann", [])["token"]
        assert page(host, Authorizer(host, Credential(registry_token=token))).status_code == 200
        assert server.token_requests == []


def test_what_the_challenge_says_is_asked_for_as_well() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        assert page(host, Authorizer(host, ANN), (), ask="registry:catalog:*").status_code == 200
        assert ("scope", "registry:catalog:*") in server.token_requests[0].fields


def test_a_token_that_ended_is_renewed_each_time() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        for number in range(1, 4):
            assert page(host, authorizer, SCOPE).status_code == 200
            assert page(host, authorizer, SCOPE).status_code == 200
            assert len(server.token_requests) == number
            server.revoke()


def test_time_ends_a_token() -> None:
    now = [1000.0]
    for lifetime, still, over in ((300, 289.0, 291.0), (None, 49.0, 51.0), (5, 3.9, 4.1), (-1, 49.0, 51.0)):
        with TokenServer({"ann": ANN.password}, lifetime=lifetime) as server:
            host = host_of(server.host)
            authorizer = Authorizer(host, ANN, lambda: now[0])
            assert page(host, authorizer, SCOPE).status_code == 200
            begin = now[0]
            now[0] = begin + still
            assert authorizer.header(SCOPE)
            now[0] = begin + over
            assert authorizer.header(SCOPE) is None


def test_a_right_that_the_user_lacks_is_said_and_not_tried_for_ever() -> None:
    with TokenServer({"ann": ANN.password}, rights={"ann": {"repository:team/app:pull"}}) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match="refuses pull and push of team/app to user 'ann'") as caught:
            page(host, Authorizer(host, ANN), SCOPE, ask="repository:team/app:push")
        assert caught.value.status == 401
        assert len(server.token_requests) == 2


def test_401_and_403_of_the_token_server_are_told_apart() -> None:
    with TokenServer({"ann": "other"}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        with pytest.raises(FetchError, match=r"user name and password of 'ann' .* is refused by") as caught:
            page(host, authorizer, SCOPE)
        assert caught.value.status == 401
        with pytest.raises(FetchError, match="is refused by"):
            page(host, authorizer, ("repository:b:pull",))
        assert len(server.token_requests) == 1, "a wrong password is sent once"
    with TokenServer({"ann": ANN.password}, statuses=[403]) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match="gives user 'ann' no token for pull and push of team/app") as caught:
            page(host, Authorizer(host, ANN), SCOPE)
        assert caught.value.status == 403


def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.tokens.time.sleep", lambda seconds: None)
    with TokenServer({"ann": ANN.password}, statuses=[503, 429]) as server:
        host = host_of(server.host)
        assert page(host, Authorizer(host, ANN), SCOPE).status_code == 200
    with TokenServer({"ann": ANN.password}, statuses=[503] * 9) as server:
        host = host_of(server.host)
        with pytest.raises(FetchError, match=r"gives no token for .*: the server answered 503"):
            page(host, Authorizer(host, ANN), SCOPE)
        assert len(server.token_requests) == 4
    for status in (302, 404, 418):
        with TokenServer({"ann": ANN.password}, statuses=[status]) as server, pytest.raises(FetchError, match=f"it answered {status}"):
            page(host_of(server.host), Authorizer(host_of(server.host), ANN), SCOPE)


def test_threads_ask_for_one_token() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        together = threading.Barrier(8)

        def one(_: int) -> int:
            together.wait()
            return page(host, authorizer, SCOPE).status_code

        for number in (1, 2):
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(one, range(8))) == [200] * 8
            assert len(server.token_requests) == number
            server.revoke()


def test_the_credential_is_looked_for_when_it_is_asked_for_and_once() -> None:
    looked = []

    def find() -> Credential:
        looked.append(1)
        return ANN

    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, find)
        assert authorizer.header(SCOPE) is None
        assert not looked
        assert page(host, authorizer, SCOPE).status_code == 200
        assert page(host, authorizer, ("repository:b:pull",)).status_code == 200
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
def test_a_remote_registry_leads_nowhere_unsafe(realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpx.Client.send", lambda *_, **__: pytest.fail("something was sent"))
    host = host_of("registry.example")
    with pytest.raises(FetchError):
        Authorizer(host, ANN).challenged(refusal("https://registry.example/v2/", f'Bearer realm="{realm}",service="x"'), SCOPE, None)


def test_another_server_gets_no_credentials() -> None:
    host = host_of("registry.example")
    for url in (
        "https://storage.example/v2/",
        "http://registry.example/v2/",
        "https://registry.example:444/",
        "https://registry.example.org/",
    ):
        authorizer = Authorizer(host, ANN)
        with pytest.raises(FetchError, match="another server"):
            authorizer.challenged(refusal(url, "Basic realm=x"), SCOPE, None)
        assert authorizer.header(SCOPE) is None
    assert Authorizer(host_of("registry.example:443"), ANN).challenged(refusal("https://registry.example/v2/", "Basic realm=x"), (), None)


def test_tokens_before_basic_and_unknown_kinds_are_named() -> None:
    with TokenServer({"ann": ANN.password}) as server:
        host = host_of(server.host)
        authorizer = Authorizer(host, ANN)
        assert authorizer.challenged(refusal(f"{host.url}/v2/", "Basic realm=x, Negotiate", server.challenge()), SCOPE, None)
        assert str(authorizer.header(SCOPE)).startswith("Bearer ")
    authorizer = Authorizer(host_of("registry.example"), ANN)
    with pytest.raises(FetchError, match="does not know: digest, negotiate"):
        authorizer.challenged(refusal("https://registry.example/v2/", "Negotiate, Digest realm=x"), (), None)
    with pytest.raises(FetchError, match="does not say which"):
        authorizer.challenged(refusal("https://registry.example/v2/"), (), None)
    with pytest.raises(FetchError, match="refuses access to a token"):
        Authorizer(host_of("registry.example"), Credential(identity_token="x")).challenged(
            refusal("https://registry.example/v2/", "Basic realm=x"), (), None
        )


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"token": 3}', b'{"token": "a b"}', b'{"token": "a\\r\\nX:y"}', b"{" * 9999, b"x" * 2_000_000]
)
def test_hostile_answers(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda self, request: httpx.Response(200, content=answer))
    with pytest.raises(FetchError, match=r"gives no token for registry.example"):
        Authorizer(host_of("registry.example"), ANN).challenged(
            refusal("https://registry.example/v2/", 'Bearer realm="https://auth.example/token"'), SCOPE, None
        )


def test_nothing_shows_its_secrets() -> None:
    credential = Credential("ann", "hidden-1", "hidden-2", "hidden-3", "here")
    with TokenServer({"ann": ANN.password}) as server:
        authorizer = Authorizer(host_of(server.host), ANN)
        page(host_of(server.host), authorizer, SCOPE)
        shown = repr((credential, authorizer, authorizer._known))
        assert "ann" in shown
        assert "hidden" not in shown
        assert str(authorizer.header(SCOPE)).removeprefix("Bearer ") not in shown
