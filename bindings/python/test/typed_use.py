"""What the type checkers must accept and refuse: run by test_types.py, never imported."""

from typing import Any, Literal

from typing_extensions import assert_type

from flagbearer import Flagbearer, FlagbearerError, FlagDetails, FlagSet, ReadErrorCode

def told(details: FlagDetails[Any], flags: FlagSet) -> None: ...


Flagbearer(issuer="https://flags.example.com", audience="api", follow_watermark=True, on_read=told).close()
Flagbearer(issuer="https://flags.example.com", audience="api", on_read=print)
Flagbearer(issuer="https://flags.example.com", audience="api", on_read=1)  # type: ignore[call-overload]  # pyright: ignore
reader = Flagbearer(issuer="https://flags.example.com", audience="api", leeway=10)
Flagbearer(issuer="https://flags.example.com", client_id="app_1", profile="kinde", jwks_uri="https://flags.example.com/keys")
Flagbearer(issuer="https://flags.example.com", client_id="app_1")  # type: ignore[call-overload]  # pyright: ignore
Flagbearer(issuer="https://flags.example.com")  # type: ignore[call-overload]  # pyright: ignore
Flagbearer("https://flags.example.com", audience="api")  # type: ignore[call-overload]  # pyright: ignore


def read(flags: FlagSet) -> None:
    assert_type(flags.get_boolean_flag("a", False), bool)
    assert_type(flags.get_string_flag("a", "x"), str)
    assert_type(flags.get_integer_flag("a", 1), int)
    flags.get_integer_flag("a", "1")  # type: ignore[arg-type]  # pyright: ignore
    flags.get_boolean_flag("a", None)  # type: ignore[arg-type]  # pyright: ignore
    flags.get_flag("a", 1, "number")  # type: ignore[call-overload]  # pyright: ignore
    details = flags.get_flag("a", 1, "i")
    assert_type(details, FlagDetails[int])
    assert_type(details.value, int)
    assert_type(details.error_code, ReadErrorCode | None)
    assert_type(flags.get_flag("a", None, "j").value, Any)
    assert_type(flags.get_all_flags(), dict[str, Any])
    assert_type(flags.claims, dict[str, Any])
    assert_type(flags.organization, str | None)
    assert_type(flags.flags_revision, int | None)
    assert_type(flags.state, Literal["fresh", "stale", "disconnected"] | None)
    flags.organization = "x"  # type: ignore[misc]  # pyright: ignore
    assert_type(FlagSet.of({"a": True}), FlagSet)


async def verify(header: str | None) -> list[str]:
    try:
        older = reader.verify(header)
        newer = await reader.averify(header)
    except FlagbearerError as error:
        assert_type(error.code, str)
        return []
    return newer.changed_from(older)
