"""Exercise 13.10: which defect does this soft actor-critic have? The agent and its test points are in suspect_sac.py."""

import torch
from torch import Tensor

from rlcourse.checks.bug import BugHunt, Defect
from rlcourse.checks.lecture_13 import squashed_log_prob
from rlcourse.checks.lecture_13.suspect_sac import Patient, Suspect, plain
from rlcourse.checks.mistakes import mistake, swapped
from rlcourse.equations import distributions, max_entropy


def diagnose(suspect):
    def same(x, y):
        return bool((x - y).abs().max() < 1e-3)

    wrong = {}
    batch, noise = suspect.draw()
    # one action and its log-density
    mu, sigma = suspect.policy(batch.obs)
    a, log_prob = suspect.sample(batch.obs, noise[1])
    u = mu + sigma * noise[1]
    log_normal = torch.distributions.Normal(mu, sigma).log_prob(u).sum(-1)
    log_det = torch.log(1 - torch.tanh(u) ** 2).sum(-1)
    wrong["sigma_squared"] = not same(a, torch.tanh(u))
    wrong["jacobian_missing"] = same(log_prob, log_normal)
    wrong["tanh_twice"] = not same(log_prob, log_normal - log_det)
    # the target, and what it would be with one piece wrong
    next_a, next_log_prob = suspect.sample(batch.next_obs, noise[0])
    next_q = suspect.q_target(batch.next_obs, next_a).amin(0)
    soft_value = next_q - suspect.alpha * next_log_prob
    goes_on = 1 - batch.terminated.float()
    not_cut = 1 - batch.truncated.float()
    y = suspect.target(batch, noise)
    wrong["entropy_missing"] = same(y, batch.rewards + suspect.gamma * goes_on * next_q)
    wrong["mask_missing"] = same(y, batch.rewards + suspect.gamma * soft_value)
    wrong["time_limit_masked"] = same(y, batch.rewards + suspect.gamma * goes_on * not_cut * soft_value)
    # the actor: without the critics' share, its gradient is that of alpha log pi
    to_mu, _ = suspect.actor_gradient(batch, noise)
    wrong["action_detached"] = same(to_mu, 2 * suspect.alpha * torch.tanh(u))
    # one update: where do the temperature and the slow critics go?
    alpha, slow = suspect.alpha, suspect.weights("critic_target")
    suspect.update(batch, noise)
    too_random = bool(-log_prob.mean() > suspect.target_entropy)
    wrong["temperature_sign"] = (suspect.alpha > alpha) == too_random
    gone = (suspect.weights("critic_target") - slow).norm()
    wrong["tau_swapped"] = bool(gone > 0.5 * (suspect.weights("critic") - slow).norm())
    return next((name for name in wrong if wrong[name]), "healthy")


def _with_log_prob(name: str) -> dict[str, type]:
    """The squashed policy with its log-density computed by a named mistake of exercise 13.1."""
    (wrong,) = (made.function for made in squashed_log_prob.EXERCISE.mistakes if made.id == name)

    class Squashed(distributions.TanhGaussian):
        def log_prob_from_pre_tanh(self, u: Tensor) -> Tensor:
            return wrong(u, self.mean, self.std)

    return {"TanhGaussian": Squashed}


class _SampledWithVariance(distributions.DiagonalGaussian):
    def rsample(self, generator=None, *, noise=None, sample_shape=()) -> Tensor:
        return self.mean + self.std**2 * noise


_VALUE = 'gamma * (1 - mask_like(terminated, rewards, "terminated")) * soft_value'
DEFECTS = (
    Defect("sigma_squared", "the action is drawn with sigma^2 in the place of sigma",
           "a is not tanh(mu + sigma eps), and it comes closer where sigma is near 1.", "[13.3]", {"DiagonalGaussian": _SampledWithVariance}),
    Defect("jacobian_missing", "log pi is the Gaussian's, without the slope of tanh",
           "log pi equals log N(u; mu, sigma), and is too small wherever an action is near -1 or 1.", "[13.5]", _with_log_prob("jacobian_missing")),
    Defect("tanh_twice", "log pi has 1 - tanh(a)^2, as on the printed slide, in the place of 1 - a^2",
           "log pi is right where a is 0 and more and more too small towards -1 and 1, though less so than without any correction.", "[13.5]",
           _with_log_prob("tanh_twice")),
    Defect("entropy_missing", "the critics' target has no entropy term",
           "y equals r + gamma (1 - terminated) min Q', and changing alpha does not change it.", "[13.9]",
           {"sac_target": swapped(max_entropy.sac_target, (' - _per_copy(alpha, log_prob_next, "alpha").unsqueeze(-1) * log_prob_next', ""))}),
    Defect("mask_missing", "the target bootstraps behind the end of the task",
           "y differs from r where `terminated` is true, and is right everywhere else.", "[13.9]",
           {"sac_target": swapped(max_entropy.sac_target, (_VALUE, "gamma * soft_value"))}),
    Defect("time_limit_masked", "a time limit is treated as the end of the task",
           "y equals r where only `truncated` is true, and is right everywhere else.", "[13.9]",
           swaps=(("batch.terminated, q1_next", "batch.terminated | batch.truncated, q1_next"),)),
    Defect("action_detached", "the action is detached before the critics judge it in the actor's loss",
           "the loss is right, but its gradient to mu is 2 alpha tanh(u) per state, whatever the critics say.", "[13.10]",
           swaps=(("self.q(self.critic, batch.obs, actions).amin(1)", "self.q(self.critic, batch.obs, actions.detach()).amin(1)"),)),
    Defect("temperature_sign", "the temperature's loss has the wrong sign",
           "alpha rises although the entropy is above its target, or falls although it is below: the two run away from each other.", "[13.11]",
           {"temperature_loss": swapped(max_entropy.temperature_loss, ("return -log_alpha * (", "return log_alpha * ("))}),
    Defect("tau_swapped", "the slow critics take the share 1 - tau of the critics in place of tau",
           "after one update they have gone the share 1 - tau of the way to the critics: they are hardly slow at all.", "[13.9]",
           swaps=(("polyak(self.critic_target, self.critic, cfg.tau)", "polyak(self.critic_target, self.critic, 1 - cfg.tau)"),)),
)

