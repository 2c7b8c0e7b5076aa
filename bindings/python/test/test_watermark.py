"""Following the watermark of a real server, through whatever can come in between."""

import copy
import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from between import Between
from clock import Clock
from server import Server
from web import Web, send

from flagbearer import Flagbearer, FlagSet
from flagbearer._watermark import Watermark

WITHIN = 20.0
"""A deadline for what is waited for, in seconds; nothing here measures."""

DISCONNECTED = 31.0
"""After so long without a word from the server a reader says so."""

_renew: Final = Watermark.renew


class News:
    """Tells when the reader was told something, or told that it would be told nothing."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        # One of its own for each process: a fork may come while another thread holds it.
        self._came = threading.Condition()

        def renew(watermark: Watermark) -> None:
            _renew(watermark)
            with self._came:
                self._came.notify_all()

        patch.setattr(Watermark, "renew", renew)

    def until(self, holds: Callable[[], bool]) -> None:
        with self._came:
            assert self._came.wait_for(holds, WITHIN), "it never came"


@pytest.fixture(autouse=True)
def news(monkeypatch: pytest.MonkeyPatch) -> News:
    return News(monkeypatch)


class Setup:
    def __init__(self, server: Server, issuer: str | None = None) -> None:
        self.server = server
        self.issuer = issuer or server.url
        server.call("POST", "/v1/flags", {"key": "new_ai_model", "type": "boolean", "default_value": True})
        server.call("POST", "/v1/flags", {"key": "variant", "type": "string", "default_value": "on", "off_value": "off"})
        self.application = server.application()
        self.tokens = server.sign_in(self.application, "alice")

    def reader(self, **options: Any) -> Flagbearer:
        return Flagbearer(issuer=self.issuer, audience=self.application, follow_watermark=True, **options)

    def kill(self, flag: str) -> None:
        self.server.call("POST", f"/v1/flags/{flag}/environments/production/kill", {})

    def revive(self, flag: str) -> None:
        self.server.call("DELETE", f"/v1/flags/{flag}/environments/production/kill")


@pytest.fixture
def setup(server: Server) -> Setup:
    return Setup(server)


@pytest.fixture
def following(setup: Setup, news: News) -> Iterator[tuple[Flagbearer, FlagSet]]:
    with setup.reader() as reader:
        flags = reader.verify(setup.tokens["access_token"])
        news.until(lambda: reader.state == "fresh")
        yield reader, flags


def test_a_kill_reaches_a_set_that_is_held_and_so_does_its_revival(setup: Setup, following: Any, news: News) -> None:
    reader, flags = following
    copies = copy.copy(flags), copy.deepcopy({"flags": flags})["flags"]
    assert flags.get_string_flag("variant", "?") == "on" and flags.state == "fresh"
    setup.kill("variant")
    news.until(lambda: flags.get_string_flag("variant", "?") == "off")
    assert [held.get_string_flag("variant", "?") for held in copies] == ["off", "off"]
    details = flags.get_flag("variant", "?", "s")
    assert (details.value, details.reason, details.is_default, details.error_code) == ("off", "DISABLED", False, None)
    assert flags.get_all_flags() == {"new_ai_model": True, "variant": "off"}
    assert flags.get_boolean_flag("new_ai_model", False) is True
    newer = reader.verify(setup.server.refresh(setup.application, setup.tokens)["access_token"])
    assert newer.get_flag("variant", "?").reason == "CACHED", "a newer token says by itself what was killed"
    setup.revive("variant")
    news.until(lambda: flags.get_string_flag("variant", "?") == "on")
    assert flags.get_flag("variant", "?").reason == "CACHED"


def test_an_urgent_change_makes_older_tokens_stale_and_they_are_read_on(setup: Setup, following: Any, news: News) -> None:
    _, flags = following
    body = {"audience": "none"}
    setup.server.call("PUT", "/v1/flags/new_ai_model/environments/production/targeting?urgent=true", body)
    news.until(lambda: flags.state == "stale")
    details = flags.get_flag("new_ai_model", False, "b")
    assert (details.value, details.reason) == (True, "STALE")


def test_with_the_server_gone_readers_keep_to_the_kill_and_a_new_one_says_that_it_is_alone(
    setup: Setup, following: Any, news: News, clock: Clock
) -> None:
    reader, flags = following
    unseen = setup.server.sign_in(setup.application, "bob")["access_token"]
    setup.kill("new_ai_model")
    news.until(lambda: flags.get_boolean_flag("new_ai_model", True) is False)
    setup.server.stop()
    for held in (reader.verify(unseen), reader.verify(setup.tokens["access_token"]), flags):
        assert held.get_boolean_flag("new_ai_model", True) is False
        assert held.state == "fresh"
    clock.ahead = DISCONNECTED
    assert (reader.state, flags.state) == ("disconnected", "disconnected")
    assert flags.get_boolean_flag("new_ai_model", True) is False
    with setup.reader() as alone:
        assert alone.state == "disconnected"


def test_a_reader_that_does_not_follow_knows_of_no_kill_and_has_no_state(setup: Setup) -> None:
    reader = Flagbearer(issuer=setup.server.url, audience=setup.application)
    flags = reader.verify(setup.tokens["access_token"])
    setup.kill("new_ai_model")
    assert flags.get_boolean_flag("new_ai_model", False) is True
    assert reader.state is None and flags.state is None


@pytest.fixture
def between() -> Iterator[Between]:
    between = Between()
    yield between
    between.cut()
    between.stop()


@pytest.fixture
def behind(between: Between, tmp_path: Path) -> Iterator[Setup]:
    """A server that is reached through what stands between."""
    server = Server(tmp_path, between.url)
    between.target = server.url
    yield Setup(server, between.url)
    server.stop()


def test_where_streams_are_refused_it_polls_and_that_nothing_is_new_is_news(
    between: Between, behind: Setup, news: News, clock: Clock
) -> None:
    def no_streams(request: Any) -> bool:
        stream = request.headers["Accept"] == "text/event-stream"
        if stream:
            send(request, 406, b"")
        return stream

    between.meddle = no_streams
    with behind.reader() as reader:
        news.until(lambda: reader.state == "fresh")
        clock.ahead = DISCONNECTED
        assert reader.state == "disconnected"
        news.until(lambda: reader.state == "fresh")
        assert between.told[0] == 200 and between.told[-1] == 304
        flags = reader.verify(behind.tokens["access_token"])
        behind.kill("new_ai_model")
        news.until(lambda: flags.get_boolean_flag("new_ai_model", True) is False)
        assert between.told[-1] == 200


def test_it_survives_connections_that_break_off(between: Between, behind: Setup, news: News) -> None:
    with behind.reader() as reader:
        flags = reader.verify(behind.tokens["access_token"])
        news.until(lambda: reader.state == "fresh")
        for work, value in [(behind.kill, False), (behind.revive, True)]:
            between.cut()
            work("new_ai_model")
            news.until(lambda value=value: flags.get_boolean_flag("new_ai_model", not value) is value)


def test_it_survives_the_restart_of_the_server(between: Between, behind: Setup, news: News, tmp_path: Path) -> None:
    with behind.reader() as reader:
        flags = reader.verify(behind.tokens["access_token"])
        news.until(lambda: reader.state == "fresh")
        behind.server.stop()
        again = behind.server = Server(tmp_path, between.url)
        between.target = again.url
        behind.kill("new_ai_model")
        news.until(lambda: flags.get_boolean_flag("new_ai_model", True) is False)
        again.stop()


def test_a_watermark_from_before_a_kill_revives_nothing(between: Between, behind: Setup, news: News, clock: Clock) -> None:
    with urllib.request.urlopen(f"{behind.server.url}/v1/watermark/production") as response:
        before = response.read()
    replays = 0

    def replay(request: Any) -> bool:
        nonlocal replays
        replays += 1
        stream = request.headers["Accept"] == "text/event-stream"
        body, content_type = (b"data: %b\n\n" % before, "text/event-stream") if stream else (before, "application/jwt")
        send(request, 200, body, **{"Content-Type": content_type})
        return True

    with behind.reader() as reader:
        flags = reader.verify(behind.tokens["access_token"])
        news.until(lambda: reader.state == "fresh")
        behind.kill("new_ai_model")
        news.until(lambda: flags.get_boolean_flag("new_ai_model", True) is False)
        between.meddle = replay
        between.cut()
        # With the next request it says that it is done with the one before.
        news.until(lambda: replays > 2)
        clock.ahead = DISCONNECTED
        assert (reader.state, flags.get_boolean_flag("new_ai_model", True)) == ("disconnected", False)
        between.meddle = lambda request: False
        behind.revive("new_ai_model")
        news.until(lambda: reader.state == "fresh" and flags.get_boolean_flag("new_ai_model", False) is True)


@pytest.mark.parametrize("moved", ["/.well-known/openid-configuration", "/watermark"])
def test_no_redirect_leads_a_follower_elsewhere(news: News, moved: str) -> None:
    issuer, elsewhere = Web(), Web()
    discovery = {"issuer": issuer.url, "watermark_endpoint": f"{issuer.url}/watermark"}
    issuer.answer = lambda request: (  # type: ignore[method-assign]
        send(request, 307, b"", Location=elsewhere.url + moved) if request.path == moved else send(request, 200, discovery)
    )
    with Flagbearer(issuer=issuer.url, audience="api", follow_watermark=True) as reader:
        # The stream, and where that fails the poll.
        news.until(lambda: issuer.urls.count(moved) > 2)
        assert (reader.state, elsewhere.urls) == ("disconnected", [])
    for web in (issuer, elsewhere):
        web.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_follows_by_itself(setup: Setup, following: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, _ = following
    ready, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = News(monkeypatch)
            flags = reader.verify(setup.tokens["access_token"])
            os.write(write, b"!")
            told.until(lambda: flags.get_boolean_flag("new_ai_model", True) is False)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    assert os.read(ready, 1), "the child never read the flag"
    os.close(ready)
    setup.kill("new_ai_model")
    _, status = os.waitpid(child, 0)
    assert status == 0
