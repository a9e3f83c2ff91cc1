"""Data sets and trained parameters (`points/*.npz`)."""
