"""Find the bug: a real agent with one silent defect, and detectors that are tried on all of them in random order."""

import inspect

import numpy as np
import pytest
import torch

from rlcourse.agents.sac import SAC
from rlcourse.checks import bug
from rlcourse.checks.lecture_13 import find_the_bug, suspect_sac
from rlcourse.checks.lecture_13.find_the_bug import diagnose
from rlcourse.equations import UnknownEquationError, distributions, max_entropy

HUNT = find_the_bug.EXERCISE
NAMES = [defect.id for defect in HUNT.defects]


def suspects(name: str, count: int = 6):
    """Suspects with one defect, or healthy ones, in both precisions."""
    return [HUNT.suspect(name, seed) for seed in range(count)]


def sides(suspect, batch, noise) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What a suspect says and what the lecture's equations say of it, at every test point that does not change it. Written with autograd."""
    mu, sigma = suspect.policy(batch.obs)
    a, log_prob = suspect.sample(batch.obs, noise[1])
    u = mu + sigma * noise[1]
    right = torch.distributions.Normal(mu, sigma).log_prob(u).sum(-1) + 2 * torch.log(torch.cosh(u)).sum(-1)
    next_a, next_log_prob = suspect.sample(batch.next_obs, noise[0])
    value = suspect.q_target(batch.next_obs, next_a).min(dim=0).values - suspect.alpha * next_log_prob
    y = batch.rewards + suspect.gamma * (1 - batch.terminated.to(mu.dtype)) * value
    losses = suspect.losses(batch, noise)
    q_min = suspect.q(batch.obs, a).min(dim=0).values
    alpha, excess = suspect.alpha, -(log_prob.mean() + suspect.target_entropy)
    return {"action": (a, torch.tanh(u)), "log_prob": (log_prob, right), "target": (suspect.target(batch, noise), y),
            "actor": (torch.tensor(losses["actor"]), (alpha * log_prob - q_min).mean()),
            "critic": (torch.tensor(losses["critic"]), ((suspect.q(batch.obs, batch.actions) - y) ** 2).mean(-1).sum()),
            "temperature": (torch.tensor(losses["temperature"]), np.log(alpha) * excess)}


def off(pair) -> bool:
    said, right = (torch.as_tensor(x, dtype=torch.float64) for x in pair)
    return bool((said - right).abs().max() > 1e-3 * (1 + right.abs().max()))


# ---- the suspects ----


def test_a_healthy_suspect_agrees_with_every_equation():
    for suspect in suspects(bug.HEALTHY):
        assert not any(map(off, sides(suspect, *suspect.draw()).values()))


WRONG_AT = {"sigma_squared": "action", "jacobian_missing": "log_prob", "tanh_twice": "log_prob", "entropy_missing": "target",
            "mask_missing": "target", "time_limit_masked": "target", "temperature_sign": "temperature"}


@pytest.mark.parametrize("name", NAMES)
def test_a_defect_is_silent_and_shows_where_it_sits(name):
    """It trains without an error, all its numbers are finite, and the first test point that is off is its own."""
    for suspect in suspects(name):
        seen = sides(suspect, *suspect.draw())
        assert next((point for point, pair in seen.items() if off(pair)), None) == WRONG_AT.get(name)
        for _ in range(5):
            assert all(np.isfinite(value) for value in suspect.update(*suspect.draw()).values())


