"""Classes from names, settings and files."""
