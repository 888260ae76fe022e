"""Losses and targets of learning a value function from transitions."""

import torch

from rlcourse.types import require_same_shape, require_tensor


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
