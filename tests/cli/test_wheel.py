"""The wheel holds all that a run needs, and works where the repository is not."""

import subprocess
import sys
import zipfile
from pathlib import Path

from shell import TIMEOUT, environment

ROOT = Path(__file__).resolve().parents[2]

CODE = """
import sys
import adlx
from adlx.cli.main import run
from adlx.runs.catalog import config_folder
print(adlx.__file__)
print(config_folder())
sys.exit(run(sys.argv[1:]))
"""


def test_the_wheel_trains_elsewhere(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, env=environment(), timeout=TIMEOUT)
    (wheel,) = tmp_path.glob("adlx-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    configs = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml"))
    assert sorted(name for name in names if name.endswith(".yaml")) == [f"adlx/{path}" for path in configs]
    assert "adlx/py.typed" in names
    assert sum(name.endswith("licenses/LICENSE") for name in names) == 1
    assert all(name.startswith(("adlx/", "adlx-")) for name in names)

    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, env=environment(), timeout=TIMEOUT)
    script = site / "bin" / "adlx"
    assert "from adlx.cli.main import main" in script.read_text()
    done = subprocess.run(
        [sys.executable, "-c", CODE, "train", "model=naive", "data=fx", "trainer.accelerator=cpu", "logger=none"],
        cwd=empty,
        env=environment(PYTHONPATH=str(site)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    module, folder, *lines = done.stdout.splitlines()
    assert Path(module) == site / "adlx" / "__init__.py"
    assert Path(folder) == site / "adlx" / "configs"
    assert lines[0].startswith("data: ecb, ")
    assert "skill +0.0000: no significant difference from the baseline (p = 1)" in lines
    assert (empty / lines[-1].removeprefix("run: ") / "metrics.json").is_file()
