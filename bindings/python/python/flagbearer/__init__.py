"""Typed feature flags out of the access token: verify it, and read."""

from flagbearer._error import ErrorCode, FlagbearerError, ReadErrorCode, TokenErrorCode
from flagbearer._flag_set import FlagDetails, FlagSet, FlagType
from flagbearer._reader import Flagbearer

__all__ = [
    "ErrorCode",
    "FlagDetails",
    "FlagSet",
    "FlagType",
    "Flagbearer",
    "FlagbearerError",
    "ReadErrorCode",
    "TokenErrorCode",
]
