"""Engines: where cells are measured."""