def test_the_actor_gradient_is_that_of_the_actor_loss():
    """By central differences of alpha log pi - min Q along mu, in float64; the defect leaves 2 alpha a alone."""
    for name in (bug.HEALTHY, "action_detached"):
        suspect = next(s for s in suspects(name, 20) if s.draw()[1].dtype == torch.float64)
        batch, noise = suspect.draw()
        mu, sigma = suspect.policy(batch.obs)
        a, _ = suspect.sample(batch.obs, noise[1])

        def loss(shift, mu=mu, sigma=sigma, batch=batch, noise=noise, suspect=suspect):
            u = mu + shift + sigma * noise[1]
            return 2 * suspect.alpha * torch.log(torch.cosh(u)).sum(-1) - suspect.q(batch.obs, torch.tanh(u)).amin(0)

        step = torch.zeros_like(mu)
        step[:, 0] = 1e-6
        right = (loss(step) - loss(-step)) / 2e-6 if name == bug.HEALTHY else 2 * suspect.alpha * a[:, 0]
        torch.testing.assert_close(suspect.actor_gradient(batch, noise)[0][:, 0], right, atol=1e-5, rtol=1e-5)


def test_probes_leave_the_suspect_as_it_was_and_update_does_not():
    suspect = HUNT.suspect()
    batch, noise = suspect.draw()
    before = [suspect.weights(name) for name in ("actor", "critic", "critic_target")]
    suspect.target(batch, noise), suspect.losses(batch, noise), suspect.actor_gradient(batch, noise)
    assert all(torch.equal(x, suspect.weights(name)) for x, name in zip(before, ("actor", "critic", "critic_target")))
    y, alpha = suspect.target(batch, noise), suspect.alpha
    assert set(suspect.update(batch, noise)) == {"loss_q", "loss_pi", "alpha", "entropy", "q"} and suspect.alpha != alpha
    assert not torch.equal(y, suspect.target(batch, noise))  # what was seen before is not remembered too long


@pytest.mark.parametrize(("name", "share"), [(bug.HEALTHY, "tau"), ("tau_swapped", "1 - tau")])
def test_the_slow_critics_go_the_share_tau(name, share):
    suspect = HUNT.suspect(name, 1)
    slow = suspect.weights("critic_target")
    suspect.update(*suspect.draw())
    gone = (suspect.weights("critic_target") - slow).norm() / (suspect.weights("critic") - slow).norm()
    assert float(gone) == pytest.approx(eval(share, {"tau": suspect.tau}), rel=1e-3)


def test_every_batch_has_all_kinds_of_ends():
    batch, noise = HUNT.suspect().draw()
    ended, cut = batch.terminated, batch.truncated
    assert [int(mask.sum()) for mask in (ended & ~cut, cut & ~ended, ended & cut)] == [4, 4, 1]
    assert noise.shape == (2, *batch.actions.shape)


# ---- the check ----


@pytest.mark.parametrize("seed", range(12))
def test_the_right_detector_passes(seed):
    report = HUNT.evaluate(diagnose, seed)
    assert report.passed, str(report)


@pytest.mark.parametrize("mistake", HUNT.mistakes, ids=lambda mistake: mistake.id)
def test_every_named_detector_fails_and_is_named(mistake):
    for seed in range(2):
        report = HUNT.evaluate(mistake.function, seed)
        assert (report.passed, report.score, report.diagnosis) == (False, 0.0, mistake.id) and mistake.sentence in report.details["what"]


def test_suspects_come_in_random_order_all_of_them_and_the_same_for_a_seed():
    orders = [[case.defect for case in HUNT.drawn(seed)] for seed in range(4)]
    assert all(set(order) == {*NAMES, "healthy"} and len(order) == len(NAMES) + 1 + HUNT.twice for order in orders)
    assert HUNT.drawn(0) == HUNT.drawn(0) and len({order[0] for order in orders}) > 1 < len({order.index("healthy") for order in orders})
    assert {case.plain["dtype"] for case in HUNT.drawn(0)} == {"float32", "float64"}
    remembered = iter(orders[0] * 2)
    assert HUNT.evaluate(lambda suspect: next(remembered), 0).passed and not HUNT.evaluate(lambda suspect: next(remembered), 1).passed


