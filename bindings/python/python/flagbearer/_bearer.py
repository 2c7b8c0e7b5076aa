"""What the frameworks share: the request's token (RFC 6750 §2.1), and how an error is answered (§3)."""

import re
from typing import Final, NamedTuple

from flagbearer._error import FlagbearerError

_BEARER: Final = re.compile(r"Bearer +([^\s]+) *", re.IGNORECASE)


def token(authorization: str | None) -> str:
    """The token of an ``Authorization`` header, or nothing."""
    found = _BEARER.fullmatch(authorization or "")
    return found[1] if found else ""


class Refusal(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, str]


def refusal(error: FlagbearerError, shown: str) -> Refusal:
    """What a request is answered whose token, as :func:`token` found it, was refused."""
    body = {"code": error.code, "message": str(error)}
    # Nothing is wrong with the token: its issuer's keys could not be fetched.
    if error.code == "KEYS_UNAVAILABLE":
        return Refusal(503, {"Retry-After": "5"}, body)
    # Somebody who has shown nothing is told how, and not what was wrong with it (§3.1).
    return Refusal(401, {"WWW-Authenticate": 'Bearer error="invalid_token"' if shown else "Bearer"}, body)
