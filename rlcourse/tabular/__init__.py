"""Exact ground truth for small worlds: every number here is a linear solve or a finite sum in float64, with no sample in it.

mdp    finite Markov decision processes, and the named worlds of the lectures
chains where a process will be: marginals, stationary distributions, beliefs, sampled returns
dp     values, Bellman operators, value and policy iteration, discounted visitation
soft   the same with a temperature: soft value iteration, and the messages of control as inference

Index order: P (S, A, S'), r (S, A), Q (S, A), V (S,), a policy pi (S, A). Time leads: a policy or a value of a finite horizon is (T, S, A), (T, S).
"""
