"""Hardware profiles: what a device is known to need and hold, each number with its source and grade."""

from hardware_profiles.profile import HardwareProfile, list_profiles, load_profile

__all__ = ["HardwareProfile", "list_profiles", "load_profile"]
