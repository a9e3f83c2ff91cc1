"""What families of estimators share."""
