"""Makes the files of tests/helpers/frameworks/files/ again, each framework in an environment of its own.

    python tests/helpers/frameworks/regenerate.py [FRAMEWORK ...] [--environments FOLDER]

An environment sees the packages of the interpreter that runs this (torch above all) and adds the versions below, those
that `pip install FRAMEWORK` resolves to; `--no-deps`, since what else they ask for is there or never imported here.
Frameworks without torch have whole environments of their own.
"""

from __future__ import annotations

import argparse
import os
import site
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = {
    "snntorch": ("nirtorch==2.6",),
    "norse": ("norse==1.1.0", "nirtorch==2.6"),
    "sinabs": ("sinabs==3.1.3", "pbr==7.1.3", "nirtorch==2.0.2", "nir==1.0.4"),  # sinabs asks for nir<=1.0.4
    "spikingjelly": ("spikingjelly==2.0.0", "loguru==0.7.3", "nirtorch==2.6"),
    "rockpool": ("rockpool==3.1.0", "nirtorch==2.0.2", "nir==1.0.4"),  # so does rockpool
    "spyx": ("spyx==1.0.0", "nir==1.0.8", "jax==0.10.2", "flax==0.12.8"),
    "nengo": ("nengo==4.1.0", "nir==1.0.8"),
    "nirtorch": ("nirtorch==2.6",),
}
TYPICAL = ("norse", "sinabs", "spikingjelly", "rockpool", "spyx", "nengo")
ALONE = ("spyx", "nengo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frameworks", nargs="*", default=list(PACKAGES), help=", ".join(PACKAGES))
    parser.add_argument("--environments", type=Path, help="keep the environments here (default: thrown away)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for framework in options.frameworks:
            python = environment((options.environments or Path(temporary)) / framework, PACKAGES[framework],
                                 alone=framework in ALONE)  # fmt: skip
            print(framework)
            script = str(HERE / f"make_{framework}.py")
            settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}  # edges in one order
            subprocess.run([python, "-W", "ignore", script, str(HERE / "files")], check=True, env=settings)
            if framework in TYPICAL:
                more = [str(HERE / "make_typical.py"), framework, str(HERE / "files")]
                subprocess.run([python, "-W", "ignore", *more], check=True, env=settings)


def environment(folder: Path, packages: tuple[str, ...], *, alone: bool = False) -> str:
    """The Python of an environment in `folder` with `packages` before this interpreter's own, or with these alone."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if not alone:
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        shared = folder / "lib" / version / "site-packages" / "shared.pth"
        shared.write_text("\n".join(site.getsitepackages()) + "\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *([] if alone else ["--no-deps"]), *packages], check=True)
    return str(python)


if __name__ == "__main__":
    main()
