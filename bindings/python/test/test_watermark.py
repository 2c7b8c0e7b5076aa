"""Following the watermark of a real server, through whatever can come in between."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Server

from flagbearer import Flagbearer, FlagSet

WITHIN = 20.0
"""A deadline for what is waited for, in seconds; nothing here measures."""


def eventually(holds: Callable[[], bool]) -> None:
    """Waits for what another thread brings about."""
    deadline = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        threading.Event().wait(0.002)


class Setup:
    def __init__(self, server: Server) -> None:
        self.server = server
        server.call("POST", "/v1/flags", {"key": "new_ai_model", "type": "boolean", "default_value": True})
        server.call("POST", "/v1/flags", {"key": "variant", "type": "string", "default_value": "on", "off_value": "off"})
        self.application = server.application()
        self.tokens = server.sign_in(self.application, "alice")

    def reader(self, **options: Any) -> Flagbearer:
        return Flagbearer(issuer=self.server.url, audience=self.application, follow_watermark=True, **options)

    def kill(self, flag: str) -> None:
        self.server.call("POST", f"/v1/flags/{flag}/environments/production/kill", {})

    def revive(self, flag: str) -> None:
        self.server.call("DELETE", f"/v1/flags/{flag}/environments/production/kill")


@pytest.fixture
def setup(server: Server) -> Setup:
    return Setup(server)


@pytest.fixture
def following(setup: Setup) -> Iterator[tuple[Flagbearer, FlagSet]]:
    with setup.reader() as reader:
        flags = reader.verify(setup.tokens["access_token"])
        eventually(lambda: reader.state == "fresh")
        yield reader, flags


def test_a_kill_reaches_a_set_that_is_held_and_so_does_its_revival(setup: Setup, following: Any) -> None:
    reader, flags = following
    assert flags.get_string_flag("variant", "?") == "on" and flags.state == "fresh"
    setup.kill("variant")
    eventually(lambda: flags.get_string_flag("variant", "?") == "off")
    details = flags.get_flag("variant", "?", "s")
    assert (details.value, details.reason, details.is_default, details.error_code) == ("off", "DISABLED", False, None)
    assert flags.get_all_flags() == {"new_ai_model": True, "variant": "off"}
    assert flags.get_boolean_flag("new_ai_model", False) is True
    newer = reader.verify(setup.server.refresh(setup.application, setup.tokens)["access_token"])
    assert newer.get_flag("variant", "?").reason == "CACHED", "a newer token says by itself what was killed"
    setup.revive("variant")
    eventually(lambda: flags.get_string_flag("variant", "?") == "on")
    assert flags.get_flag("variant", "?").reason == "CACHED"


def test_an_urgent_change_makes_older_tokens_stale_and_they_are_read_on(setup: Setup, following: Any) -> None:
    _, flags = following
    body = {"audience": "none"}
    setup.server.call("PUT", "/v1/flags/new_ai_model/environments/production/targeting?urgent=true", body)
    eventually(lambda: flags.state == "stale")
    details = flags.get_flag("new_ai_model", False, "b")
    assert (details.value, details.reason) == (True, "STALE")


def test_with_the_server_gone_readers_keep_to_the_kill_and_a_new_one_says_that_it_is_alone(setup: Setup, following: Any) -> None:
    reader, flags = following
    setup.kill("new_ai_model")
    eventually(lambda: flags.get_boolean_flag("new_ai_model", True) is False)
    setup.server.stop()
    assert flags.get_boolean_flag("new_ai_model", True) is False
    assert reader.verify(setup.tokens["access_token"]).get_boolean_flag("new_ai_model", True) is False
    with setup.reader() as alone:
        assert alone.state == "disconnected"


def test_a_reader_that_does_not_follow_knows_of_no_kill_and_has_no_state(setup: Setup) -> None:
    reader = Flagbearer(issuer=setup.server.url, audience=setup.application)
    flags = reader.verify(setup.tokens["access_token"])
    setup.kill("new_ai_model")
    assert flags.get_boolean_flag("new_ai_model", False) is True
    assert reader.state is None and flags.state is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_follows_by_itself(setup: Setup, following: Any, tmp_path: Path) -> None:
    reader, _ = following
    ready, seen = tmp_path / "ready", tmp_path / "seen"
    child = os.fork()
    if child == 0:
        flags = reader.verify(setup.tokens["access_token"])
        ready.touch()
        eventually(lambda: flags.get_boolean_flag("new_ai_model", True) is False)
        seen.touch()
        os._exit(0)
    eventually(ready.exists)
    setup.kill("new_ai_model")
    _, status = os.waitpid(child, 0)
    assert status == 0 and seen.exists()
