"""What tests of applications are written with: real tokens without a server, and being told of reads."""

import logging
from typing import Any

import pytest

from flagbearer import FlagbearerError, FlagDetails, FlagSet
from flagbearer.testing import TestIssuer

FLAGS = {"on": True, "variant": "b", "limit": 5000, "config": {"model": "large"}}


@pytest.mark.parametrize("profile", ["flagbearer", "kinde"])
def test_a_minted_token_is_verified_and_read_like_the_servers(profile: Any) -> None:
    issuer = TestIssuer(profile=profile)
    flags = issuer.flagbearer().verify(issuer.token(flags=FLAGS, organization="org_a", flags_revision=42))
    assert flags.get_all_flags() == FLAGS
    assert (flags.organization, flags.flags_revision) == ("org_a", 42)


def test_a_token_in_the_profile_of_workos_names_the_flags_that_are_on() -> None:
    issuer = TestIssuer(profile="workos")
    assert issuer.flagbearer().verify(issuer.token(flags={"on": True, "off": False})).get_all_flags() == {"on": True}


def test_a_minted_token_may_have_expired_and_anothers_is_refused() -> None:
    issuer, other = TestIssuer(), TestIssuer()
    for token, code in [(issuer.token(expires_in=-60), "TOKEN_EXPIRED"), (other.token(), "KEY_UNKNOWN")]:
        with pytest.raises(FlagbearerError) as refused:
            issuer.flagbearer().verify(token)
        assert refused.value.code == code


def test_what_no_server_would_mint_is_refused_with_its_place() -> None:
    with pytest.raises(FlagbearerError) as refused:
        TestIssuer().token(flags={"big": 2**53})
    assert (refused.value.code, refused.value.pointer) == ("VALUE_OUT_OF_RANGE", "/flags/big")


def test_each_read_is_reported_with_its_details_and_its_set() -> None:
    told: list[tuple[FlagDetails[Any], FlagSet]] = []
    issuer = TestIssuer()
    flags = issuer.flagbearer(on_read=lambda *read: told.append(read)).verify(issuer.token(flags=FLAGS))
    assert flags.get_boolean_flag("on", False) is True and flags.get_integer_flag("variant", 7) == 7
    assert flags.get_flag("config", None, "j").value == {"model": "large"} and flags.get_string_flag("gone", "x") == "x"
    reads = [(details.code, details.reason, details.error_code) for details, _ in told]
    assert reads == [
        ("on", "CACHED", None), ("variant", "ERROR", "TYPE_MISMATCH"), ("config", "CACHED", None), ("gone", "ERROR", "FLAG_NOT_FOUND"),
    ]  # fmt: skip
    assert all(read is flags for _, read in told)


def test_a_hook_that_fails_is_logged_and_keeps_nobody_from_reading(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*read: Any) -> None:
        raise RuntimeError("no room for exposures")

    issuer = TestIssuer()
    with caplog.at_level(logging.ERROR, logger="flagbearer"):
        assert issuer.flagbearer(on_read=fail).verify(issuer.token(flags=FLAGS)).get_boolean_flag("on", False) is True
    assert "no room for exposures" in caplog.text
