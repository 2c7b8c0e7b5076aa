"""Reading: what must not raise, what must not convert, and what one reader must not change for the next."""

import copy
import pickle
from types import MappingProxyType
from typing import Any

import pytest
from issuer import Issuer

from flagbearer import Flagbearer, FlagbearerError, FlagSet
from flagbearer.testing import error_codes, flag_set_of_claim


def test_details_name_the_type_asked_for_and_a_read_without_a_type_answers_any() -> None:
    flags = FlagSet.of({"limit": 5})
    details = flags.get_flag("limit", 1)
    assert (details.type, details.value, details.default_value, details.is_default) == ("integer", 5, 1, False)
    assert (details.reason, details.error_code) == ("CACHED", None)
    assert flags.get_flag("limit", 1, "number").error_code == "TYPE_MISMATCH"
    assert flags.get_flag("limit", 1, "s").value == 1
    assert flags.get_flag("gone", 1, "i").error_code == "FLAG_NOT_FOUND"


def test_null_is_no_value() -> None:
    details = flag_set_of_claim('{"nothing":{"t":"j","v":null}}').get_flag("nothing", "x")
    assert (details.value, details.is_default, details.error_code) == ("x", True, "TYPE_MISMATCH")


@pytest.mark.parametrize("key", [None, 1, True, 1.5, b"a", (), [], {}, set(), object(), "", "\ud800", "__class__", "_boolean"])
def test_a_key_that_is_no_flags_answers_the_default(key: Any) -> None:
    flags = FlagSet.of({"a": True, "b": "x", "c": 5, "d": {}})
    assert flags.get_boolean_flag(key, True) is True
    assert flags.get_string_flag(key, "z") == "z"
    assert flags.get_integer_flag(key, 7) == 7
    assert flags.get_flag(key, "z", "j").error_code == "FLAG_NOT_FOUND"
    assert flags.get_flag("a", "z", key).value in ("z", True)


def test_a_boolean_is_no_integer_and_nothing_is_converted() -> None:
    flags = FlagSet.of({"yes": True, "one": 1, "text": "1"})
    assert flags.get_integer_flag("yes", 9) == 9 and flags.get_boolean_flag("one", False) is False
    assert flags.get_integer_flag("text", 9) == 9 and flags.get_string_flag("one", "x") == "x"
    assert type(flags.get_all_flags()["yes"]) is bool and type(flags.get_all_flags()["one"]) is int


def test_what_a_reader_changes_stays_its_own() -> None:
    flags = FlagSet.of({"config": {"models": ["a"]}})
    flags.get_flag("config", None, "j").value["models"].append("b")  # type: ignore[index]
    flags.get_all_flags()["config"]["models"].append("c")
    flags.claims["feature_flags"].clear()
    assert flags.get_flag("config", None).value == {"models": ["a"]}
    assert flags.claims["feature_flags"] == {"config": {"t": "j", "v": {"models": ["a"]}}}
    with pytest.raises(AttributeError):
        flags.other = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        flags.unknown  # noqa: B018


def test_a_set_of_values_has_their_types_and_refuses_what_no_flag_can_be() -> None:
    flags = FlagSet.of({"a": True, "b": "x", "c": 5, "d": [1.5]})
    assert [flags.get_flag(key, None).type for key in "abcd"] == ["boolean", "string", "integer", "json"]
    assert flags.organization is None and flags.flags_revision is None
    with pytest.raises(ValueError):
        FlagSet.of({"a": float("nan")})
    with pytest.raises(FlagbearerError) as refused:
        FlagSet.of(MappingProxyType({"a": 2**53}))
    assert (refused.value.code, refused.value.pointer) == ("VALUE_OUT_OF_RANGE", "/a")


def test_a_set_can_be_copied_and_sent_to_another_process(issuer: Issuer, reader: Flagbearer) -> None:
    flags = reader.verify(issuer.token())
    for other in (copy.copy(flags), copy.deepcopy(flags), pickle.loads(pickle.dumps(flags))):
        assert other.get_all_flags() == flags.get_all_flags() and other.claims == flags.claims
    error = pickle.loads(pickle.dumps(FlagbearerError("TOKEN_EXPIRED", "too late")))
    assert (error.code, str(error)) == ("TOKEN_EXPIRED", "too late")


def test_numbers_that_python_reads_reluctantly_are_kept_from_it_by_the_core() -> None:
    for count in [400, 4300]:  # beyond doubles, and the most that int() reads
        digits = "9" * count
        assert flag_set_of_claim(f'{{"big":{{"t":"j","v":[{digits}]}}}}').get_flag("big", 0).error_code == "PARSE_ERROR"
    with pytest.raises(FlagbearerError) as error:
        flag_set_of_claim(f'{{"big":{{"t":"j","v":[{"9" * 4301}]}}}}')
    assert error.value.code == "TOKEN_MALFORMED"
    digits = "1" + "0" * 300
    assert flag_set_of_claim(f'{{"big":{{"t":"j","v":[{digits}]}}}}').get_flag("big", None).value == [10**300]


def test_what_changed_is_told_between_tokens(issuer: Issuer, reader: Flagbearer) -> None:
    older = reader.verify(issuer.token())
    newer = reader.verify(issuer.token(feature_flags={"new_ai_model": {"t": "b", "v": False}, "b": {"t": "i", "v": 1}}))
    assert newer.changed_from(older) == ["b", "new_ai_model"]
    assert newer.changed_from(newer) == []


def test_the_codes_in_the_types_are_those_of_the_core() -> None:
    from typing import get_args

    from flagbearer import ErrorCode, ReadErrorCode

    declared = {code for part in get_args(ErrorCode) for code in (get_args(part) or [part])} | set(get_args(ReadErrorCode))
    # Keys that sign are not read here.
    assert declared == set(error_codes()) - {"SIGNING_KEY_INVALID", "WATERMARK_OLDER"}
