"""Typed feature flags out of the access token: verify it, and read."""

from flagbearer._error import ErrorCode, FlagbearerError, ReadErrorCode, TokenErrorCode
from flagbearer._flag_set import FlagDetails, FlagSet, FlagType, FlagTypeName, OnRead
from flagbearer._reader import Flagbearer
from flagbearer._watermark import State

__all__ = [
    "ErrorCode",
    "FlagDetails",
    "FlagSet",
    "FlagType",
    "FlagTypeName",
    "Flagbearer",
    "FlagbearerError",
    "OnRead",
    "ReadErrorCode",
    "State",
    "TokenErrorCode",
]
