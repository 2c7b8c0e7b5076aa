import time
from types import SimpleNamespace


class Clock(SimpleNamespace):
    """What readers take for the module `time`, moved forward."""

    ahead = 0.0
    """By how many seconds."""

    def __init__(self) -> None:
        super().__init__(sleep=time.sleep, monotonic=time.monotonic)

    def time(self) -> float:
        return time.time() + self.ahead
