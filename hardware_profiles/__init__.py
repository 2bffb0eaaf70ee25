"""Hardware profiles: what a device is known to need and hold, each number with its source and grade."""
