"""Advice for a user's own model."""
