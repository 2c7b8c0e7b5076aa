"""The flags of one token, in tables that the core hands over once: a read is one look-up in a dict and no call."""

import json
import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, overload

from flagbearer import _native
from flagbearer._error import ReadErrorCode
from flagbearer._watermark import Overruled, State, Watermark

T = TypeVar("T")

FlagType: TypeAlias = Literal["boolean", "string", "integer", "json"]

FlagTypeName: TypeAlias = Literal["boolean", "string", "integer", "json", "b", "s", "i", "j"]
"""A type's name, or its letter in the claim."""

_TYPES: Final[dict[FlagTypeName, FlagType]] = {
    "boolean": "boolean", "b": "boolean", "string": "string", "s": "string",
    "integer": "integer", "i": "integer", "json": "json", "j": "json",
}  # fmt: skip


_log: Final = logging.getLogger("flagbearer")

@dataclass(frozen=True, slots=True)
class FlagDetails(Generic[T]):
    """An answer with its circumstances."""

    code: str
    """The flag's key, as asked for."""
    type: FlagType | None
    """The type asked for; the flag's own when none was."""
    value: T
    default_value: T
    is_default: bool
    reason: Literal["CACHED", "STALE", "DISABLED", "ERROR"]
    """``CACHED``: the token's value. ``STALE``: that too, but the token is to be refreshed. ``DISABLED``: the off value; the flag
    was killed after the token was made. ``ERROR``: the default; ``error_code`` says why."""
    error_code: ReadErrorCode | None = None


OnRead: TypeAlias = Callable[["FlagDetails[Any]", "FlagSet"], None]
"""Told of each read: its details, and the set that was read."""


