"""A problem is q at θ with f; its exact gradient; training of the committed points."""
