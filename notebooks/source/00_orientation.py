# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: "00"
#     title: Orientation
#     minutes_read: 10
#     minutes_work: 0
#     status: draft
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Course map
#
# Modern reinforcement learning, in notebooks in which the mathematics runs: every derivation is checked by the machine in front of you, every idea has a
# slider, every exercise tells you *which* mistake you made.
#
# **Start here:** [Lecture 13a · Reparametrisation and squashing](13a_reparametrisation_and_squashing.ipynb), then its
# [exercises](../exercises/13a_reparametrisation_and_squashing.ipynb). It is the first lecture that is finished; the others follow. One thing it finds: squash
# an action into its bounds, and past a certain width more noise means *less* entropy.

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import torch

from rlcourse.checks import check, hint
from rlcourse.figures import lecture_13a as fig
from rlcourse.figures import style

style.apply()

# %% tags=["figure", "hide-input"] slideshow={"slide_type": "fragment"} alt="Entropy of an action before and after squashing, over its standard deviation: the Gaussian's rises for ever, the squashed one's turns round at 0.87 and falls."
fig.entropy_against_sigma()

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The lectures
#
# | | lecture | after | |
# |---|---|---|---|
# | 00 | Orientation: map, notation and reproducibility | | this page, first cut |
# | 01 | [Markov chains, MDPs and value functions](01_markov_chains_and_mdps.ipynb) | 00 | draft: exercises to come |
# | 02 | Dynamic programming, contraction and divergence | 01 | not written yet |
# | 03 | [Policy gradients and variance reduction](03_policy_gradients.ipynb) | 01 | draft: exercises to come |
# | 04 | Actor-critic, bootstrapping, n-step returns, GAE, A2C and A3C | 02, 03 | not written yet |
# | 05 | Deep Q-learning | 02, 04 | not written yet |
# | 06 | Importance sampling, off-policy evaluation and offline RL | 03, 04, 05 | not written yet |
# | 07 | Trust regions: performance difference, natural gradient, TRPO | 03, 04, 06 | not written yet |
# | 08 | PPO: penalties and clipping | 07 | not written yet |
# | 09a | [Deterministic policy gradients](09a_deterministic_policy_gradients.ipynb) | 03, 06 | draft: exercises to come |
# | 09b | [Maximising over real actions, and DDPG](09b_ddpg.ipynb) | 05, 09a | draft: exercises to come |
# | 10 | TD3, overestimation, regularisation and robust decisions | 09 | not written yet |
# | 11 | [Control as exact inference](11_control_as_exact_inference.ipynb) | 01, 02 | draft: its derivations |
# | 12a | [Variational inference](12a_variational_inference.ipynb) | 11 | draft: its derivations |
# | 12b | [Maximum-entropy RL](12b_maximum_entropy_rl.ipynb) | 02, 03 | draft: its derivations |
# | 13a | [Reparametrisation and squashing](13a_reparametrisation_and_squashing.ipynb) | 09, 12 | **ready**, [exercises](../exercises/13a_reparametrisation_and_squashing.ipynb) |
# | 13b | [SAC and soft Q-learning](13b_sac_and_soft_q_learning.ipynb) | 13a | draft: its derivations |
# | 14 | Comparing and reporting: experiments, seeds, tuning | 08, 10, 13 | not written yet |
# | 15 | Optimal control and planning | 01, 02 | not written yet |
# | 16 | Model-based RL | 13, 15 | not written yet |
# | 17 | Exploration and unsupervised RL | 05, 06, 12, 13 | not written yet |
# | 18 | Inverse reinforcement learning | 06, 11, 12 | not written yet |
# | 19 | Transfer, multi-task and successor features | 12, 13, 16 | not written yet |

# %% [markdown] slideshow={"slide_type": "slide"}
# ## How a lecture works
#
# 1. **Predict.** Every section asks before it answers. Write your guess down; being wrong on paper is how it sticks.
# 2. **See.** Run the cells (Shift+Enter, or *Run > Run All Cells*) and drag the sliders.
# 3. **Derive.** Derivations are objects. Change a sign in the cell, run it, and you are shown the step that broke and a small case that breaks it.
# 4. **Do.** The exercise notebooks hold short functions to write, and a check for each.
#
# You work in copies under `my/`. An update of the course never overwrites them: a newer version of a notebook is laid beside yours.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What a check says
#
# Suppose you are asked for the log-density of $a := \tanh u$, $u \sim \mathcal N(\mu, \sigma^2)$, and forget that squashing changes it. Run this, and read what comes back.

# %% slideshow={"slide_type": "fragment"} tags=["demo"]
def tanh_gaussian_logprob(u, mu, sigma):
    return torch.distributions.Normal(mu, sigma).log_prob(u).sum(-1)


check(tanh_gaussian_logprob)

# %% [markdown] slideshow={"slide_type": "subslide"}
# Stuck? Each exercise has three hints, from a nudge to nearly the answer. Ask for them one at a time:

# %% slideshow={"slide_type": "fragment"} tags=["demo"]
hint("13.1")

# %% [markdown] slideshow={"slide_type": "subslide"}
# And if a function does not come out today, `escape_hatch("tanh_gaussian_logprob")` hands you a working one, so that the rest of the notebook goes on.
#
# In a terminal, `rlcourse doctor` tells whether this machine has all it needs, `rlcourse train sac --env Pendulum-v1 --steps 5000` trains an
# agent, and `rlcourse check FILE.ipynb` checks a whole exercise notebook.
