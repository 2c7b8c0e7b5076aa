from collections.abc import Iterator
from pathlib import Path

import pytest
from issuer import Issuer
from server import Server

from flagbearer import Flagbearer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture
def reader(issuer: Issuer) -> Flagbearer:
    return Flagbearer(issuer=issuer.url, audience="api")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()
