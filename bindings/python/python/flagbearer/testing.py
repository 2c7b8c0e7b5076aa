"""For unit tests: tokens without a server, flag sets without a token, and rules tried without a server. Also the doors of the
shared vectors.

The functions of one document take and answer what ``json`` reads and writes. They raise :class:`FlagbearerError` with ``code``
and, for documents, the ``pointer`` to the member at fault.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from flagbearer import _native
from flagbearer._flag_set import FlagSet, OnRead
from flagbearer._reader import Flagbearer

__all__ = [
    "TestIssuer",
    "buckets_json",
    "effect_json",
    "encode_claim",
    "error_codes",
    "evaluate_json",
    "flag_set_of_claim",
    "follow_watermarks",
    "signature_valid",
    "usable_keys",
]


class TestIssuer:
    """Mints tokens as the server does, with a key of its own, so that code that verifies tokens is tested with real ones::

        issuer = TestIssuer()
        flagbearer = issuer.flagbearer()
        flags = flagbearer.verify(issuer.token(flags={"new_ai_model": True}, organization="org_a"))
    """

    # pytest would take it for a class of tests.
    __test__ = False

    def __init__(
        self,
        *,
        issuer: str = "https://flags.example.com",
        client_id: str = "app",
        profile: Literal["flagbearer", "kinde", "workos"] = "flagbearer",
    ) -> None:
        self._settings: dict[str, Any] = {"issuer": issuer}
        if profile == "flagbearer":
            self._settings["audience"] = client_id
        else:
            self._settings.update(client_id=client_id, profile=profile)
        self._native = _native.TestIssuer(issuer, client_id, profile)

    def token(
        self,
        *,
        flags: Mapping[str, object] | None = None,
        user: str = "user_1",
        organization: str | None = None,
        flags_revision: int = 1,
        expires_in: int = 300,
    ) -> str:
        """A token that carries these flags. ``expires_in`` is in seconds; one of 0 or less has expired."""
        facts = {
            "flags": dict(flags or {}), "user": user, "organization": organization, "flags_revision": flags_revision,
            "expires_in": expires_in,
        }  # fmt: skip
        return self._native.token(json.dumps(facts, allow_nan=False), time.time())

    def jwks(self) -> str:
        """Its public keys, as a JWK set: for readers that get keys in a way of their own."""
        return self._native.jwks()

    def flagbearer(self, *, leeway: float | None = None, on_read: OnRead | None = None) -> Flagbearer:
        """A reader of its tokens, which asks no server."""
        return Flagbearer(**self._settings, leeway=leeway, on_read=on_read, fetch=lambda url: self.jwks().encode())


def evaluate_json(document: Any) -> Any:
    """Evaluates ``{flags, segments, overrides, context, now}``: by flag key, ``{type, value, reason, rule, variant, trace}``."""
    return json.loads(_native.evaluate_json(json.dumps(document)))


def buckets_json(document: Any) -> Any:
    """The buckets of ``{salt, subject}``: ``{rollout, split}``."""
    return json.loads(_native.buckets_json(json.dumps(document)))


def effect_json(document: Any) -> Any:
    """Judges a change ``{before, after, standing, dropped, override, attributes, now}``: ``{effect, holdouts}``."""
    return json.loads(_native.effect_json(json.dumps(document)))


def flag_set_of_claim(claim: str) -> FlagSet:
    """The flag set of a ``feature_flags`` claim, given as JSON text."""
    return FlagSet(_native.FlagSet.of_claim(claim))


def follow_watermarks(document: Any) -> tuple[Callable[[Any], FlagSet], list[str | None]]:
    """A reader that is told the watermarks of ``{issuer, jwks, watermarks: [{at, watermark}]}``: makes flag sets of claims that
    are read under what it believed, and the code that each watermark was refused with."""
    watermark, outcomes = _native.follow_watermarks(json.dumps(document))

    def flag_set(claims: Any) -> FlagSet:
        return FlagSet(_native.FlagSet.of_claims(json.dumps(claims)), watermark)

    return flag_set, outcomes


def encode_claim(dialect: Literal["typed", "keys"], flags: Sequence[Any]) -> str:
    """The claim of flags ``{key, type, value}`` that are sorted by key."""
    return _native.encode_claim(dialect, json.dumps(flags))


def usable_keys(jwks: str) -> list[str]:
    """The ids of the usable keys of a JWK set, given as JSON text."""
    return _native.usable_keys(jwks)


def signature_valid(jwks: str, input: bytes, signature: bytes) -> bool:
    """Whether a signature is that of the only key of a JWK set."""
    return _native.signature_valid(jwks, input, signature)


def error_codes() -> list[str]:
    """Every code that a reader answers."""
    return _native.error_codes()
