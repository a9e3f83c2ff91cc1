"""What to measure: TOML files, the grid, its cells."""
