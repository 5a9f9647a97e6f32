"""The wheel contains all files that a run needs, and works without the repository."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from shell import TIMEOUT, environment

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_trains_without_the_repository(tmp_path):
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

    venv, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    # The new environment uses the libraries of this one: a path file adds their folder. Path files in that folder are
    # not read, so the editable install of this repository is not visible.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=TIMEOUT)
    (site,) = (venv / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--ignore-installed", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True, env=environment(PYTHONPATH=""), timeout=TIMEOUT)

    def inside(*command: str) -> subprocess.CompletedProcess[str]:
        variables = environment(PYTHONPATH="")  # not this repository's source
        return subprocess.run(
            command, cwd=empty, env=variables, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    where = "from adlx.config.catalog import config_folder; print(config_folder())"
    assert inside(python, "-c", where).stdout.strip() == str(site / "adlx" / "configs")
    words = ["model=naive", "data=fx", "trainer.accelerator=cpu", "logger=none"]
    done = inside(str(venv / "bin" / "adlx"), "train", *words)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("data: ecb, ")
    assert "skill +0.0000: no significant difference from the baseline (p = 1.0000)" in lines
    assert (empty / lines[-1].removeprefix("run: ") / "metrics.json").is_file()
