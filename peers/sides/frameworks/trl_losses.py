"""TRL's trainers without a model: their own advantages and losses, as methods called on an object with what they read.

`_generate_and_score_completions` makes the advantages of rewards, and `_compute_loss` the loss of what it returns; log-
probabilities come from the tensors given.
"""

from collections import defaultdict

import torch
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer


class Bare:
    """An object that has the attributes given, and None for every other: an option that is off."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)


def trainer(given, **attributes):
    """What both trainers read, for one process and one step."""
    one_process = Bare(
        device=torch.device("cpu"),
        process_index=0,
        num_processes=1,
        sync_gradients=True,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction: x,
    )
    model = Bare(training=True, is_gradient_checkpointing=False, name="proximal")
    own = Bare(
        accelerator=one_process,
        model=model,
        ref_model=Bare(name="reference"),
        num_generations=given.K,
        current_gradient_accumulation_steps=1,
        num_iterations=2,
        max_completion_length=given.T,
        _tokenizer=Bare(pad_token_id=0),
        top_entropy_quantile=1.0,
        reward_weights=torch.ones(1, dtype=torch.float64),
        reward_funcs=[None],
        reward_func_names=["reward"],
        _metrics={"train": defaultdict(list)},
        _logs={"prompt": [], "completion": [], "advantages": [], "rewards": defaultdict(list), "extra": {}},
        _pending_extra_logs={},
        _pending_metrics={},
        _calculate_rewards=lambda *_: given.rewards.unsqueeze(1),
        **attributes,
    )

    def log_probs(model, *_, **__):
        found = given.now if model is None else getattr(given, model.name)
        found = found[:, : int(given.mask.sum(-1).max())]  # TRL pads to the longest rollout alone
        return found, torch.zeros_like(found), None

    own._get_per_token_logps_and_entropies = log_probs
    return own


def completions(given):
    lengths = given.mask.sum(-1).long().tolist()
    return [[1]] * len(lengths), [[1] * length for length in lengths]


def grpo(
    given, loss_type="dapo", scale="group", level="token", epsilon=(0.2, 0.2), beta=0.0, unbiased_kl=True, engine=None
):
    """`engine`: mode and upper bound of the correction for rollouts of another engine, off unless given."""
    own = trainer(
        given,
        loss_type=loss_type,
        scale_rewards=scale,
        importance_sampling_level=level,
        epsilon_low=epsilon[0],
        epsilon_high=epsilon[1],
        beta=beta,
        multi_objective_aggregation="sum_then_normalize",
        use_vllm=engine is not None,
        vllm_importance_sampling_correction=True,
        vllm_importance_sampling_mode=engine and engine[0],
        vllm_importance_sampling_clip_max=engine and engine[1],
        args=Bare(steps_per_generation=1, gradient_accumulation_steps=1, use_bias_correction_kl=unbiased_kl),
    )
    prompts, rollouts = completions(given)
    sampled = [each[: len(ids)] for each, ids in zip(given.behaviour.tolist(), rollouts, strict=True)]
    own._generate = lambda _: (prompts, rollouts, None, [""] * len(rollouts), engine and sampled, {}, None, None)
    inputs = GRPOTrainer._generate_and_score_completions(own, [{"prompt": ""}] * len(rollouts))
    return GRPOTrainer._compute_loss(own, None, inputs)


def rloo(given, epsilon=(0.2, 0.2), beta=0.05):
    own = trainer(given, epsilon_low=epsilon[0], epsilon_high=epsilon[1], beta=beta, args=Bare())
    prompts, rollouts = completions(given)
    own._generate = lambda _: (prompts, rollouts, [""] * len(rollouts))
    inputs = RLOOTrainer._generate_and_score_completions(own, [{"prompt": ""}] * len(rollouts))
    return RLOOTrainer._compute_loss(own, None, inputs)
