"""The frameworks' side: value and gradient of a framework's own loss on given tensors, a JSON line for each request.

    python answers.py PROBLEMS.npz < requests

A request is {"function": NAME, "problem": NAME, "settings": {…}}, an answer {"value": …, "gradient": [[…]]}, or
{"error": …}. Tensors are those of `peers/frameworks/problems.py`, [B, K, T] flattened to [B·K, T], in float64.
"""

import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import openrlhf_losses
import torch
import trl_losses
import verl_losses

FUNCTIONS = {"verl": verl_losses.loss, "trl:grpo": trl_losses.grpo, "trl:rloo": trl_losses.rloo} | {
    "openrlhf": openrlhf_losses.loss,
    "openrlhf:ppo": openrlhf_losses.ppo,
}


def flat(given: dict[str, torch.Tensor]) -> SimpleNamespace:
    """The tensors of a problem with one axis of rollouts, its groups, and what the gradient is taken of."""
    B, K, T = given["mask"].shape
    tensors = {name: value.reshape(B * K, -1) if value.dim() == 3 else value for name, value in given.items()}
    tensors["rewards"] = given["rewards"].flatten()
    tensors["greedy_rewards"] = given["greedy_rewards"].repeat_interleave(K)
    group = np.repeat(np.arange(B), K)
    return SimpleNamespace(**tensors, now=tensors["log_probs"].clone().requires_grad_(), group=group, B=B, K=K, T=T)


def answer(problems: dict[str, dict[str, torch.Tensor]], asked: dict) -> dict:
    given = flat(problems[asked["problem"]])
    value = FUNCTIONS[asked["function"]](given, **asked["settings"])
    value.backward()
    return {"value": float(value.detach()), "gradient": given.now.grad.tolist()}


def read(path: str) -> dict[str, dict[str, torch.Tensor]]:
    problems: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in np.load(path).items():
        problem, tensor = name.split("/")
        problems.setdefault(problem, {})[tensor] = torch.tensor(value)
    return problems


def main() -> None:
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # libraries may print
    os.dup2(2, 1)
    problems = read(sys.argv[1])
    for line in sys.stdin:
        try:
            found = answer(problems, json.loads(line))
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(found) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
