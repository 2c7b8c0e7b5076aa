"""The wheel as its users get it: installed into an empty environment of each Python that is here, used from there, and held to
the vectors."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

USE = """
import flagbearer, sys
from flagbearer import Flagbearer, FlagbearerError
from flagbearer.testing import TestIssuer
assert sys.prefix in flagbearer.__file__, flagbearer.__file__
issuer = TestIssuer()
assert issuer.flagbearer().verify(issuer.token(flags={"on": True})).get_boolean_flag("on", False)
try:
    Flagbearer(issuer="https://flags.example.com", audience="api").verify("garbage")
except FlagbearerError as error:
    print(error.code)
"""


def pythons() -> list[str]:
    """Those that are on the path or that pyenv has, of the versions that the package is for; one of each."""
    folders = [*map(Path, os.environ["PATH"].split(os.pathsep)), *Path.home().glob(".pyenv/versions/*/bin")]
    found = {f"3.{sys.version_info.minor}": sys.executable}
    for python in (path for folder in folders for path in sorted(folder.glob("python3.*"))):
        name = re.fullmatch(r"python(3\.\d+)", python.name)
        if name is None or int(name[1].partition(".")[2]) < 10 or name[1] in found:
            continue
        # One that does not start, as pyenv has them in its own folder, is none.
        if subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            found[name[1]] = str(python)
    return [found[version] for version in sorted(found)]


@pytest.fixture(scope="module")
def wheel() -> Path:
    assert "FLAGBEARER_WHEEL" in os.environ, "`test/run` builds the wheel that is tested here"
    return Path(os.environ["FLAGBEARER_WHEEL"])


@pytest.mark.parametrize("python", pythons())
def test_one_wheel_is_for_every_python(wheel: Path, python: str, tmp_path: Path) -> None:
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path], check=True)
    inside = tmp_path / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", inside]
    subprocess.run([*pip, "install", "--quiet", "--no-index", wheel], check=True)
    used = subprocess.run([inside, "-c", USE], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (used.stdout, used.stderr) == ("TOKEN_MALFORMED\n", "")
    # Only now: the package itself needs nothing.
    subprocess.run([*pip, "install", "--quiet", "pytest"], check=True)
    run = [inside, "-m", "pytest", "--quiet", "--noconftest", "-p", "no:cacheprovider"]
    vectors = Path(__file__).with_name("test_vectors.py")
    ran = subprocess.run([*run, vectors], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_wheel_has_its_types_its_licences_and_the_version_of_the_project(wheel: Path) -> None:
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {"flagbearer/py.typed", "flagbearer/_native.pyi"} <= files
    root = Path(__file__).parents[3]
    # Links to these: where a checkout has none, they are no licences.
    with zipfile.ZipFile(wheel) as inside:
        for name in ("LICENSE-APACHE", "LICENSE-MIT"):
            [path] = [file for file in files if file.endswith(f"/licenses/{name}")]
            assert inside.read(path) == (root / name).read_bytes()
    version = subprocess.run([root / "bindings/version"], capture_output=True, text=True, check=True).stdout.strip()
    assert wheel.name.startswith(f"flagbearer-{version}-cp310-abi3-")
