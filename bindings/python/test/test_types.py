"""The package and the example under the type checkers, as strict as they can be. What must be refused is in typed_use.py."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKERS = {"mypy": [], "pyright": ["--pythonpath", sys.executable]}


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_types_hold(checker: str) -> None:
    command = [sys.executable, "-m", checker, *CHECKERS[checker]]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
