"""Metrics and columns declared; records, long and wide tables, files, folders, filters."""
