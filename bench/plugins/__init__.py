"""Plug-ins: classes built from names, settings and files."""
