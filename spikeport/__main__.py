"""`python -m spikeport`: the command."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # `-m` searches the working folder first, whatever its files are called; `spikeport` does not

from spikeport.pipeline.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
