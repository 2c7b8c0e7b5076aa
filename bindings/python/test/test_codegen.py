"""The accessors that `flagbearer codegen python` writes for the flags of tests/codegen."""

import runpy
from pathlib import Path
from typing import Any

from flagbearer import FlagSet

SOURCE = Path(__file__).parents[3] / "tests/codegen/flags.py"


def test_an_accessor_answers_the_flag_or_the_default_that_it_was_generated_with() -> None:
    generated: Any = runpy.run_path(str(SOURCE))["Flags"]
    defaults = generated(FlagSet.of({}))
    assert (defaults.new_ai_model, defaults.class_, defaults.ai_token_limit) == (False, True, -(2**53) + 1)
    assert defaults.prompt_variant == 'it\'s "${5}"\n\\ and\u2028more'
    assert defaults.model_config == {"models": ["a", "it's"], "deep": {"on": True, "none": None}}
    assert (defaults.ui_theme_f6x, defaults.ui_theme_f7x) == ("light", "dark")
    assert (defaults.property_, defaults.int_, defaults.direction) == (True, 3, "\u202eturned\u2066")
    flags = generated(FlagSet.of({"new_ai_model": True, "class": False, "ai.token-limit": 7, "MODELConfig": [1]}))
    assert (flags.new_ai_model, flags.class_, flags.ai_token_limit, flags.model_config) == (True, False, 7, [1])
