"""What Python adds to the core: a GET, a clock, and waiting, in threads and in asyncio alike."""

import asyncio
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TypeAlias, overload
from weakref import WeakSet

from flagbearer import _native
from flagbearer._error import FlagbearerError
from flagbearer._flag_set import FlagSet

Fetch: TypeAlias = Callable[[str], bytes]


def get(url: str) -> bytes:
    """The body of an answer with status 200, read no further than allowed. Raises for any other outcome."""
    # Put together by hand: what is not in here does not happen, and following redirects and opening files are not.
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
        opener.add_handler(handler())
    deadline = time.monotonic() + _native.FETCH_TIMEOUT_SECONDS
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "flagbearer-python"})
    with opener.open(request, timeout=_native.FETCH_TIMEOUT_SECONDS) as response:
        if response.status != 200:
            raise OSError(f"status {response.status}")
        body = bytearray()
        while chunk := response.read1(65536):
            body += chunk
            if len(body) > _native.MAX_BODY_BYTES or time.monotonic() > deadline:
                raise OSError("the answer is too long")
        if response.length:
            raise OSError("the answer broke off")
        return bytes(body)


def _in_thread(work: Callable[[], Any]) -> "Future[Any]":
    """Runs the work in a thread of its own, which does not keep the process from ending."""
    future: Future[Any] = Future()
    # Running: nobody who waits for it can cancel it for the others.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="flagbearer", daemon=True).start()
    return future


class Flagbearer:
    """Verifies one issuer's tokens. Make one and keep it: it holds the issuer's keys. Threads may share it."""

    @overload
    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        profile: Literal["flagbearer"] | None = None,
        leeway: float | None = None,
        jwks_uri: str | None = None,
        discovery: bool = False,
        fetch: Fetch | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        profile: Literal["kinde", "workos"],
        leeway: float | None = None,
        jwks_uri: str | None = None,
        discovery: bool = False,
        fetch: Fetch | None = None,
    ) -> None: ...

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | None = None,
        client_id: str | None = None,
        profile: str | None = None,
        leeway: float | None = None,
        jwks_uri: str | None = None,
        discovery: bool = False,
        fetch: Fetch | None = None,
    ) -> None:
        """Raises ``CONFIGURATION_INVALID``.

        :param issuer: equal to the tokens' ``iss``
        :param audience: what the tokens' ``aud`` must contain
        :param client_id: instead of it, with ``profile``: the application whose tokens are accepted
        :param leeway: how far clocks may disagree, in seconds, from 0 to 60; 5 unless given
        :param jwks_uri: where the keys are; ``<issuer>/.well-known/jwks.json`` unless given
        :param discovery: look for their address in ``<issuer>/.well-known/openid-configuration`` instead
        :param fetch: used instead of urllib: from a URL to the body of an answer with status 200; raises for all else
        """
        try:
            self._native = _native.Reader(
                issuer=issuer, audience=audience, client_id=client_id, profile=profile, leeway=leeway, jwks_uri=jwks_uri,
                discovery=discovery,
            )  # fmt: skip
        # The native part's own, about arguments of the wrong type.
        except (TypeError, ValueError) as error:
            raise FlagbearerError("CONFIGURATION_INVALID", str(error)) from error
        self._get: Fetch = fetch or get
        self._refresh_at = float("inf")
        self._step: tuple[int, str] | None = None
        self._flight: Future[None] | None = None
        _alive.add(self)

    def verify(self, token: str | None) -> FlagSet:
        """The flags of a token. Raises :class:`FlagbearerError`: whatever is no string, or empty, is ``TOKEN_MALFORMED``.

        Waits for the issuer's keys when they are not held yet; in asyncio, call :meth:`averify`.
        """
        while (flags := self._try(token)) is None:
            self._fetch_keys().result()
        return flags

    async def averify(self, token: str | None) -> FlagSet:
        """The same for asyncio: keys are waited for without holding up the event loop."""
        while (flags := self._try(token)) is None:
            await asyncio.wrap_future(self._fetch_keys())
        return flags

    def _try(self, token: object) -> FlagSet | None:
        now = time.time()
        flags = self._native.verify(token, now)
        if flags is not None and now >= self._refresh_at:
            # No thread can be started while the process ends; the token is good all the same.
            with suppress(RuntimeError):
                self._fetch_keys()
        return flags

    def _fetch_keys(self) -> "Future[None]":
        """One at a time, however many wait for it. Never fails."""
        with _lock:
            if self._flight is None:
                self._flight = _in_thread(self._follow)
            return self._flight

    def _follow(self) -> None:
        """Does what the core says until there is nothing left to do."""
        try:
            while True:
                # A step that is there already was begun before a fork, by a thread that the child does not have.
                if self._step is None:
                    with _lock:
                        id, url, until = self._native.poll(time.time())
                        self._step = None if id is None or url is None else (id, url)
                    if until is not None:
                        self._refresh_at = until
                        return
                    # Only if a fetch of ours got lost, which the core finds out by itself.
                    if self._step is None:
                        time.sleep(0.1)
                        continue
                id, url = self._step
                body: bytes | None = None
                with suppress(Exception):
                    # In a thread again: looking up a name has no time limit, and an answer may come byte by byte.
                    body = bytes(_in_thread(partial(self._get, url)).result(_native.FETCH_TIMEOUT_SECONDS))
                self._native.receive(id, body, time.time())
                self._step = None
        finally:
            with _lock:
                self._flight = None

    def after_fork(self) -> None:
        """Not for users. In the child there is no thread that fetches; the next one takes the fetch up."""
        self._flight = None


_alive: "WeakSet[Flagbearer]" = WeakSet()
# One for all readers, which hold it for moments: whoever forks holds it, so that no child is made in the middle of one.
_lock = threading.Lock()


def _after_fork() -> None:
    for flagbearer in list(_alive):
        flagbearer.after_fork()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_fork)
