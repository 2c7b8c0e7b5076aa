from collections.abc import Iterator
from pathlib import Path

import pytest
from clock import Clock
from issuer import Issuer
from server import Server

from flagbearer import Flagbearer, _reader, _watermark


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture
def reader(issuer: Issuer) -> Flagbearer:
    return Flagbearer(issuer=issuer.url, audience="api")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (_reader, _watermark):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()
