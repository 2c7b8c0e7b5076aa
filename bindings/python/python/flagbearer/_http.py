"""A GET, put together by hand: what is not in here does not happen, and following redirects and opening files are not."""

import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from flagbearer import _native


def open(url: str, headers: Mapping[str, str], timeout: float) -> Any:
    """An answer with any status, whose body is still to be read. ``timeout``: how long it may be silent, in seconds."""
    director = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
        director.add_handler(handler())
    request = urllib.request.Request(url, headers={"User-Agent": "flagbearer-python", **headers})
    return director.open(request, timeout=timeout)


def whole(response: Any) -> bytes:
    """The body of an answer, read no further and no longer than allowed. Raises where it is longer, or breaks off."""
    deadline = time.monotonic() + _native.FETCH_TIMEOUT_SECONDS
    body = bytearray()
    while chunk := response.read1(65536):
        body += chunk
        if len(body) > _native.MAX_BODY_BYTES or time.monotonic() > deadline:
            raise OSError("the answer is too long")
    if response.length:
        raise OSError("the answer broke off")
    return bytes(body)


def get(url: str) -> bytes:
    """The body of an answer with status 200. Raises for any other outcome."""
    with open(url, {"Accept": "application/json"}, _native.FETCH_TIMEOUT_SECONDS) as response:
        if response.status != 200:
            raise OSError(f"status {response.status}")
        return whole(response)
