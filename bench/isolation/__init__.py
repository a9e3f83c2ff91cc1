"""A function in a process of its own: whatever it does, the caller goes on and is told how it ended."""
