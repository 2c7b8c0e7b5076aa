"""Verifying against an issuer that rotates, fails, lies and disappears; in threads, in asyncio, and after a fork."""

import asyncio
import base64
import json
import os
import select
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from clock import Clock
from issuer import Issuer
from web import Web, send

from flagbearer import Flagbearer, FlagbearerError, FlagSet
from flagbearer.testing import TestIssuer


def refused(code: str, work: Any) -> None:
    with pytest.raises(FlagbearerError) as error:
        work()
    assert error.value.code == code, str(error.value)
    assert str(error.value)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_token_that_another_library_signed_is_verified(issuer: Issuer, reader: Flagbearer, algorithm: str) -> None:
    issuer.rotate(algorithm)
    for flags in (reader.verify(issuer.token()), asyncio.run(reader.averify(issuer.token()))):
        assert flags.get_boolean_flag("new_ai_model", False) is True
        assert (flags.claims["sub"], flags.organization, flags.flags_revision) == ("user_1", "org_1", 41)
    assert issuer.urls == ["/.well-known/jwks.json"]


NO_TOKENS: list[Any] = [
    None, "", " ", "garbage", "a.b.c", 0, 1.5, True, {}, [], ["a"], object(), b"a.b.c", bytearray(b"a.b.c"), str,
    "\0", "\ud800", "a.\ud800.c", "é" * 1000, "a" * 1_000_000, "a." * 500_000, "." * 1_000_000,
]  # fmt: skip


@pytest.mark.parametrize("token", NO_TOKENS, ids=lambda token: repr(token)[:20])
def test_whatever_is_not_a_token_is_malformed_and_nothing_is_fetched_for_it(issuer: Issuer, reader: Flagbearer, token: Any) -> None:
    refused("TOKEN_MALFORMED", lambda: reader.verify(token))
    refused("TOKEN_MALFORMED", lambda: asyncio.run(reader.averify(token)))
    assert issuer.urls == []


def test_forged_and_foreign_tokens_are_refused(issuer: Issuer, reader: Flagbearer) -> None:
    good, other = issuer.token(), Issuer()
    header, payload, signature = good.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"typ": "at+jwt", "alg": "none", "kid": issuer.kid}).encode()).decode().rstrip("=")
    refused("ALGORITHM_UNSUPPORTED", lambda: reader.verify(f"{none}.{payload}."))
    hmac = jwt.encode({"iss": issuer.url}, issuer.jwk["x"] * 2, "HS256", {"typ": "at+jwt", "kid": issuer.kid})
    refused("ALGORITHM_UNSUPPORTED", lambda: reader.verify(hmac))
    refused("SIGNATURE_INVALID", lambda: reader.verify(f"{header}.{payload}.{signature[:-4]}AAAA"))
    refused("KEY_UNKNOWN", lambda: reader.verify(other.token(iss=issuer.url)))
    refused("SIGNATURE_INVALID", lambda: reader.verify(other.token({"kid": issuer.kid}, iss=issuer.url)))
    refused("ISSUER_MISMATCH", lambda: reader.verify(issuer.token(iss=other.url)))
    refused("AUDIENCE_MISMATCH", lambda: reader.verify(issuer.token(aud="other")))
    refused("TOKEN_EXPIRED", lambda: reader.verify(issuer.token(exp=1_700_000_000)))
    refused("TYPE_INVALID", lambda: reader.verify(issuer.token({"typ": "JWT"})))
    other.stop()


def test_the_same_token_expires_and_is_refused_though_it_was_good(issuer: Issuer, reader: Flagbearer, clock: Clock) -> None:
    token = issuer.token()
    flags = reader.verify(token)
    assert reader.verify(token.encode().decode()) is flags, "it is not verified twice"
    clock.ahead = 299
    reader.verify(token)
    clock.ahead = 306
    refused("TOKEN_EXPIRED", lambda: reader.verify(token))
    clock.ahead = 0
    reader.verify(token)


