"""For unit tests: flag sets without a token, and rules tried without a server. Also the doors of the shared vectors.

The functions of one document take and answer what ``json`` reads and writes. They raise :class:`FlagbearerError` with ``code``
and, for documents, the ``pointer`` to the member at fault.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from flagbearer import _native
from flagbearer._flag_set import FlagSet

__all__ = [
    "buckets_json",
    "effect_json",
    "encode_claim",
    "error_codes",
    "evaluate_json",
    "flag_set_of_claim",
    "signature_valid",
    "usable_keys",
]


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
    return FlagSet(_native.tables_of_claim(claim))


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
