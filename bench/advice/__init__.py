"""Advice for a user's own model: which estimator, and with how many samples.

A model is θ, a function θ → q and an objective f. It is measured on one of two roads (`roads`):

- the *loop road* takes one training step at a time with the user's own functions: q at θ, the surrogate, its gradient.
  Whatever trains can be measured so;
- the *batched road* draws many estimates at once from a q that is rebuilt at expanded parameters. It is taken where the
  rebuilt q is shown to be the user's: log-densities and seeded draws agree at θ and at a second point, and f gives
  each draw the value that it gives it alone.

Both give the same estimates; the answer says which was taken. The way of an answer:

    model_file, own_model     what the user gives, as θ by name, θ → q and an Objective
    given_objective           a plain function made an Objective: casts, and whether it has a gradient
    soundness                 noise, in-place changes, infinite values, dependent draws: found before the race
    roads, own_problem        one gradient estimate, or many
    workshop, turns           what runs in the worker process: everything that calls the user's code
    workers                   that process: time limit, memory limit, replacement
    entrants, candidate       who races, and what is known of each
    race                      successive elimination on variance × cost
    witness                   is an estimator's mean the gradient?
    conclusion, wording       is the answer conclusive, and its sentences
    printed_code              the lines to use it, tried before they are printed
    combinations, by_variable several random variables: their estimators race one variable after the other
    recommendation            `bench.recommend`
    trajectory                the same along a training run
"""
