"""Why the numbers can be believed."""
