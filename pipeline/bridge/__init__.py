"""The bridge: static images shown as events, so that a student may learn from images that no camera recorded."""
