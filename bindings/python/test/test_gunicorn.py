"""A reader under gunicorn that forks its workers after the application was loaded."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from issuer import Issuer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PATIENCE = 60
WORKERS = 3

Ask = Callable[[str], tuple[int, str]]


@pytest.fixture(params=["sync", "gthread"])
def ask(issuer: Issuer, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Asks gunicorn what it reads in a token: which process answers, and what."""
    arguments = ["--preload", "--workers", str(WORKERS), "--worker-class", request.param, "--bind", "127.0.0.1:0"]
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *arguments, "preloaded:application"],
        env={**os.environ, "ISSUER": issuer.url, "TOKEN": issuer.token()}, cwd=Path(__file__).parent, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert gunicorn.stderr is not None
    watchdog = threading.Timer(PATIENCE, gunicorn.kill)
    watchdog.start()
    rest: threading.Thread | None = None
    try:
        said = b""
        while (listening := re.search(rb"Listening at: (http://[^ ]+)", said)) is None:
            line = gunicorn.stderr.readline()
            assert line, f"gunicorn ended before it listened: {said.decode()}"
            said += line
        # What else it says is nobody's, and must not fill the pipe.
        rest = threading.Thread(target=gunicorn.stderr.read)
        rest.start()

        def ask(token: str) -> tuple[int, str]:
            request = urllib.request.Request(listening[1].decode(), headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                process, answer = response.read().decode().split()
            return int(process), answer

        yield ask
    finally:
        gunicorn.terminate()
        gunicorn.wait()
        watchdog.cancel()
        if rest is not None:
            rest.join()
        gunicorn.stderr.close()


def test_workers_verify_with_the_keys_that_were_fetched_before_they_were_forked(issuer: Issuer, ask: Ask) -> None:
    seen: set[int] = set()
    with ThreadPoolExecutor(2 * WORKERS) as clients:
        # Until each worker has answered; the watchdog ends gunicorn where one never does.
        while len(seen) < WORKERS:
            tokens = [issuer.token(jti=f"token_{number}") for number in range(4 * WORKERS)]
            for process, answer in clients.map(ask, tokens):
                assert answer == "True"
                seen.add(process)
    assert len(issuer.urls) == 1, "the workers needed no keys of their own"

    # One that is forked later, from the same master.
    killed = seen.pop()
    os.kill(killed, signal.SIGKILL)
    while (process := ask(issuer.token())[0]) in seen:
        pass
    assert process != killed


def test_a_worker_finds_a_new_key_by_itself(issuer: Issuer, ask: Ask) -> None:
    issuer.rotate("ES256")
    assert ask(issuer.token())[1] == "True"
