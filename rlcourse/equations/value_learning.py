"""Losses and targets of learning a value function from transitions."""

import torch

from rlcourse.types import mask_like, require_same_shape, require_tensor, require_unit_interval


def squared_td_error(q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L = E_batch[(Q(s, a) − y)²],   one number per copy, without the factor ½

    q: (..., B). target: the shape of q, or one target that the members of an ensemble share: q (..., M, B) with target (..., B).
    Twin critics have M = 2.
    Returns the shape of q without B, in units of reward². Sum it over copies before `backward()`: each copy then gets its own gradient, undiluted.
    Gradient flow: into q only. The target is detached (a semi-gradient): y is what Q is asked to become, and does not move to make the question
    easier.
    Errors: ShapeError if the shapes do not fit; the ensemble dimension is never guessed from broadcasting, since with N = M = 2 seeds and critics
    it would be the wrong one without a word. TypeError for integers.
    Source: Sutton & Barto 2018, section 9.3; Mnih et al. 2013, eq. 2.
    Limits: q = target gives 0; B = 1 gives (q − y)² with gradient 2 (q − y); shifting both leaves it unchanged.
    """
    require_tensor(q=q, target=target)
    if q.ndim == target.ndim + 1 and q.ndim >= 2 and q.shape[:-2] + q.shape[-1:] == target.shape:
        target = target.unsqueeze(-2).expand_as(q)
    require_same_shape(q=q, target=target)
    return (q - target.detach()).square().mean(dim=-1)


def td_target(rewards: torch.Tensor, terminated: torch.Tensor, q_next: torch.Tensor, gamma: float) -> torch.Tensor:
    """y = r + γ (1 − terminated) q',   where q' is the target network's value of the true next observation

    rewards, terminated, q_next: (..., B). In DDPG q' = Q'(s', μ'(s')), both from the target networks; in the first version of SAC q' = V'(s').
    gamma: in [0, 1]. Returns (..., B), in units of reward.
    Only `terminated` masks. At a time limit the next state still has a value, and y bootstraps from it.
    Gradient flow: into rewards and q_next; nothing is detached, so the function is the formula. Call it under torch.no_grad(): a target is a
    constant.
    Errors: ShapeError if a shape differs, as it does for a critic that keeps its output dimension, (B, 1); TypeError for integers; ValueError if
    gamma is outside [0, 1].
    Source: Lillicrap et al. 2016, algorithm 1, with the mask that it leaves to the reader; Haarnoja et al. 2018a, eq. 8.
    Limits: terminated = 1 gives r exactly; γ = 0 gives r; adding c to q' adds γ c (1 − terminated); where nothing
    terminates, r = 1 and q' = 1/(1 − γ) give 1/(1 − γ).
    """
    require_tensor(rewards=rewards, q_next=q_next)
    require_same_shape(rewards=rewards, terminated=terminated, q_next=q_next)
    require_unit_interval(gamma=gamma)
    return rewards + gamma * (1 - mask_like(terminated, rewards, "terminated")) * q_next


def td3_target(rewards: torch.Tensor, terminated: torch.Tensor, q1_next: torch.Tensor, q2_next: torch.Tensor, gamma: float) -> torch.Tensor:
    """y = r + γ (1 − terminated) min(Q₁'(s', ã), Q₂'(s', ã))                                                             [10.1]

    rewards, terminated, q1_next, q2_next: (..., B). q1_next, q2_next: the two target critics at the true next observation and one smoothed target
    action ã (`target_action`, [10.2]). Both critics learn towards this one y (clipped double Q-learning).
    gamma: in [0, 1]. Returns (..., B), in units of reward. Only `terminated` masks.
    Gradient flow: into rewards and, for each transition, into the smaller critic; nothing is detached. Call it under torch.no_grad().
    Errors: ShapeError if a shape differs; TypeError for integers; ValueError if gamma is outside [0, 1].
    Source: Fujimoto et al. 2018, eq. 10 and algorithm 1, with the mask of its DDPG.
    Limits: q1 = q2 gives `td_target`; swapping q1 and q2 changes nothing; never above `td_target` of either critic; terminated = 1 gives r exactly;
    γ = 0 gives r.
    """
    require_tensor(rewards=rewards, q1_next=q1_next, q2_next=q2_next)
    require_same_shape(rewards=rewards, terminated=terminated, q1_next=q1_next, q2_next=q2_next)
    require_unit_interval(gamma=gamma)
    return rewards + gamma * (1 - mask_like(terminated, rewards, "terminated")) * torch.minimum(q1_next, q2_next)


def target_action(mu: torch.Tensor, eps: torch.Tensor, sigma: float, c: float, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    """ã = clip(μ'(s') + clip(σ ε, −c, c), low, high)                                                                      [10.2]

    mu: (..., B, A), the target actor's action. eps: the same shape, standard normal. sigma: a standard deviation in units of the action, not a
    variance. c: how far the noise may move the action, along each coordinate. low, high: the action box; agents of this course act in [-1, 1].
    Returns (..., B, A). ã enters a critic's target only and is never executed: it averages Q' over actions near μ', so that a narrow peak of Q',
    which is usually an error, is not believed. Exploration noise is another thing: it is not clipped by c, and it is executed.
    Gradient flow: into mu and eps where no clip binds. Call it under torch.no_grad().
    Errors: ShapeError if the shapes differ; TypeError for integers; ValueError if sigma or c is negative, or low is not below high.
    Source: Fujimoto et al. 2018, section 5.3 and algorithm 1; the outer clip as in the authors' code.
    Limits: σ = 0 and c = 0 each give clip(μ', low, high); c = ∞ leaves the noise unclipped; σ → ∞ gives clip(μ' ± c); the clip commutes with −: −μ
    and −ε give −ã in a symmetric box.
    """
    require_tensor(mu=mu, eps=eps)
    require_same_shape(mu=mu, eps=eps)
    if not (sigma >= 0 and c >= 0 and low < high):
        raise ValueError(f"target_action: sigma = {sigma}, c = {c}, low = {low}, high = {high}. sigma is a standard deviation and c a distance, so "
                         "neither is negative, and the box needs low < high. torch.clamp would return its upper bound without a word.")
    return (mu + (sigma * eps).clamp(-c, c)).clamp(low, high)


def dpg_loss(q: torch.Tensor) -> torch.Tensor:
    """L(θ) = −E_batch[Q(s, μ_θ(s))],   ∇_θ L = −E_batch[∇_θ μ_θ(s)ᵀ ∇_a Q(s, a) at a = μ_θ(s)]                            [09.2]

    q: (..., B), the critic at the actor's own action, so that the gradient reaches θ through the action. TD3 takes the first of its two critics.
    Returns one loss per copy (...), in units of reward. Sum it over copies before `backward()`.
    Gradient flow: into q, and through it into the actor and into the critic's weights: step the actor's optimiser only, the critic's weights are held
    fixed in the theorem. With the states of a replay buffer in place of the policy's own discounted ones this is the approximation that all
    deterministic actor-critics make.
    Errors: TypeError for integers.
    Source: Silver et al. 2014, theorem 1; Lillicrap et al. 2016, eq. 6.
    Limits: the gradient in q is −1/B; Q(s, a) = −(a − m)² moves a towards m; adding a function of s to Q leaves the gradient unchanged.
    """
    require_tensor(q=q)
    return -q.mean(dim=-1)