class FlagSet:
    """The flags of one verified token. Reads never raise for a flag, convert nothing and ask nobody. Where its reader follows
    the watermark, what the newest one overrules is overruled at each read, however long the set has been held."""

    # The core's set, and what was asked of it.
    __slots__ = (
        "__weakref__", "_boolean", "_integer", "_json", "_native", "_observed", "_on_read", "_revision", "_string", "_unreadable",
        "_watermark",
    )  # fmt: skip

    _boolean: dict[str, bool]
    _integer: dict[str, int]
    _json: dict[str, Any]
    _revision: int | None
    _string: dict[str, str]
    _unreadable: dict[str, ReadErrorCode]

    def __init__(
        self, native: "_native.FlagSet", watermark: Watermark | None = None, on_read: OnRead | None = None
    ) -> None:
        """Of what the native part handed over; not for users, who get theirs from ``verify``."""
        self._native = native
        self._watermark = watermark
        self._on_read = on_read
        # One question for what most readers have not.
        self._observed = watermark is not None or on_read is not None

    @classmethod
    def of(cls, flags: Mapping[str, object]) -> "FlagSet":
        """A set of these flags without a token, for unit tests. Types are those of the values. Raises :class:`FlagbearerError`,
        with the ``pointer`` to what no flag can be."""
        return cls(_native.FlagSet.of_flags(json.dumps(dict(flags), allow_nan=False)))

    def __getattr__(self, name: str) -> Any:
        # Python comes here for a slot that is still empty, and never again once it is filled, so that reads pay nothing.
        found: Any
        if name in _TABLES:
            found = self._native.table(_TABLES[name])
        elif name == "_json":
            found = {key: json.loads(text) for key, text in self._native.table("json").items()}
        elif name == "_revision":
            found = self._native.flags_revision
        else:
            raise AttributeError(name=name, obj=self)
        setattr(self, name, found)
        return found

    def get_boolean_flag(self, key: str, default: bool) -> bool:
        """The flag if it is there and boolean, otherwise the default."""
        if self._observed:
            return self.get_flag(key, default, "boolean").value
        try:
            return self._boolean.get(key, default)
        except TypeError:  # a key that no dict can hold is no flag's
            return default

    def get_string_flag(self, key: str, default: str) -> str:
        """The flag if it is there and a string, otherwise the default."""
        if self._observed:
            return self.get_flag(key, default, "string").value
        try:
            return self._string.get(key, default)
        except TypeError:
            return default

    def get_integer_flag(self, key: str, default: int) -> int:
        """The flag if it is there and a whole number within ±(2^53 − 1), otherwise the default."""
        if self._observed:
            return self.get_flag(key, default, "integer").value
        try:
            return self._integer.get(key, default)
        except TypeError:
            return default

    # `None` says nothing of the value.
    @overload
    def get_flag(self, key: str, default: None, type: FlagTypeName | None = None) -> FlagDetails[Any]: ...

    @overload
    def get_flag(self, key: str, default: T, type: FlagTypeName | None = None) -> FlagDetails[T]: ...

    def get_flag(self, key: str, default: Any, type: FlagTypeName | None = None) -> FlagDetails[Any]:
        """The flag if it is there with that type, or with any when none is given, otherwise the default; and why.

        A JSON value is a copy.
        """
        details = self._details(key, default, type)
        if self._on_read is not None:
            try:
                self._on_read(details, self)
            except Exception:
                _log.exception("the hook `on_read` failed")
        return details

    def _details(self, key: str, default: T, type: FlagTypeName | None) -> FlagDetails[T]:
        asked = _lookup(_TYPES, type)
        overruled = self._overruled()
        killed = None if overruled is None else _lookup(overruled.killed, key)
        found: FlagType | None = self._type_of(key) if killed is None else killed[0]
        error: ReadErrorCode | None = None
        if found is None:
            error = _lookup(self._unreadable, key) or "FLAG_NOT_FOUND"
        elif type is not None and found != asked:
            error = "TYPE_MISMATCH"
        else:
            value = self._table(found)[key] if killed is None else killed[1]
            stale = overruled is not None and overruled.stale
            reason: Literal["CACHED", "STALE", "DISABLED"] = "DISABLED" if killed else "STALE" if stale else "CACHED"
            return FlagDetails(key, found, cast(T, deepcopy(value)), default, False, reason)
        return FlagDetails(key, asked or found, default, default, True, "ERROR", error)

    def get_all_flags(self) -> dict[str, Any]:
        """Every flag that can be read. A copy."""
        flags = {**self._boolean, **self._string, **self._integer, **deepcopy(self._json)}
        if (overruled := self._overruled()) is not None:
            flags.update((key, deepcopy(value)) for key, (_, value) in overruled.killed.items())
        return flags

    def changed_from(self, older: "FlagSet") -> list[str]:
        """The keys of the flags that differ from those of an older set: added, taken away or changed. Sorted."""
        return self._native.changed_from(older._native)

    @property
    def claims(self) -> dict[str, Any]:
        """All the token's claims. A new copy each time."""
        return cast(dict[str, Any], json.loads(self._native.claims))

    @property
    def organization(self) -> str | None:
        """The organization that the token was issued in."""
        return self._native.organization

    @property
    def flags_revision(self) -> int | None:
        """The revision that was evaluated."""
        return self._revision

    @property
    def state(self) -> State | None:
        """``stale`` when the token is to be refreshed, ``disconnected`` when nobody knows whether it is; otherwise ``fresh``.
        ``None`` where the watermark is not followed."""
        return None if self._watermark is None else self._watermark.state_of(self.flags_revision)

    def _overruled(self) -> Overruled | None:
        return None if self._watermark is None else self._watermark.of(self.flags_revision)

    def __repr__(self) -> str:
        return f"<FlagSet of {len(self.get_all_flags())} flags at revision {self.flags_revision}>"

    def __copy__(self) -> "FlagSet":
        # Nothing about a set changes but what the watermark says, and that a copy must hear too.
        return self

    def __deepcopy__(self, memo: object) -> "FlagSet":
        return self

    def __reduce__(self) -> tuple[Callable[[str], "FlagSet"], tuple[str]]:
        # What follows the watermark stays in its process: in another one a set says what the token says.
        return _of_claims, (self._native.claims,)

    def _table(self, flag_type: FlagType) -> dict[str, Any]:
        return cast(dict[str, Any], getattr(self, f"_{flag_type}"))

    def _type_of(self, key: str) -> FlagType | None:
        for flag_type in ("boolean", "string", "integer", "json"):
            # No value is null: the core answers such a flag like one of another type.
            if _lookup(self._table(flag_type), key) is not None:
                return flag_type
        return None


_TABLES: Final[dict[str, FlagType | None]] = {
    "_boolean": "boolean", "_string": "string", "_integer": "integer", "_unreadable": None,
}  # fmt: skip


def _of_claims(claims: str) -> FlagSet:
    return FlagSet(_native.FlagSet.of_claims(claims))


def _lookup(table: Mapping[Any, Any], key: object) -> Any:
    try:
        return table.get(key)
    except TypeError:  # a key that no dict can hold
        return None
