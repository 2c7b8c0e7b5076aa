from typing import Literal, TypeAlias, Union

TokenErrorCode: TypeAlias = Literal[
    "TOKEN_MALFORMED",
    "ALGORITHM_UNSUPPORTED",
    "KEY_UNKNOWN",
    "SIGNATURE_INVALID",
    "TYPE_INVALID",
    "CLAIM_MISSING",
    "ISSUER_MISMATCH",
    "AUDIENCE_MISMATCH",
    "TOKEN_EXPIRED",
    "TOKEN_NOT_YET_VALID",
    "FLAGS_MALFORMED",
]
"""Why a token was refused. When several hold, the first of this list is told."""

ErrorCode: TypeAlias = Union[TokenErrorCode, Literal["KEYS_UNAVAILABLE", "CONFIGURATION_INVALID"]]

ReadErrorCode: TypeAlias = Literal["FLAG_NOT_FOUND", "TYPE_MISMATCH", "PARSE_ERROR"]
"""Why a read answered the default."""


class FlagbearerError(Exception):
    """Why there are no flags. Programs look at ``code``, which never changes; people read the message."""

    code: str
    """One of :data:`ErrorCode`; the doors of ``flagbearer.testing`` have codes of their own."""
    pointer: str
    """For those doors: where in the document, as a JSON pointer."""

    def __init__(self, code: str, message: str, pointer: str = "") -> None:
        super().__init__(code, message, pointer)
        self.code = code
        self.pointer = pointer

    def __str__(self) -> str:
        return str(self.args[1])