_made = [
    ("never_healthy", "never says healthy, and calls what is left temperature_sign",
     "When every test point agrees with its equation, the agent is healthy: say so last.", "[13.9]", ('"healthy")', '"temperature_sign")')),
    ("exact_only", "demands equality to twelve digits",
     "Half of the agents compute in float32, which has seven digits: compare with a tolerance of about 1e-3.", "[13.6]", ("1e-3", "1e-12")),
    ("masks_confused", "takes the two masks for each other",
     "`terminated` says that the task is over; `truncated` says that the clock ran out, and the state still has a value.", "[13.9]",
     ('"mask_missing"', '"time_limit"'), ('"time_limit_masked"', '"mask_missing"'), ('"time_limit"', '"time_limit_masked"')),
    ("truncation_unseen", "never looks at `truncated`",
     "It matters in those transitions alone where `truncated` is true and `terminated` is not: compute the target with this mistake, and compare.",
     "[13.9]", ("goes_on * not_cut * soft_value)", "goes_on * not_cut * soft_value) and False")),
    ("first_transition", "looks at the first transition of the batch only",
     "Masks differ from transition to transition, and actions near 0 hide the slope of tanh: compare all of them.", "[13.9]",
     ("(x - y).abs().max()", "(x - y)[0].abs().max()")),
    ("target_unseen", "never sees a defect of the target",
     "Your recomputed target fits no suspect. It takes the smaller of the two slow critics (`q_target`), at the action that the suspect draws at "
     "next_obs with noise[0].", "[13.9]", ("suspect.q_target(", "suspect.q(")),
    ("slide_log_prob", "takes the printed slide's log-density for the right one",
     "a is already the tanh of u: the slope is 1 - a^2 = 1 - tanh(u)^2.", "[13.5]",
     ("torch.log(1 - torch.tanh(u) ** 2)", "torch.log(1 - torch.tanh(torch.tanh(u)) ** 2)")),
    ("temperature_backwards", "expects the temperature to rise when there is too much entropy",
     "alpha pays for entropy: too much of it lowers alpha, too little raises it.", "[13.11]",
     ("== too_random", "!= too_random")),
    ("temperature_ignored", "does not look at the temperature", "Let it learn once, and see which way alpha goes.", "[13.11]",
     ("(suspect.alpha > alpha) == too_random", "False")),
    ("loss_for_gradient", "does not look at the actor's gradient",
     "A detached action leaves the actor's loss as it is; only the gradient is different.", "[13.10]",
     ("same(to_mu, 2 * suspect.alpha * torch.tanh(u))", "False")),
    ("any_movement", "calls every movement of the slow critics too fast",
     "They should go the share tau of the way: divide by the distance to the critics.", "[13.9]", ("gone > 0.5", "gone > 0")),
]

EXERCISE = BugHunt(
    id="13.10",
    function="diagnose",
    signature="diagnose(suspect)",
    title="Find the bug in soft actor-critic",
    tags=("[13.9]", "[13.10]", "[13.11]", "[13.5]"),
    minutes=30,
    difficulty=4,
    points=14.0,
    lecture="13a_reparametrisation_and_squashing.ipynb",
    hints=(
        "Each row of the card's table is an equation of the lecture, and most of them can be computed twice: by the suspect, and by you from the "
        "suspect's own networks. Begin where an update begins, with one action, and go on in its order: an early defect spoils what comes after it.",
        "sample() against u = mu + sigma eps, tanh(u) and [13.5]; target() against [13.9], written with each of its possible mistakes in turn, from "
        "the suspect's own sample() and q_target(); actor_gradient(): if the critics do not reach it, what is left of [13.10] is alpha times the "
        "gradient of log pi; last one update(): which way does alpha go, and what share of the way do the slow critics go?",
        "With a = tanh(mu + sigma eps), log pi's gradient to mu at fixed eps is 2 a per state, so a detached action leaves exactly 2 alpha a. "
        "alpha should rise when -mean(log pi) is below target_entropy. Slow critics: |after - before| / |critic - before| should be tau. Call two "
        "tensors equal when the largest difference is below 1e-3, and return the first name that fits, else healthy.",
    ),
    reference=diagnose,
    defects=DEFECTS,
    front=Suspect,
    patient=lambda defect, plain: Patient(defect, plain).ask,
    plain=plain,
    mistakes=tuple(mistake(diagnose, *made) for made in _made),
    importance=4,
)
