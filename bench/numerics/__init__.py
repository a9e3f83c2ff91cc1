"""Named tensors, quadrature, expected softplus, likelihoods of bits."""
