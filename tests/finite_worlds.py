"""Small random worlds, random policies, and every trajectory of them, for the tests of exact quantities."""

import itertools

import numpy as np

from rlcourse.tabular.mdp import random_mdp


def world(seed, **shape):
    return random_mdp(np.random.default_rng(seed), **shape)


def policies(mdp, seed=0, *leading):
    return np.random.default_rng(seed).dirichlet(np.ones(mdp.n_actions), size=(*leading, mdp.n_states))


def trajectories(mdp, T, prior, start):
    """All (s_0, a_0, .., s_{T-1}, a_{T-1}): states (K, T), actions (K, T), log-probability under prior (T, S, A) and start (S,), sum of rewards."""
    steps = np.array(list(itertools.product(range(mdp.n_states), range(mdp.n_actions), repeat=T))).reshape(-1, T, 2)
    s, a = steps[..., 0], steps[..., 1]
    with np.errstate(divide="ignore"):
        log_p = np.log(start[s[:, 0]]) + np.log(mdp.P[s[:, :-1], a[:, :-1], s[:, 1:]]).sum(-1) + np.log(prior[np.arange(T), s, a]).sum(-1)
    return s, a, log_p, mdp.r[s, a].sum(-1)
