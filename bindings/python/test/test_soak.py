"""A short soak; the long one is for people to run. It fails by itself where something grows."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "bench" / "soak.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the figures are Linux's")
def test_verifying_and_reading_in_threads_needs_no_more_memory_and_no_more_objects() -> None:
    soak = subprocess.run([sys.executable, SOAK, "200000"], capture_output=True, text=True, check=False)
    assert soak.returncode == 0, soak.stdout + soak.stderr
