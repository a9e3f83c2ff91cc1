"""Real data sets for objectives and encoders, as float64 tensors on the CPU."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor


@lru_cache
def breast_cancer() -> tuple[Float[Tensor, "569 31"], Float[Tensor, "569"]]:
    """Returns the Wisconsin breast cancer data: 30 standardised features, an intercept (last); labels ±1 (1: benign).

    Wolberg, Street, Mangasarian 1995; ships inside scikit-learn.
    """
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    x = torch.tensor(features, dtype=torch.float64)
    x = (x - x.mean(0)) / x.std(0, correction=0)
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1), 2.0 * torch.tensor(labels, dtype=x.dtype) - 1


@lru_cache
def digits() -> Float[Tensor, "1797 64"]:
    """Returns handwritten digits, 8 × 8 pixels of 0…16, binarised: 1 where the pixel is at least 8.

    Alpaydin, Kaynak 1998 (UCI test set); ships inside scikit-learn.
    """
    from sklearn.datasets import load_digits

    pixels, _ = load_digits(return_X_y=True)
    return (torch.tensor(pixels) >= 8).double()


@lru_cache
def diabetes() -> tuple[Float[Tensor, "442 10"], Float[Tensor, "442"]]:
    """Returns 10 features and the diabetes progression after a year, all standardised, so without an intercept.

    Efron, Hastie, Johnstone, Tibshirani 2004; ships inside scikit-learn.
    """
    from sklearn.datasets import load_diabetes

    features, target = (torch.tensor(array) for array in load_diabetes(return_X_y=True, scaled=False))
    return (features - features.mean(0)) / features.std(0, correction=0), (target - target.mean()) / target.std(
        correction=0
    )


@lru_cache
def iris(flowers: int) -> Float[Tensor, "flowers 2"]:
    """Returns standardised petal length and width of `flowers` irises, evenly spaced over all 150 (three species).

    Fisher 1936; ships inside scikit-learn.
    """
    from sklearn.datasets import load_iris

    features, _ = load_iris(return_X_y=True)
    petals = torch.tensor(features[:, 2:])
    petals = (petals - petals.mean(0)) / petals.std(0, correction=0)
    return petals[torch.linspace(0, len(petals) - 1, flowers).long()]
