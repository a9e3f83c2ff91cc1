"""Declares metrics and columns; records, long and wide tables, table files, run folders and filters."""
