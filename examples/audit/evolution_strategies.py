"""Mirrored evolution strategies in numpy, audited: `gradest audit examples/audit/evolution_strategies.py`

The same as a command, as a program in any language would be:
`gradest audit "python examples/audit/evolution_strategies.py {seed} {count} {file}" --exact exact.npy`,
after `python examples/audit/evolution_strategies.py exact exact.npy`.
"""

import sys

import numpy as np

mean, scale = np.linspace(-1.0, 1.0, 5), 0.3
target = np.array([0.5, 0.0, -1.0, 2.0, 1.0])


def objective(z):  # z of shape [..., 5]
    return np.square(z - target).sum(-1)


exact = 2 * (mean - target)  # of E objective(mean + scale * noise): the noise adds a constant


def draw(seed, count):
    """Estimates of the gradient in the mean, `[count, 5]`: one pair of mirrored draws each."""
    noise = np.random.default_rng(seed).standard_normal((count, len(mean)))
    difference = objective(mean + scale * noise) - objective(mean - scale * noise)
    return difference[:, None] * noise / (2 * scale)


if __name__ == "__main__":
    *how, file = sys.argv[1:]
    np.save(file, exact if how == ["exact"] else draw(int(how[0]), int(how[1])))
