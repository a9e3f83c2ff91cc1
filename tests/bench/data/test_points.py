"""The committed points: small, readable without pickle, and a clear sentence where there is none."""

import numpy as np
import pytest

from bench.data.trained import POINTS_FOLDER, load
from bench.distributions import distributions
from bench.objectives import objectives
from estimators.errors import BadInput


def test_all_points_are_small_and_plain():
    files = list(POINTS_FOLDER.glob("*.npz"))
    assert sum(file.stat().st_size for file in files) < 300_000
    for file in files:
        objective, family, size, point = file.stem.split("-")
        with np.load(file, allow_pickle=False) as arrays:
            assert set(load(objective, family, int(size), point)) == set(arrays.files)


def test_a_missing_size_says_which_there_are():
    with pytest.raises(BadInput, match=r"digits_vae has no 'trained' point for bernoulli_encoder of size 7; .*32"):
        load("digits_vae", "bernoulli_encoder", 7, "trained")


def test_other_settings_than_the_trained_ones():
    family = distributions.get("categorical_encoder", categories=7)
    with pytest.raises(BadInput, match=r"shape \(32, 64\), not \(56, 64\)"):
        objectives.get("digits_vae").theta(family, "trained")


def test_an_unknown_recipe_names_the_known():
    from bench.problems.train import main

    with pytest.raises(BadInput, match="did you mean 'digits_vae'"):
        main(["digit_vae"])
