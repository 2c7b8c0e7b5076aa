"""Verifies and reads ten million times, in threads that share their readers, and fails where memory, objects, threads or file
descriptors grow: `bench/run soak.py`. With an argument, so many times."""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Final

from flagbearer import Flagbearer, FlagbearerError, FlagSet
from flagbearer.testing import TestIssuer

ROUNDS: Final = 20
WINDOW: Final = 5
"""Rounds at either end whose lowest figure counts: what is let go of comes back late, and what is leaked never does."""
MAY_GROW: Final = {"MiB": 4.0, "objects": 500, "threads": 0, "file descriptors": 0}
"""A leak of one byte in each verification would be ten MiB, and of an object in a thousand verifications ten thousand."""
THREADS: Final = 4

FLAGS: Final = {"on": True, "off": False, "variant": "b", "limit": 5000, "config": {"model": "large", "max_tokens": 4096}}
DAY: Final = 86_400


def must(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"the answer is wrong: {what}")


class Application:
    """What an application does with its tokens all day. Threads share it."""

    def __init__(self) -> None:
        self._issuer, self._stranger = TestIssuer(), TestIssuer()
        self._limits = count()
        # Verified again and again, and remembered.
        self._busy = [self._token() for _ in range(200)]
        # More than are remembered, so that each is verified like the first time when its turn comes.
        self._quiet = [self._token() for _ in range(1500)]
        self._reader = self._issuer.flagbearer()
        self._refused: list[tuple[str, Callable[[int], str]]] = [
            ("TOKEN_MALFORMED", lambda serial: "garbage"),
            ("SIGNATURE_INVALID", lambda serial: f"{self._quiet[serial % len(self._quiet)][:-6]}AAAAAA"),
            ("KEY_UNKNOWN", lambda serial: self._stranger.token()),
            ("TOKEN_EXPIRED", lambda serial: self._token(expires_in=-60)),
        ]

    def _token(self, expires_in: int = DAY) -> str:
        flags = {**FLAGS, "limit": next(self._limits)}
        return self._issuer.token(flags=flags, expires_in=expires_in, organization="org_1")

    def verification(self, serial: int) -> None:
        """Of each hundred: five tokens that never were before, ten that are forgotten, two refusals; repeats."""
        # Another reader, for one process may have many.
        if serial % 10_000 == 0:
            self._reader = self._issuer.flagbearer()
        hundreds, turn = divmod(serial, 100)
        if turn < 2:
            return self._refusal(serial)
        if turn < 7:
            token = self._token()
        elif turn < 17:
            token = self._quiet[(hundreds * 10 + turn) % len(self._quiet)]
        else:
            token = self._busy[serial % len(self._busy)]
        # A copy, for every token comes in a request of its own.
        return read(self._reader.verify(token.encode().decode()))

    def _refusal(self, serial: int) -> None:
        code, make = self._refused[serial // 50 % len(self._refused)]
        found: str | None = None
        try:
            self._reader.verify(make(serial))
        except FlagbearerError as error:
            found = error.code
        must(found == code, f"{found} instead of {code}")


def read(flags: FlagSet) -> None:
    must(flags.get_boolean_flag("on", False) and not flags.get_boolean_flag("off", True), "a boolean flag")
    must(flags.get_string_flag("variant", "a") == "b", "a string flag")
    must(flags.get_integer_flag("limit", -1) >= 0, "an integer flag")
    details: Any = flags.get_flag("config", {}, "j")
    must(details.value["model"] == "large", "a JSON flag")
    must(flags.get_flag("gone", 1).error_code == "FLAG_NOT_FOUND", "a flag that is not there")


def figures() -> dict[str, float]:
    gc.collect()
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "MiB": resident / 2**20, "objects": len(gc.get_objects()), "threads": threading.active_count(),
        "file descriptors": len(os.listdir("/proc/self/fd")),
    }  # fmt: skip


def rounds(total: int) -> Iterator[dict[str, float]]:
    application, serials = Application(), count()
    share = -(-total // (ROUNDS * THREADS))

    def work() -> None:
        for _ in range(share):
            application.verification(next(serials))

    begin = time.monotonic()
    for done in range(1, ROUNDS + 1):
        with ThreadPoolExecutor(THREADS) as threads:
            for outcome in [threads.submit(work) for _ in range(THREADS)]:
                outcome.result()
        now = figures()
        spent = time.monotonic() - begin
        print(f"{done * share * THREADS:>10,} verified after {spent:4.0f} s: {told(now)}", flush=True)
        yield now


def told(figures: dict[str, float]) -> str:
    return ", ".join(f"{figure:.1f} {name}" if name == "MiB" else f"{figure:.0f} {name}" for name, figure in figures.items())


def main() -> None:
    measured = list(rounds(int(sys.argv[1]) if len(sys.argv) > 1 else 10**7))
    # The first tenth warms up.
    warm, last = measured[2 : 2 + WINDOW], measured[-WINDOW:]
    growth = {name: min(figure[name] for figure in last) - min(figure[name] for figure in warm) for name in MAY_GROW}
    print(f"{told(growth)} more; {time.process_time():.0f} s of CPU")
    if any(growth[name] > limit for name, limit in MAY_GROW.items()):
        sys.exit(f"something leaks: at most {told(MAY_GROW)} may be added")


if __name__ == "__main__":
    main()
