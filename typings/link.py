"""Links the folders below typings/spikeport as the installed package has them: for mypy and pyright alone."""

from pathlib import Path

HERE = Path(__file__).resolve().parent


def link() -> None:
    """Makes typings/spikeport anew: the files of spikeport/, and pipeline, export, hardware_profiles, recipes."""
    package, root = HERE / "spikeport", HERE.parent
    package.mkdir(exist_ok=True)
    wanted = {entry.name: entry for entry in (root / "spikeport").iterdir() if entry.name != "__pycache__"}
    wanted |= {name: root / name for name in ("pipeline", "export", "hardware_profiles", "recipes")}
    for old in package.iterdir():
        if old.is_symlink() and old.name not in wanted:
            old.unlink()
    for name, target in wanted.items():
        if not (package / name).is_symlink():
            (package / name).symlink_to(Path("../..") / target.relative_to(root))


if __name__ == "__main__":
    link()
