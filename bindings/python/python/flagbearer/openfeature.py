"""Flagbearer behind OpenFeature's API. A token's flags are one user's, so the provider reads the set that is current where the
read happens, in a thread as in an asyncio task::

    api.set_provider(FlagbearerProvider())

    with reading(flagbearer.verify(token)):
        api.get_client().get_boolean_value("new_ai_model", False)
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagMetadata, FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from flagbearer._flag_set import FlagDetails, FlagSet, FlagType

__all__ = ["FlagbearerProvider", "reading"]

T = TypeVar("T")

_current: Final[ContextVar[FlagSet | None]] = ContextVar("flagbearer", default=None)


@contextmanager
def reading(flags: FlagSet) -> Generator[None, None, None]:
    """Whatever is read within this is read from these flags."""
    token = _current.set(flags)
    try:
        yield
    finally:
        _current.reset(token)


class FlagbearerProvider(AbstractProvider):
    """Answers from the flags that :func:`reading` says, or from the ones given here, for programs that have one user. Without
    any, the caller's default with ``PROVIDER_NOT_READY``. The evaluation context is not looked at: the server has evaluated.

    Metadata: ``version``, the revision that was evaluated, and ``contextId``, the user.
    """

    def __init__(self, flags: FlagSet | None = None) -> None:
        super().__init__()
        self._flags = flags

    def get_metadata(self) -> Metadata:
        return Metadata(name="flagbearer")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(flag_key, default_value, "boolean")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._resolve(flag_key, default_value, "string")

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._resolve(flag_key, default_value, "integer")

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Of an integer flag: its integers are all exact as floats."""
        resolved = self._resolve(flag_key, default_value, "integer")
        resolved.value = float(resolved.value)
        return resolved

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        return self._resolve(flag_key, default_value, "json")

    def _resolve(self, key: str, default: T, type: FlagType) -> FlagResolutionDetails[T]:
        flags = _current.get() or self._flags
        if flags is None:
            message = "no token's flags are being read here; see `flagbearer.openfeature.reading`"
            return FlagResolutionDetails(default, ErrorCode.PROVIDER_NOT_READY, message, reason="ERROR")
        details: FlagDetails[T] = flags.get_flag(key, default, type)
        if details.error_code is not None:
            message = f"`{key}`, read as {type}: {details.error_code}"
            return FlagResolutionDetails(default, ErrorCode(details.error_code), message, details.reason)
        return FlagResolutionDetails(details.value, reason=details.reason, flag_metadata=_metadata(flags))


def _metadata(flags: FlagSet) -> FlagMetadata:
    metadata: dict[str, Any] = {"version": flags.flags_revision, "contextId": flags.claims.get("sub")}
    return cast(FlagMetadata, {name: str(value) for name, value in metadata.items() if value is not None})