@pytest.mark.parametrize("missed", [*NAMES, "healthy"])
def test_a_missed_defect_is_said_with_how_it_shows(missed):
    """A detector that is right except for one name, which it takes for another."""
    other = "mask_missing" if missed != "mask_missing" else "tau_swapped"

    def blind(suspect):
        found = diagnose(suspect)
        return other if found == missed else found

    report = HUNT.evaluate(blind, 2)
    shown = HUNT.defect(missed if missed != "healthy" else other).shows
    assert report.diagnosis == f"property:{missed}" and shown in report.details["cause"]
    assert f"your function says {other!r}" in report.details["smallest"] and "dtype = " in report.details["smallest"]


@pytest.mark.parametrize(("answer", "diagnosis", "words"), [
    (HUNT.stub, "not_attempted", "not attempted yet"), (lambda s: ..., "not_attempted", "not attempted yet"),
    (lambda s: None, "returned_none", "None"), (lambda s: 3, "type", "of type int"), (lambda s: s.gamme, "exception", "gamme"),
    (lambda s: "mask", "name", "'mask', which is not on the card"),
    (lambda s: "healthy", "constant", "says 'healthy' of all"), (lambda s, t: s, "exception", "could not be called as diagnose(suspect)")])
def test_slips_have_their_own_sentence(answer, diagnosis, words):
    report = HUNT.evaluate(answer)
    assert (report.passed, report.diagnosis) == (False, diagnosis) and words in " ".join(str(report).split())


def test_a_detector_that_never_ends_is_stopped():
    def endless(suspect):
        while True:
            suspect.draw()

    assert HUNT.evaluate(endless, seconds=0.3).diagnosis == "timeout"


def test_all_that_passes_between_student_and_agent_is_arrays():
    """`ask` can be a pipe: probes by name, arrays in, arrays out; the front knows neither defect nor agent, and cases are plain data."""
    case = HUNT.drawn(0)[0]
    asked, own = [], HUNT.ask(case)

    def wire(probe, given):
        answered = own(probe, {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for name, array in given.items()})
        asked.append(probe)
        assert all(type(array) is np.ndarray for array in [*given.values(), *answered.values()])
        return answered

    assert HUNT.adapt(diagnose)(wire) == case.defect and {"draw", "sample", "target", "actor_gradient", "update"} <= set(asked)
    assert all(type(value) in (int, float, str) for value in case.plain.values())
    front = suspect_sac.Suspect(wire)
    assert set(vars(front)) == {"_ask", "gamma", "tau", "target_entropy"} and not hasattr(front, "defect")


# ---- how defects are made ----


def test_a_substitution_applies_exactly_once():
    for piece in ("no such piece", "batch.obs"):
        with pytest.raises(ValueError, match="expected once"):
            bug.defective(SAC, ((piece, "x"),))
    changed = bug.defective(SAC, ((", cfg.tau)", ", 0.5)"),))
    assert changed is not SAC and changed.__name__ == "SAC" and "cfg.tau)" in inspect.getsource(SAC.update)


def test_recording_keeps_what_functions_return_and_puts_them_back():
    original = max_entropy.sac_target
    with bug.recording({"sac_target": lambda *inputs: 7}) as returned:
        assert max_entropy.sac_target(1, 2) == 7 and returned == {"sac_target": 7}
    assert max_entropy.sac_target is original
    with pytest.raises(UnknownEquationError), bug.recording({"sac_targett": min}):
        pass


def test_the_agent_reads_its_policy_through_the_module():
    """Else `using(TanhGaussian=...)` would not reach the agent, and a defect in it would be none."""
    class Wrong(distributions.TanhGaussian):
        def rsample_with_log_prob(self, generator=None, *, noise=None, sample_shape=()):
            return super().rsample_with_log_prob(noise=noise)[0], noise.sum(-1)

    patient = suspect_sac.Patient(bug.Defect("d", "", "", "", {"TanhGaussian": Wrong}), HUNT.drawn(0)[0].plain)
    suspect = suspect_sac.Suspect(patient.ask)
    batch, noise = suspect.draw()
    assert torch.equal(suspect.sample(batch.obs, noise[1])[1], noise[1].sum(-1))
