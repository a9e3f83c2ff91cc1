"""What there is and what fits what."""
