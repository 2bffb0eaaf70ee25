"""The virtual environment that Lava runs in: finds it and makes it.

lava-nc 0.10.0 and lava-dl 0.6.0 are the final releases of an archived project and ask for old packages, so they
never share an environment with Spikeport.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from spikeport.errors import MissingDependencyError, UserError
from spikeport.files import write_text
from spikeport.locks import held

LAVA_NC, LAVA_DL = "0.10.0", "0.6.0"
VARIABLE = "SPIKEPORT_LAVA_PYTHON"
_DONE = "spikeport-lava-ready"


def default_folder() -> Path:
    """Where `spikeport lava install` makes the environment.

    Inside the running virtual environment, so that both are deleted together; else in the user's data folder.
    """
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "lava"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "spikeport" / f"lava-{LAVA_NC}-py{sys.version_info[0]}.{sys.version_info[1]}"


def interpreter() -> Path:
    """The Python interpreter that has Lava.

    Raises:
        MissingDependencyError: there is none; the hint is the command that installs it.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise MissingDependencyError(
                f"{VARIABLE}={named} is not a program",
                hint=f"name an interpreter that has Lava, or unset {VARIABLE}",
            )
        return Path(named)
    folder = default_folder()
    if not (folder / _DONE).is_file():
        raise MissingDependencyError("Lava is not installed", where=str(folder), hint="run `spikeport lava install`")
    return _python_of(folder)


def install(folder: Path | None = None, log: Callable[[str], None] = lambda _: None) -> Path:
    """Makes the environment (about 500 MB, without torch) unless it exists.

    One process makes it and others wait. An incomplete environment is never used; it is removed and made again.

    Args:
        folder: where to make it; None: `default_folder()`.
        log: called with each line about what is being done.

    Returns:
        Its interpreter.

    Raises:
        UserError: it cannot be made; the cause is the last line that pip printed.
    """
    folder = folder or default_folder()
    if not (folder / _DONE).is_file():

        def wait() -> None:
            log(f"another spikeport makes {folder}; waiting for it")

        with held(folder.with_name(f"{folder.name}.lock"), busy=wait) as lock:
            if not (folder / _DONE).is_file():
                _make(folder, log, lock)
                return _python_of(folder)
    log(f"Lava {LAVA_NC} is already installed in {folder}")
    return _python_of(folder)


def _make(folder: Path, log: Callable[[str], None], lock: int) -> None:
    """Makes the environment; the file that marks it complete is written last.

    The processes that are started inherit `lock`: if this process is killed, pip continues, and no other
    process may start to make the same environment.
    """
    if folder.exists():
        shutil.rmtree(folder)
    log(f"making an environment for Lava in {folder}")
    _call([sys.executable, "-P", "-m", "venv", str(folder)], "the virtual environment", lock)
    pip = [str(_python_of(folder)), "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    log("installing what netx needs")
    _call([*pip, "-r", str(Path(__file__).with_name("requirements.txt"))], "what Lava needs", lock)
    log(f"installing lava-nc {LAVA_NC} and lava-dl {LAVA_DL}")
    # They pin Python 3.10 and old packages; the shims in `inside` make them run here, as the known answers prove.
    pins = str(Path(__file__).with_name("lava.txt"))
    _call([*pip, "--no-deps", "--ignore-requires-python", "--require-hashes", "-r", pins], "Lava", lock)
    write_text(folder / _DONE, f"lava-nc {LAVA_NC}\nlava-dl {LAVA_DL}\n")


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _call(command: list[str], what: str, lock: int) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=[lock])
    if result.returncode:
        last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        raise UserError(
            f"could not install {what}",
            cause=last[0] if last else "",
            hint="check the connection and run it again",
        )
