"""Where a number comes from: identities (hashes), seeds, the machine."""
