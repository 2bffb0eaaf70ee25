"""`python -m spikeport`: the command."""

from spikeport.pipeline.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