def test_a_clock_that_is_five_minutes_off_is_told_of(issuer: Issuer, reader: Flagbearer, clock: Clock) -> None:
    now = int(time.time())
    token = issuer.token(iat=now, nbf=now, exp=now + 240)
    clock.ahead = 300
    with pytest.raises(FlagbearerError, match=r"expired (59|60|61) s ago by this clock; .*compare the clocks") as error:
        reader.verify(token)
    assert error.value.code == "TOKEN_EXPIRED"
    clock.ahead = -300
    with pytest.raises(FlagbearerError, match=r"valid in (299|300|301) s by this clock; compare the clocks") as error:
        reader.verify(token)
    assert error.value.code == "TOKEN_NOT_YET_VALID"


def test_three_rotations_refuse_no_token_of_the_new_key_nor_of_the_one_before(issuer: Issuer, reader: Flagbearer, clock: Clock) -> None:
    reader.verify(issuer.token())
    for rotation, algorithm in enumerate(["ES256", "RS256", "EdDSA"], 1):
        former, unseen = issuer.jwks["keys"][0], issuer.token(jti="token_2")
        issuer.rotate(algorithm)
        issuer.jwks["keys"].append(former)
        clock.ahead = 31 * rotation
        for token in [issuer.token(), unseen]:
            reader.verify(token)
    assert len(issuer.urls) == 4


def test_ten_thousand_unknown_keys_cause_one_fetch_in_the_cool_down(issuer: Issuer, reader: Flagbearer) -> None:
    reader.verify(issuer.token())
    token = issuer.token({"kid": "0"})
    _, payload, signature = token.split(".")
    for i in range(10_000):
        header = json.dumps({"typ": "at+jwt", "alg": "EdDSA", "kid": f"unknown_{i}"}).encode()
        forged = f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.{payload}.{signature}"
        refused("KEY_UNKNOWN", lambda forged=forged: reader.verify(forged))
    assert len(issuer.urls) == 2


def test_keys_serve_on_while_the_server_is_down_and_are_refreshed_when_it_is_back(
    issuer: Issuer, reader: Flagbearer, clock: Clock
) -> None:
    token = issuer.token(exp=int(time.time()) + 100 * 3600)
    reader.verify(token)
    issuer.answer = lambda request: send(request, 503, b"")  # type: ignore[method-assign]
    for hours in (0.1, 1.0, 12.0, 23.0):
        clock.ahead = hours * 3600
        reader.verify(token)
    del issuer.answer  # type: ignore[method-assign]
    before, deadline = len(issuer.urls), time.monotonic() + 10
    clock.ahead += 60
    while len(issuer.urls) == before and time.monotonic() < deadline:
        reader.verify(token)
    assert len(issuer.urls) == before + 1


def test_keys_serve_on_when_the_server_is_gone(issuer: Issuer, reader: Flagbearer, clock: Clock) -> None:
    known, *unseen = (issuer.token(jti=f"token_{i}", exp=int(time.time()) + 100 * 3600) for i in range(4))
    reader.verify(known)
    issuer.stop()
    for hours, token in zip((0.1, 1.0, 23.0), unseen, strict=True):
        clock.ahead = hours * 3600
        for one in (token, known):
            assert reader.verify(one).get_boolean_flag("new_ai_model", False)
    clock.ahead = 25 * 3600
    refused("KEYS_UNAVAILABLE", lambda: reader.verify(known))


def endless(request: Any) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def broken_off(request: Any) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"keys":[]}')


BAD_ANSWERS = {
    "a status other than 200": (lambda request: send(request, 404, b""), "status 200"),
    "a redirect": (lambda request: send(request, 302, b"", Location="/elsewhere"), "redirects not followed"),
    "a page": (lambda request: send(request, 200, b"<html>"), "no set of keys"),
    "nothing": (lambda request: send(request, 200, b""), "no set of keys"),
    "no keys": (lambda request: send(request, 200, {"keys": []}), "no set of keys"),
    "a body that does not end": (endless, "1 MiB"),
    "a body that breaks off": (broken_off, "status 200"),
    "a connection that breaks off": (lambda request: request.connection.close(), "status 200"),
}


