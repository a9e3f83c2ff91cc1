"""Draws batches of gradient estimates."""
