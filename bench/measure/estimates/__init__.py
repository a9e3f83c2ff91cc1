"""Batches of gradient estimates."""
