"""How modules are wired: by name of a module, the names of the modules whose sum enters it."""

from __future__ import annotations

INPUT = "/input"  # the network's input; no module can have this name, since "/" separates paths in NIR files
