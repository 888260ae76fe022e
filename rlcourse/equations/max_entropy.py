"""The three equations of soft actor-critic: what the critic is asked to become, what the actor minimises, what moves the temperature.

The batch is the last dimension; every dimension in front of it is an independent copy (a seed). alpha is a number, or a tensor with one temperature
per copy: for q of shape (N, B), alpha has shape (N,). Entropies and log-densities are in nats, so alpha is in units of reward per nat.
"""

import torch

from rlcourse.types import READ, ShapeError, mask_like, require_same_shape, require_tensor, require_unit_interval


def sac_target(
    rewards: torch.Tensor,
    terminated: torch.Tensor,
    q1_next: torch.Tensor,
    q2_next: torch.Tensor,
    log_prob_next: torch.Tensor,
    gamma: float,
    alpha: float | torch.Tensor,
) -> torch.Tensor:
    """y = r + γ (1 − terminated) (min(Q₁', Q₂') − α log π(a'|s')),   a' ~ π(·|s')                                        [13.9]

    rewards, terminated, q1_next, q2_next, log_prob_next: (..., B). q1_next, q2_next: the two target critics at the true next observation and a
    freshly drawn a'.
    gamma: in [0, 1]. alpha: a number, or one per copy (...). Returns (..., B), in units of reward.
    Only `terminated` masks. At a time limit the next state still has a value, and y bootstraps from it.
    γ also discounts the entropy bonus: the entropy of π(·|s') is collected at the next step.
    Gradient flow: into every floating argument; nothing is detached, so the function is the formula. Call it under torch.no_grad(): a target is a
    constant.
    Errors: ShapeError if a shape differs, or if alpha is neither a number nor one per copy; TypeError for integers; ValueError if gamma is outside
    [0, 1].
    Source: Haarnoja et al. 2018 (Soft actor-critic algorithms and applications), eqs. 5-6 with the twin critics of Fujimoto et al. 2018.
    Limits: α = 0 gives the TD3 target with the current policy's action; terminated = 1 gives r exactly; γ = 0 gives r; q1 = q2 makes the minimum
    inactive; swapping q1 and q2 changes nothing; adding c to both adds γ c (1 − terminated).
    """
    require_tensor(rewards=rewards, q1_next=q1_next, q2_next=q2_next, log_prob_next=log_prob_next)
    require_same_shape(rewards=rewards, terminated=terminated, q1_next=q1_next, q2_next=q2_next, log_prob_next=log_prob_next)
    require_unit_interval(gamma=gamma)
    soft_value = torch.minimum(q1_next, q2_next) - _per_copy(alpha, log_prob_next, "alpha").unsqueeze(-1) * log_prob_next
    return rewards + gamma * (1 - mask_like(terminated, rewards, "terminated")) * soft_value


def sac_policy_loss(log_prob: torch.Tensor, q_min: torch.Tensor, alpha: float | torch.Tensor) -> torch.Tensor:
    """L(π) = E_batch[α log π(a|s) − min_i Q_i(s, a)],   a = action of the reparametrised u = μ(s) + σ(s) ε               [13.10]

    log_prob, q_min: (..., B), both computed from one reparametrised sample, so that the gradient reaches μ and σ through the action.
    alpha: a number, or one per copy (...). Returns one loss per copy (...), in units of reward. Sum it over copies before `backward()`.
    Gradient flow: into log_prob and q_min; alpha is detached, since the policy's loss must not move the temperature. q_min carries gradient into
    the critics' weights as well: step the actor's optimiser only, and clear the critics' gradients before their own step.
    Errors: ShapeError if the shapes differ, or if alpha is neither a number nor one per copy; TypeError for integers.
    Source: Haarnoja et al. 2018 (Soft actor-critic algorithms and applications), eqs. 7-9.
    Limits: α = 0 gives −E[min Q], the deterministic policy gradient's objective; q_min = α log π gives 0; adding c to Q subtracts c and leaves
    gradients unchanged.
    """
    require_tensor(log_prob=log_prob, q_min=q_min)
    require_same_shape(log_prob=log_prob, q_min=q_min)
    alpha = _per_copy(alpha, log_prob, "alpha").detach()
    return (alpha.unsqueeze(-1) * log_prob - q_min).mean(dim=-1)


def temperature_loss(log_alpha: torch.Tensor, log_prob: torch.Tensor, target_entropy: float | torch.Tensor) -> torch.Tensor:
    """L(log α) = −E_batch[log α · (log π(a|s) + H̄)],   ∂L/∂log α = Ĥ − H̄ with Ĥ = −E_batch[log π]                        [13.11]

    log_alpha: one per copy (...), the parameter. log_prob: (..., B). target_entropy: H̄ in nats, a number or one per copy; −A is the usual choice
    for A action dimensions in [-1, 1], where the uniform policy has A log 2. Returns one loss per copy (...).
    Gradient flow: into log_alpha only; log_prob is detached, the policy has its own loss. The gradient is the entropy's excess: too much entropy
    lowers α, too little raises it, and it vanishes at Ĥ = H̄. It does not carry the factor α that −E[α (log π + H̄)] would have, which stalls once
    α is small.
    Errors: ShapeError if log_alpha is not one per copy; TypeError if it is not a floating tensor.
    Source: Haarnoja et al. 2018 (Soft actor-critic algorithms and applications), eq. 18, with log α in the place of α as in the authors' code.
    Limits: Ĥ = H̄ gives gradient 0; one gradient step of size η changes log α by η (H̄ − Ĥ), whatever α is; the loss is 0 at α = 1, where its
    gradient need not be.
    """
    require_tensor(log_alpha=log_alpha, log_prob=log_prob)
    log_alpha = _per_copy(log_alpha, log_prob, "log_alpha")
    target_entropy = _per_copy(target_entropy, log_prob, "target_entropy")
    return -log_alpha * (log_prob.detach().mean(dim=-1) + target_entropy)


def _per_copy(x: float | torch.Tensor, batch: torch.Tensor, name: str) -> torch.Tensor:
    """x with one entry per copy of `batch`, whose last dimension is the batch. A number is shared by all copies."""
    copies = batch.shape[:-1]
    if not isinstance(x, torch.Tensor):
        return batch.new_full((), float(x)).expand(copies)
    if x.ndim and x.shape != copies:
        raise ShapeError(
            f"{name} came as {tuple(x.shape)} and the batch as {tuple(batch.shape)}: {name} is a number, or one per copy, which is {tuple(copies)} "
            f"here (the shape without the batch, its last dimension). Anything else would broadcast copies against transitions. {READ}"
        )
    return x.expand(copies)
