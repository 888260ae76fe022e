"""`using`: a student's function inside the real agent, for the length of a block."""

import pytest
import torch

from rlcourse import train
from rlcourse.equations import UnknownEquationError, max_entropy, returns, using

TINY = {"hidden": (8,), "learning_starts": 60, "batch_size": 8}


def bits(agent) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for net in (agent.actor, agent.critic) for parameter in net.parameters()]


def trained(**functions) -> list[bytes]:
    with using(**functions):
        return bits(train.train("sac", "Pendulum-v1", [0], 75, config=TINY, progress=False, eval_episodes=1).agent)


def test_the_real_agent_runs_on_a_students_target():
    calls = []

    def my_target(rewards, terminated, q1_next, q2_next, log_prob_next, gamma, alpha):
        calls.append(rewards.shape)
        soft_value = torch.minimum(q1_next, q2_next) - alpha[..., None] * log_prob_next
        return rewards + gamma * (1 - terminated.to(rewards.dtype)) * soft_value

    original = trained()
    assert trained(sac_target=my_target) == original and len(calls) == 15
    assert trained(sac_target=lambda *inputs: my_target(*inputs) + 1) != original
    assert trained() == original


def test_using_restores_and_nests():
    before = max_entropy.sac_target, returns.gae
    with pytest.raises(ZeroDivisionError), using(sac_target=min, gae=max):
        assert (max_entropy.sac_target, returns.gae) == (min, max)
        with using(sac_target=sum):
            assert (max_entropy.sac_target, returns.gae) == (sum, max)
        assert (max_entropy.sac_target, returns.gae) == (min, max)
        raise ZeroDivisionError
    assert (max_entropy.sac_target, returns.gae) == before


def test_using_reaches_every_equations_module_that_holds_the_name():
    """discounted_returns is λ = 1 of lambda_returns, so it follows a replaced lambda_returns."""
    x = torch.ones(3, 1)
    with using(lambda_returns=lambda *inputs: torch.full((3, 1), 7.0)):
        assert returns.discounted_returns(x, 0 * x, 0 * x, x, 0.9).tolist() == [[7.0]] * 3


def test_using_teaches():
    with pytest.raises(UnknownEquationError, match="sac_target"), using(sac_targets=min):
        pass
    with pytest.raises(UnknownEquationError), using(torch=min):
        pass
    with pytest.raises(TypeError, match="Pass the function itself"), using(sac_target=3.0):
        pass
