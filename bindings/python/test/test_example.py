"""examples/fastapi, started as its README says, and driven with the very commands that it prints."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import BINARY, LOG_LEVEL

FOLDER = Path(__file__).parents[3] / "examples/fastapi"


@pytest.fixture
def commands() -> Iterator[list[list[str]]]:
    environment = {**os.environ, "PYTHON": sys.executable, "FLAGBEARER_BINARY": str(BINARY), "FLAGBEARER_LOG": LOG_LEVEL}
    process = subprocess.Popen(["./start"], cwd=FOLDER, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "Control-C" in line:
            break
    yield [shlex.split(command) for command in re.findall(r"^ +(curl .*)$", printed, re.MULTILINE)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stdout.close()


def run(command: list[str]) -> Any:
    return json.loads(subprocess.run([*command, "--silent", "--fail-with-body"], check=True, capture_output=True).stdout)


def test_it_does_what_it_says(commands: list[list[str]]) -> None:
    ask, give, refresh = commands
    assert run(ask) == {"model": "small", "max_tokens": 1000, "prompt": "control"}
    assert run(give)["effect"] == "widened"
    token = run(refresh)["access_token"]
    ask = [f"Authorization: Bearer {token}" if part.startswith("Authorization") else part for part in ask]
    assert run(ask) == {"model": "large", "max_tokens": 1000, "prompt": "control"}
    everything = run([*ask[:-1], ask[-1].replace("/assistant", "/flags")])
    assert everything["organization"] == "acme" and everything["flags"]["new_ai_model"] is True
    without = subprocess.run(["curl", "--silent", "--include", ask[-1]], capture_output=True, text=True).stdout
    assert " 401 " in without and "www-authenticate: Bearer\n" in without
