"""The equations of soft actor-critic: what the critics are asked to become, what the actor minimises, what moves the temperature.

The batch is the last dimension; every dimension in front of it is an independent copy (a seed). alpha is a number, or a tensor with one temperature
per copy: for q of shape (N, B), alpha has shape (N,). Entropies and log-densities are in nats, so alpha is in units of reward per nat.
"""

import torch

from rlcourse.types import READ, ShapeError, holds_if_readable, mask_like, require_same_shape, require_tensor, require_unit_interval


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


def sac_value_target(q1: torch.Tensor, q2: torch.Tensor, log_prob: torch.Tensor, alpha: float | torch.Tensor) -> torch.Tensor:
    """y_V = min(Q₁(s, a), Q₂(s, a)) − α log π(a|s),   a ~ π(·|s)                                                          [13.12]

    What V_ψ(s) is asked to become in the first version of SAC, which keeps a network for the value of a state: its mean over a is
    E[min Q] + α H[π(·|s)]. The critics of that version then learn towards `td_target` with q' = V'(s'), the Polyak average of V_ψ.
    q1, q2, log_prob: (..., B), at the batch's states and actions drawn from the present policy, not from the batch. They are the online critics: here
    the slow copy is V's. alpha: a number, or one per copy (...). Returns (..., B), in units of reward.
    There is neither γ nor a mask: both stand where V is used, one step earlier.
    Gradient flow: into every floating argument; nothing is detached, so the function is the formula. Call it under torch.no_grad().
    Errors: ShapeError if a shape differs, or if alpha is neither a number nor one per copy; TypeError for integers.
    Source: Haarnoja et al. 2018a (Soft actor-critic: Off-policy maximum entropy deep reinforcement learning), eqs. 3 and 5, with the minimum of its
    section 4.2. The paper has α = 1 and multiplies rewards by a scale instead: scale k is α = 1/k.
    Limits: α = 0 gives min(Q₁, Q₂); r + γ (1 − terminated) times it, at s' with target critics, is `sac_target`; multiplying Q and α by k
    multiplies it by k; swapping q1 and q2 changes nothing.
    """
    require_tensor(q1=q1, q2=q2, log_prob=log_prob)
    require_same_shape(q1=q1, q2=q2, log_prob=log_prob)
    return torch.minimum(q1, q2) - _per_copy(alpha, log_prob, "alpha").unsqueeze(-1) * log_prob


def soft_value(q: torch.Tensor, alpha: float | torch.Tensor) -> torch.Tensor:
    """V(s) = α log Σ_a exp(Q(s, a)/α) = max_π E_{a~π}[Q(s, a)] + α H(π),   attained by π(a|s) = exp((Q(s, a) − V(s))/α)      [12.4]

    q: (..., B, A), one value for each of A actions. alpha: above 0, in units of reward per nat, a number, or one per copy (...), the shape of q
    without B and A. Returns (..., B), in units of reward. The largest value is taken out before the exponential: finite for every finite q.
    Gradient flow: into q, with ∂V/∂Q(s, a) = π(a|s), and into alpha.
    Errors: ShapeError if alpha is neither a number nor one per copy; TypeError for integers; ValueError if alpha is not positive (on the CPU).
    Source: Ziebart 2010 (thesis); Haarnoja et al. 2017 (Reinforcement learning with deep energy-based policies), eq. 3.
    Limits: max Q <= V <= max Q + α log A, equal on the left as α → 0 and on the right where all Q are equal; A = 1 gives Q; adding c to Q adds c;
    scaling Q and α together scales V.
    """
    require_tensor(q=q)
    if q.ndim < 2 or 0 in q.shape[-1:]:
        raise ShapeError(f"q came as {tuple(q.shape)}, and needs (..., B, A): states in a batch, one value for each action in the last dimension.")
    alpha = _per_copy(alpha, q[..., 0], "alpha")
    if not holds_if_readable(alpha > 0):
        raise ValueError(f"alpha is {alpha.min().item():.6g}, and needs to be above 0: it divides Q. The limit α → 0 is the maximum, q.amax(-1).")
    alpha = alpha.unsqueeze(-1)
    return alpha * torch.logsumexp(q / alpha.unsqueeze(-1), dim=-1)


def soft_q_target(
    rewards: torch.Tensor, terminated: torch.Tensor, q_next: torch.Tensor, gamma: float, alpha: float | torch.Tensor
) -> torch.Tensor:
    """y = r + γ (1 − terminated) α log Σ_a' exp(Q'(s', a')/α),   one sample of the soft Bellman optimality operator        [12.6]

    rewards, terminated: (..., B). q_next: (..., B, A), the target network at the true next observation. gamma: in [0, 1]. alpha: above 0, a number,
    or one per copy (...). Returns (..., B), in units of reward.
    Only `terminated` masks: after the end there is neither reward nor entropy. At a time limit y bootstraps.
    No policy is sampled, since the best one is known in closed form; that takes a sum over all actions. Where actions are vectors, `sac_target`
    samples instead.
    Gradient flow: into every floating argument; nothing is detached, so the function is the formula. Call it under torch.no_grad().
    Errors: ShapeError if a shape differs; those of `soft_value`; ValueError if gamma is outside [0, 1].
    Source: Haarnoja et al. 2017 (Reinforcement learning with deep energy-based policies), eqs. 6 and 8.
    Limits: its mean over s' is `rlcourse.tabular.soft`'s backup; α → 0 gives r + γ max Q'; terminated = 1 or γ = 0 gives r; A = 1 gives the one-step
    target; under the Boltzmann policy of Q' it is the mean of `sac_target` with q1 = q2 = Q'.
    """
    require_tensor(rewards=rewards, q_next=q_next)
    value = soft_value(q_next, alpha)
    require_same_shape(rewards=rewards, terminated=terminated, soft_value=value)
    require_unit_interval(gamma=gamma)
    return rewards + gamma * (1 - mask_like(terminated, rewards, "terminated")) * value


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
