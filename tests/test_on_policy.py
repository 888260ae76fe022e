"""The on-policy loop: what it collects, step by step from a scripted world, and that no seed notices whom it is trained beside."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlcourse import on_policy
from rlcourse.envs import generators
from rlcourse.evaluation import crossed, evaluate
from rlcourse.train import policy, train

CPU = torch.device("cpu")
TINY = {"hidden": (8,), "episodes": 3}


class Lengths(gym.Env):
    """Episodes of random length 1 to 6: the odd ones terminate, the even ones are truncated. Observed: (number of the episode, step, length)."""

    observation_space, action_space = gym.spaces.Box(0, 1e6, (3,)), gym.spaces.Discrete(2)
    number = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.number, self.t, self.length = self.number + 1, 0, int(self.np_random.integers(1, 7))
        return np.array([self.number, 0, self.length], np.float32), {}

    def step(self, action):
        self.t += 1
        ends = self.t == self.length
        odd = self.length % 2 == 1
        return np.array([self.number, self.t, self.length], np.float32), float(10 * self.t + action), ends and odd, ends and not odd, {}


class Endless(Lengths):
    """The same without an end."""

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        self.length = 10**9
        return obs, info


gym.register("Lengths-v0", entry_point=Lengths)
gym.register("Endless-v0", entry_point=Endless)


class Recorder:
    """An agent that learns nothing and keeps what it was given."""

    actions, rollout = "discrete", (2, None)

    def __init__(self, cfg, obs_dim, action_dim, seeds, device):
        self.seeds, self.noise_generators, self.seen, self.noise = seeds, generators(seeds, "noise"), [], []

    def act(self, obs, noise):
        self.noise.append(noise)
        return (noise[..., 0] > 0).long()

    def update(self, trajectory, noise):
        self.seen.append(trajectory)
        return {"noise": noise.sum((1, 2))}

    def noise_shape(self, batch_size):
        return batch_size, 5

    def draw_noise(self, *shape):
        return torch.stack([torch.randn(shape, generator=g) for g in self.noise_generators])


class Config:
    dtype = "float32"


def recorded(seeds, updates: int, rollout=(2, None), env: str = "Lengths-v0") -> tuple[on_policy.Run, list]:
    run = on_policy.Run(type("Recorder", (Recorder,), {"rollout": rollout}), Config, env, seeds, 0, CPU)
    rows = [row for _ in range(updates) for row in run.advance()]
    return run, rows


def columns(trajectory):
    """One dictionary per environment: its own steps, without padding."""
    n, _, b = trajectory.rewards.shape
    for k in range(n):
        for i in range(b):
            taken = trajectory.mask[k, :, i]
            yield taken, {name: value[k, :, i][taken] for name, value in vars(trajectory).items() if name != "mask"}


def test_whole_episodes_are_masked_where_they_end():
    run, _ = recorded([4, 9, 2], updates=8)
    lengths, ends = [], []
    for number, trajectory in enumerate(run.agent.seen, start=2):        # episode 1 went by when the generator was seeded
        assert trajectory.rewards.shape[0::2] == (3, 2) and trajectory.mask.any((0, 2)).all(), "no longer than the longest"
        for taken, episode in columns(trajectory):
            length = int(episode["obs"][0, 2])
            steps = torch.arange(length)
            assert taken.tolist() == [True] * length + [False] * (len(taken) - length)
            assert episode["obs"].tolist() == [[number, t, length] for t in range(length)]
            assert episode["next_obs"].tolist() == [[number, t + 1, length] for t in range(length)], "also at the end, not the next episode's"
            assert torch.equal(episode["rewards"], 10.0 * (steps + 1) + episode["actions"])
            assert torch.equal(episode["terminated"], (steps == length - 1) & (length % 2 == 1))
            assert torch.equal(episode["truncated"], (steps == length - 1) & (length % 2 == 0))
            lengths.append(length), ends.append(bool(episode["terminated"][-1]))
        for name in ("rewards", "terminated", "truncated"):
            assert not getattr(trajectory, name)[~trajectory.mask].any()
    assert lengths[0::2] != lengths[1::2], "a seed's two environments have streams of their own"
    assert set(lengths) == set(range(1, 7)) and set(ends) == {True, False}
    assert sum(run.clocks) == sum(lengths) and run.step == min(run.clocks) < max(run.clocks)


def test_segments_go_on_where_the_last_one_stopped():
    run, _ = recorded([4, 9], updates=5, rollout=(3, 7))
    assert run.clocks == [5 * 3 * 7] * 2
    whole = {name: torch.cat([getattr(segment, name) for segment in run.agent.seen], 1) for name in vars(run.agent.seen[0])}
    assert whole["mask"].all() and whole["rewards"].shape == (2, 35, 3)
    ended, inside = whole["terminated"] | whole["truncated"], 0
    for k, t, b in np.ndindex(2, 34, 3):
        follows = whole["next_obs"][k, t, b] if not ended[k, t, b] else whole["obs"][k, t, b] * torch.tensor([1, 0, 0]) + torch.tensor([1.0, 0, 0])
        assert torch.equal(whole["obs"][k, t + 1, b][:2], follows[:2])
        inside += t % 7 == 6 and not ended[k, t, b]
    assert inside > 5, "some episodes are cut by the end of a segment, and continued"
    assert torch.equal(ended, whole["next_obs"][..., 1] == whole["next_obs"][..., 2])


@pytest.mark.parametrize("rollout", [(2, None), (2, 5)])
def test_a_seed_does_not_notice_whom_it_is_trained_beside(rollout):
    """Its episodes, actions, clock and rows; the noise of its updates too, although others make it wait."""
    (beside, rows), (alone, own) = recorded([3, 8, 5], 12, rollout), recorded([8], 12, rollout)
    for one, two in zip(beside.agent.seen, alone.agent.seen):
        for (_, ours), (_, theirs) in zip(list(columns(one))[2:4], columns(two)):
            assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [row for row in rows if row.seed == 8] == own and beside.clocks[1] == alone.step
    assert torch.equal(beside.losses["noise"][1], alone.losses["noise"][0])
    first = [episode["obs"][:, 2].tolist() for _, episode in columns(beside.agent.seen[0])]
    assert len({str(x) for t in beside.agent.seen for x in [[e["obs"][:, 2].tolist() for _, e in columns(t)]]}) > 6 and len(first) == 6


def test_the_rows_are_the_episodes_at_the_seeds_own_clock():
    run, rows = recorded([8], updates=3, rollout=(1, None))
    lengths = [int(t.mask.sum()) for t in run.agent.seen]
    assert [(row.step, row.value) for row in rows if row.metric == "episode_length"] == list(zip(np.cumsum(lengths).tolist(), lengths))
    returns = [float(t.rewards.sum()) for t in run.agent.seen]
    assert [row.value for row in rows if row.metric == "episode_return"] == returns


def test_an_episode_without_an_end_is_truncated_and_begins_anew(monkeypatch):
    monkeypatch.setattr(on_policy, "LONGEST", 5)
    run, rows = recorded([8], updates=2, rollout=(2, None), env="Endless-v0")
    for number, trajectory in enumerate(run.agent.seen, start=2):
        assert trajectory.truncated[0].tolist() == [[False, False]] * 4 + [[True, True]] and not trajectory.terminated.any()
        assert (trajectory.obs[0, :, :, 0] == number).all() and trajectory.mask.all()
    assert [row.value for row in rows if row.metric == "episode_length"] == [5.0] * 4


def test_what_is_due_between_two_moments():
    assert crossed(0, 9, 10) == [] and crossed(9, 10, 10) == [10] and crossed(10, 35, 10) == [20, 30] and crossed(10, 10, 10) == []


def test_what_is_measured_of_a_seed_is_what_it_measures_alone():
    """Every row, evaluations included, in the order of steps; nothing later than the last step, although fast seeds have gone on."""
    common = {"env": "CartPole-v1", "steps": 500, "config": TINY | {"dtype": "float64"}, "evaluate_every": 200, "eval_episodes": 2, "log_every": 100,
              "progress": False}
    together = train("reinforce", seeds=[0, 5, 9], **common).rows
    assert [row.step for row in together] == sorted(row.step for row in together) and together[-1].step <= 500
    for seed in (0, 5, 9):
        ours, alone = [row for row in together if row.seed == seed], train("reinforce", seeds=[seed], **common).rows
        assert [row[:3] for row in ours] == [row[:3] for row in alone] and len(ours) > 40
        np.testing.assert_allclose([row.value for row in ours], [row.value for row in alone], rtol=1e-9, atol=1e-12)
    assert [row.step for row in together if row.metric == "eval_return" and row.seed == 5] == [200, 400, 500]


def test_losses_are_logged_once_per_update_that_passes_a_multiple():
    history = train("reinforce", "CartPole-v1", seeds=[5], steps=600, config=TINY, log_every=10, eval_episodes=1, progress=False)
    logged, ends = history.series("loss_pi", 5)[0].tolist(), history.series("episode_length", 5)[0].tolist()
    assert len(logged) > 5 and set(logged) <= set(ends) and len(set(logged)) == len(logged)


@pytest.mark.parametrize(("agent", "config"), [("reinforce", TINY), ("soft_q", {"hidden": (8,), "learning_starts": 20, "batch_size": 4})])
def test_evaluation_of_discrete_actions(agent, config):
    trained = train(agent, "CartPole-v1", seeds=[2, 7], steps=60, config=config, eval_episodes=1, progress=False).agent
    both = evaluate(trained, "CartPole-v1", episodes=3, at=1)
    assert both.shape == (2, 3) and np.array_equal(both, evaluate(trained, "CartPole-v1", episodes=3, at=1))
    np.testing.assert_array_equal(evaluate(trained, "CartPole-v1", episodes=3, at=1, copies=[1]), both[1:])
    action = policy(trained, copy=1)(np.array([0.1, 0.2, 0.3, 0.4]))
    assert action.shape == () and action.dtype == np.int64 and action in (0, 1)
