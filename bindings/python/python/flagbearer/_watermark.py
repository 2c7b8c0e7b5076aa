"""Following the watermark: the network and the thread that the core's follower asks for. What to do when, and what to believe,
the core decides."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, Literal, TypeAlias

from flagbearer import _http, _native

State: TypeAlias = Literal["fresh", "stale", "disconnected"]

_TYPES: Final = ("boolean", "string", "integer", "json")

# A clock that was set back must not stretch a pause.
_LONGEST_PAUSE: Final = 60.0


class Overruled:
    """What the newest watermark overrules of tokens of one revision: killed flags, and whether they are too old."""

    __slots__ = ("killed", "stale")

    def __init__(self, text: str) -> None:
        *tables, stale = text.split("\x1e")
        self.stale = stale == "true"
        self.killed: dict[str, tuple[Any, Any]] = {}
        for flag_type, table in zip(_TYPES, tables, strict=True):
            entries = iter(json.loads(table))
            self.killed.update((key, (flag_type, value)) for key, value in zip(entries, entries, strict=True))


class Watermark:
    """What flag sets are read under. Reading asks nobody: what holds for a revision is unpacked once for each watermark."""

    def __init__(self, followed: "_native.Followed") -> None:
        self._followed = followed
        self._by_revision: dict[int | None, Overruled | None] = {}

    def of(self, revision: int | None) -> Overruled | None:
        # Whatever is found out belongs to the table that was there before it was asked for: another thread may put a new one
        # in its place meanwhile, and what was found would be too old for that.
        table = self._by_revision
        try:
            return table[revision]
        except KeyError:
            text = self._followed.overruled(revision)
            found = table[revision] = None if text is None else Overruled(text)
            return found

    def state_of(self, revision: int | None) -> State | None:
        return self._followed.state_of(revision, time.time())

    def renew(self) -> None:
        """Something came, and may say otherwise."""
        self._by_revision = {}


class Follower:
    """A thread that does what the core says. Each GET has a thread of its own and tells this one what comes of it."""

    def __init__(
        self, reader: "_native.Reader", fetch_keys: "Callable[[], Future[None]]", broken_off: int | None = None
    ) -> None:
        """``broken_off``: the step of a former follower whose thread is no more."""
        self._reader = reader
        self._fetch_keys = fetch_keys
        self._news: SimpleQueue[Callable[[float], None] | None] = SimpleQueue()
        self._under_way = threading.Event()
        self.step = broken_off
        if broken_off is not None:
            self._news.put(partial(reader.watermark_failed, broken_off))
        threading.Thread(target=self._run, name="flagbearer watermark", daemon=True).start()

    def close(self) -> None:
        self._under_way.set()
        self._news.put(None)

    def _run(self) -> None:
        while True:
            now = time.time()
            id, url, stream, etag, until = self._reader.poll_watermark(now)
            if id is not None and url is not None:
                # What was under way before is given up.
                self._under_way.set()
                self._under_way, self.step = threading.Event(), id
                self._begin(id, url, stream, etag, self._under_way)
                continue
            if until is None:
                self._fetch_keys().result()
                continue
            with suppress(Empty):
                news = self._news.get(timeout=min(max(until - now, 0.001), _LONGEST_PAUSE))
                if news is None:
                    return
                news(time.time())
                if self._reader.watermark is not None:
                    self._reader.watermark.renew()

    def _begin(self, id: int, url: str, stream: bool, etag: str | None, given_up: threading.Event) -> None:
        def run() -> None:
            with suppress(Exception):
                for news in self._get(id, url, stream, etag):
                    if given_up.is_set():
                        return
                    self._news.put(news)
            # The core passes over what is said of a step that has come to its end already.
            self._news.put(partial(self._reader.watermark_failed, id))

        threading.Thread(target=run, name="flagbearer watermark", daemon=True).start()

    def _get(self, id: int, url: str, stream: bool, etag: str | None) -> Iterator[Callable[[float], None]]:
        """What an answer tells the core, piece by piece. Raises where there is none."""
        reader = self._reader
        headers = {"Accept": "text/event-stream" if stream else "application/jwt, application/json"}
        if etag is not None:
            headers["If-None-Match"] = etag
        # The core gives a silent stream up before; what is left to do is to let go of its connection.
        timeout = _native.SILENCE_SECONDS + 5 if stream else _native.FETCH_TIMEOUT_SECONDS
        with _http.open(url, headers, timeout) as response:
            if response.status == 304:
                yield partial(reader.watermark_unmodified, id)
            elif response.status == 200 and stream:
                while chunk := response.read1(65536):
                    yield partial(reader.watermark_bytes, id, chunk)
            elif response.status == 200:
                yield partial(reader.watermark_body, id, _http.whole(response), response.headers.get("ETag"))
