"""Provenance of a result: identities (hashes), seeds, and the machine it was measured on."""
