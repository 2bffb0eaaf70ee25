"""The wheel carries what the command needs, all below the one name `spikeport`."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("spikeport/", "pipeline/", "export/", "hardware_profiles/", "recipes/")


def test_the_wheel_ships_every_file_below_one_name(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    copy = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        if (name.startswith(FOLDERS) or "/" not in name) and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(copy)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("spikeport-*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        name if name.startswith("spikeport/") else f"spikeport/{name}"
        for name in tracked
        if name.startswith(FOLDERS) and (copy / name).is_file()
    }
    assert wanted - shipped == set()
    assert {name.partition("/")[0] for name in shipped if ".dist-info" not in name} == {"spikeport"}
    for ending in (".j2", ".toml", ".txt", ".json", "py.typed"):
        assert any(name.endswith(ending) for name in wanted), ending