@pytest.mark.parametrize(("answer", "why"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_makes_keys_unavailable_and_the_server_is_not_asked_again_at_once(
    issuer: Issuer, reader: Flagbearer, answer: Any, why: str
) -> None:
    issuer.answer = answer  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(FlagbearerError, match=why) as error:
            reader.verify(issuer.token())
        assert error.value.code == "KEYS_UNAVAILABLE"
    assert issuer.urls == ["/.well-known/jwks.json"]


@pytest.mark.parametrize("error", [OSError, SystemExit, asyncio.CancelledError])
def test_whatever_a_fetch_raises_ends_nobody(error: type[BaseException]) -> None:
    def fetch(url: str) -> bytes:
        raise error

    issuer = TestIssuer()
    reader = Flagbearer(issuer=ISSUER, audience="app", fetch=fetch)
    refused("KEYS_UNAVAILABLE", lambda: reader.verify(issuer.token()))
    refused("KEYS_UNAVAILABLE", lambda: reader.verify(issuer.token()))


MOST = 1024 * 1024


def test_an_answer_may_have_a_mebibyte_and_not_a_byte_more(issuer: Issuer) -> None:
    for size, code in [(MOST, None), (MOST + 1, "KEYS_UNAVAILABLE")]:
        body = json.dumps(issuer.jwks).encode().ljust(size)
        issuer.answer = lambda request, body=body: send(request, 200, body)  # type: ignore[misc]
        for options in ({}, {"fetch": lambda url, body=body: body}):
            reader = Flagbearer(issuer=issuer.url, audience="api", **options)
            try:
                assert reader.verify(issuer.token()) and code is None
            except FlagbearerError as error:
                assert error.code == code, str(error)


def test_a_body_that_is_longer_is_not_read_to_its_end(issuer: Issuer, reader: Flagbearer) -> None:
    sent, hung_up = 0, threading.Event()

    def answer(request: Any) -> None:
        nonlocal sent
        request.send_response(200)
        request.end_headers()
        request.wfile.write(json.dumps(issuer.jwks).encode())
        try:
            # Far more than what waits between two sockets.
            while sent < 64 * MOST:
                sent += request.wfile.write(b" " * 65536)
        except OSError:
            hung_up.set()

    issuer.answer = answer  # type: ignore[method-assign]
    refused("KEYS_UNAVAILABLE", lambda: reader.verify(issuer.token()))
    assert hung_up.wait(20), f"{sent} bytes were read"


DISCOVERY = "/.well-known/openid-configuration"


@pytest.mark.parametrize("moved", [DISCOVERY, "/keys"])
def test_no_redirect_leads_a_reader_elsewhere(issuer: Issuer, moved: str) -> None:
    elsewhere = Web()
    answers = {DISCOVERY: {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}, "/keys": issuer.jwks}

    def answer(request: Any) -> None:
        if request.path == moved:
            send(request, 307, b"", Location=elsewhere.url + moved)
        else:
            send(request, 200, answers[request.path])

    issuer.answer = answer  # type: ignore[method-assign]
    elsewhere.answer = lambda request: send(request, 200, answers[request.path])  # type: ignore[method-assign]
    reader = Flagbearer(issuer=issuer.url, audience="api", discovery=True)
    refused("KEYS_UNAVAILABLE", lambda: reader.verify(issuer.token()))
    assert (issuer.urls[-1], elsewhere.urls) == (moved, [])
    elsewhere.stop()


@pytest.mark.parametrize("slowly", [False, True], ids=["never answers", "answers byte by byte"])
def test_a_server_that_takes_too_long_is_given_up_after_five_seconds(issuer: Issuer, reader: Flagbearer, slowly: bool) -> None:
    done = threading.Event()

    def answer(request: Any) -> None:
        while slowly and not done.wait(0.2):
            request.wfile.write(b"H")
        done.wait(20)

    issuer.answer = answer  # type: ignore[method-assign]
    begin = time.monotonic()
    refused("KEYS_UNAVAILABLE", lambda: reader.verify(issuer.token()))
    assert 4 < time.monotonic() - begin < 15
    done.set()


def test_keys_are_found_at_another_address_by_discovery_or_by_another_client(issuer: Issuer) -> None:
    def answer(request: Any) -> None:
        discovered = request.path.endswith("openid-configuration")
        send(request, 200, {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"} if discovered else issuer.jwks)

    issuer.answer = answer  # type: ignore[method-assign]
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return json.dumps(issuer.jwks).encode()

    options: list[dict[str, Any]] = [{"jwks_uri": f"{issuer.url}/direct"}, {"discovery": True}, {}, {"fetch": fetch}]
    for option in options:
        Flagbearer(issuer=issuer.url, audience="api", **option).verify(issuer.token())
    assert issuer.urls == ["/direct", "/.well-known/openid-configuration", "/keys", "/.well-known/jwks.json"]
    assert asked == [f"{issuer.url}/.well-known/jwks.json"]


ISSUER = "https://flags.example.com"
BAD_SETTINGS: list[dict[str, Any]] = [
    {"issuer": ISSUER}, {"issuer": 5, "audience": "api"}, {"issuer": "flags", "audience": "api"}, {"issuer": ISSUER, "audience": ""},
    {"issuer": ISSUER, "audience": ["api"]}, {"issuer": ISSUER, "client_id": "app_1"}, {"issuer": "\ud800", "audience": "api"},
    {"issuer": ISSUER, "audience": "api", "client_id": "app_1", "profile": "kinde"},
    {"issuer": ISSUER, "audience": "api", "profile": "auth0"}, {"issuer": ISSUER, "audience": "api", "leeway": 61},
    {"issuer": ISSUER, "audience": "api", "leeway": "5"}, {"issuer": ISSUER, "audience": "api", "leeway": float("nan")},
    {"issuer": ISSUER, "audience": "api", "jwks_uri": "file:///etc/passwd"}, {"issuer": ISSUER, "audience": "api", "discovery": "yes"},
    {"issuer": ISSUER, "audience": "api", "fetch": ISSUER}, {"issuer": ISSUER, "audience": "api", "on_read": True},
]  # fmt: skip


@pytest.mark.parametrize("name", ["issuer", "audience", "leeway", "jwks_uri", "discovery", "follow_watermark", "fetch", "on_read"])
def test_a_setting_of_the_wrong_type_is_named(name: str) -> None:
    settings: Any = {"issuer": ISSUER, "audience": "api", name: [ISSUER]}
    with pytest.raises(FlagbearerError, match=f"`{name}` must be .*, not `list`"):
        Flagbearer(**settings)


@pytest.mark.parametrize("settings", BAD_SETTINGS, ids=str)
def test_settings_that_cannot_work_are_refused_when_the_reader_is_made(settings: Any) -> None:
    refused("CONFIGURATION_INVALID", lambda: Flagbearer(**settings))


def test_threads_and_tasks_wait_for_one_fetch(issuer: Issuer, reader: Flagbearer) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def answer(request: Any) -> None:
        asked.set()
        assert may_answer.wait(20)
        send(request, 200, issuer.jwks)

    issuer.answer = answer  # type: ignore[method-assign]
    token = issuer.token()

    async def tasks() -> list[FlagSet]:
        hasty = asyncio.create_task(reader.averify(token))
        await asyncio.to_thread(asked.wait, 20)
        hasty.cancel()
        patient = [asyncio.create_task(reader.averify(token)) for _ in range(50)]
        # The loop goes on while keys are fetched: each task gets to where it waits.
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(task.done() for task in patient)
        may_answer.set()
        found = await asyncio.gather(*patient)
        assert hasty.cancelled()
        return found

    with ThreadPoolExecutor(32) as pool:
        waiting = [pool.submit(reader.verify, token) for _ in range(31)]
        assert len(asyncio.run(tasks())) == 50
        assert all(one.result().get_boolean_flag("new_ai_model", False) for one in waiting)
    assert len(issuer.urls) == 1


def test_threads_verify_and_read_without_getting_into_each_others_way(issuer: Issuer, reader: Flagbearer) -> None:
    tokens = [issuer.token(jti=str(i), flags_rev=i, feature_flags={"n": {"t": "i", "v": i}}) for i in range(20)]

    def work(start: int) -> None:
        for i in range(start, start + 500):
            flags = reader.verify(tokens[i % 20])
            assert flags.get_integer_flag("n", -1) == flags.flags_revision == i % 20
            if i % 10 == 0:
                refused("TOKEN_MALFORMED", lambda: reader.verify("x"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(issuer.urls) == 1


def in_child(work: Any) -> None:
    """Runs it after a fork, as gunicorn's workers are made, and fails if it does or if it hangs."""
    ended, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    # Only the child holds the other end now: it is closed when the child ends, however it does.
    os.close(writes)
    hangs = not select.select([ended], [], [], 20)[0]
    os.close(ended)
    if hangs:
        os.kill(child, 9)
    status = os.waitpid(child, 0)[1]
    assert not hangs, "the child hangs"
    assert status == 0, "the child failed"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestFork:
    def test_children_verify_with_their_parents_keys(self, issuer: Issuer, reader: Flagbearer) -> None:
        token = issuer.token()
        reader.verify(token)
        issuer.answer = lambda request: send(request, 503, b"")  # type: ignore[method-assign]
        for _ in range(3):
            in_child(lambda: reader.verify(token))

    def test_a_child_fetches_keys_of_its_own(self, issuer: Issuer, reader: Flagbearer) -> None:
        in_child(lambda: reader.verify(issuer.token()))
        reader.verify(issuer.token())
        assert len(issuer.urls) == 2

    def test_a_fork_in_the_middle_of_a_fetch_hangs_nobody(self, issuer: Issuer, reader: Flagbearer) -> None:
        asked, answer = threading.Event(), threading.Event()

        def late(request: Any) -> None:
            first = not asked.is_set()
            asked.set()
            if first:
                answer.wait(10)
            send(request, 200, issuer.jwks)

        issuer.answer = late  # type: ignore[method-assign]
        token = issuer.token()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(reader.verify, token)
            assert asked.wait(5)
            begin = time.monotonic()
            in_child(lambda: reader.verify(token))
            assert time.monotonic() - begin < 4
            answer.set()
            assert waiting.result(5).flags_revision == 41

    def test_forks_among_verifying_threads_hang_nobody(self, issuer: Issuer, reader: Flagbearer) -> None:
        token, done = issuer.token(), threading.Event()
        reader.verify(token)

        def work() -> None:
            while not done.is_set():
                reader.verify(token)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                in_child(lambda: [reader.verify(token) for _ in range(10)])
        finally:
            done.set()
            for thread in threads:
                thread.join()


def test_verifying_lets_other_threads_run(issuer: Issuer, reader: Flagbearer) -> None:
    token = issuer.token()
    reader.verify(token)
    # Never remembered, so that its signature is checked each time.
    forged = f"{token[:-4]}AAAA"
    gate, ran = threading.Event(), threading.Event()

    def other() -> None:
        gate.wait()
        ran.set()

    thread = threading.Thread(target=other)
    thread.start()
    interval = sys.getswitchinterval()
    # From here on nobody is made to give the interpreter's lock up: the other thread gets it when it is released, or never.
    sys.setswitchinterval(100)
    try:
        gate.set()
        deadline = time.monotonic() + 30
        while not ran.is_set() and time.monotonic() < deadline:
            refused("SIGNATURE_INVALID", lambda: reader.verify(forged))
        assert ran.is_set()
    finally:
        sys.setswitchinterval(interval)
        thread.join()
