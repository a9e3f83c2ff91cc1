"""Problems (q at θ with an objective f), their exact gradients, and the training of the committed points."""
