"""The wheel carries what the command needs: recipes, profiles, templates, the files for Lava."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_wheel_ships_every_file_that_is_no_code(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    copy = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        if name.startswith(("pipeline/", "export/", "hardware_profiles/", "recipes/")) or "/" not in name:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(copy)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("spikeport-*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        name
        for name in tracked
        if name.startswith(("pipeline/", "export/", "hardware_profiles/", "recipes/")) and (copy / name).is_file()
    }
    assert wanted - shipped == set()
    assert any(name.endswith(".j2") for name in wanted)
    assert any(name.startswith("recipes/") for name in wanted)
