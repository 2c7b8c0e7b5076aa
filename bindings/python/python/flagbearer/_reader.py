"""What Python adds to the core: a GET, a clock, and waiting, in threads and in asyncio alike."""

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TypeAlias, overload
from weakref import WeakSet

from flagbearer import _http, _native
from flagbearer._error import FlagbearerError
from flagbearer._flag_set import FlagSet, OnRead
from flagbearer._watermark import Follower, State

Fetch: TypeAlias = Callable[[str], bytes]


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


def _check(*settings: tuple[Any, str, dict[str, object]]) -> None:
    """That settings are of their types: the native part would not say which is not."""
    for kind, words, values in settings:
        for name, value in values.items():
            if not isinstance(value, kind):
                raise FlagbearerError("CONFIGURATION_INVALID", f"`{name}` must be {words}, not `{type(value).__name__}`")


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
        follow_watermark: bool = False,
        on_read: OnRead | None = None,
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
        follow_watermark: bool = False,
        on_read: OnRead | None = None,
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
        follow_watermark: bool = False,
        on_read: OnRead | None = None,
    ) -> None:
        """Raises ``CONFIGURATION_INVALID``.

        :param issuer: equal to the tokens' ``iss``
        :param audience: what the tokens' ``aud`` must contain
        :param client_id: instead of it, with ``profile``: the application whose tokens are accepted
        :param leeway: how far clocks may disagree, in seconds, from 0 to 60; 5 unless given
        :param jwks_uri: where the keys are; ``<issuer>/.well-known/jwks.json`` unless given
        :param discovery: look for their address in ``<issuer>/.well-known/openid-configuration`` instead
        :param fetch: used instead of urllib to get keys: from a URL to the body of an answer with status 200; raises for all else
        :param follow_watermark: learn within a second what was killed, in a thread; call :meth:`close` when done
        :param on_read: called with the details and the set at each read of a flag; what it raises is logged and goes no further
        """
        _check(
            (str, "a string", {"issuer": issuer}),
            (str | None, "a string", {"audience": audience, "client_id": client_id, "profile": profile, "jwks_uri": jwks_uri}),
            (float | int | None, "a number of seconds", {"leeway": leeway}),
            (bool, "`True` or `False`", {"discovery": discovery, "follow_watermark": follow_watermark}),
            # Nobody would find out: what they raise goes no further.
            (Callable | None, "a function", {"fetch": fetch, "on_read": on_read}),
        )
        seed = random.getrandbits(64) if follow_watermark else None
        try:
            self._native = _native.Reader(
                issuer=issuer, audience=audience, client_id=client_id, profile=profile, leeway=leeway, jwks_uri=jwks_uri,
                discovery=discovery, seed=seed, on_read=on_read,
            )  # fmt: skip
        # The native part's own, about text that UTF-8 cannot write.
        except ValueError as error:
            raise FlagbearerError("CONFIGURATION_INVALID", str(error)) from error
        self._get: Fetch = fetch or _http.get
        self._refresh_at = float("inf")
        self._step: tuple[int, str] | None = None
        self._flight: Future[None] | None = None
        self._follower = Follower(self._native, self._fetch_keys) if follow_watermark else None
        self._broken_off: Follower | None = None
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

    @property
    def state(self) -> State | None:
        """What it knows of the present: ``fresh`` or ``disconnected``; ``None`` where the watermark is not followed."""
        return self._native.state(time.time())

    def close(self) -> None:
        """Stops following the watermark. Flags are read on under the last one."""
        follower, self._follower, self._broken_off = self._follower, None, None
        if follower is not None:
            follower.close()

    def __enter__(self) -> "Flagbearer":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _try(self, token: object) -> FlagSet | None:
        if self._broken_off is not None:
            self._follow_again()
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
                # Whatever it was, it was meant for that thread.
                with suppress(BaseException):
                    # In a thread again: looking up a name has no time limit, and an answer may come byte by byte.
                    body = bytes(_in_thread(partial(self._get, url)).result(_native.FETCH_TIMEOUT_SECONDS))
                self._native.receive(id, body, time.time())
                self._step = None
        finally:
            with _lock:
                self._flight = None

    def _follow_again(self) -> None:
        with _lock:
            broken_off, self._broken_off = self._broken_off, None
            if broken_off is not None:
                self._follower = Follower(self._native, self._fetch_keys, broken_off.step)

    def after_fork(self) -> None:
        """Not for users. In the child there is no thread that fetches or follows; the next ones take it up."""
        self._flight = None
        self._follower, self._broken_off = None, self._follower


_alive: "WeakSet[Flagbearer]" = WeakSet()
# One for all readers, which hold it for moments: whoever forks holds it, so that no child is made in the middle of one.
_lock = threading.Lock()


def _after_fork() -> None:
    for flagbearer in list(_alive):
        flagbearer.after_fork()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_fork)
