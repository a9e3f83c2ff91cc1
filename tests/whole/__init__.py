"""Tests of what belongs to no module."""
