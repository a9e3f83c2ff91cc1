"""Where cells are measured."""
