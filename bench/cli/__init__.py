"""The command `gradest`."""
