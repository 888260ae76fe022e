"""Environments, devices and random streams, and the errors that a student meets first."""

import subprocess

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlcourse import envs
from rlcourse.envs import EnvironmentProblem, RenderingUnavailable, SeededEnv, choose_device, env_actions, generators, interface, make, stream_seed


@pytest.mark.parametrize(
    ("asked", "offered"),
    [("HalfCheeta-v5", "HalfCheetah-v5"), ("HalfCheetah-v9", "HalfCheetah-v5"), ("pendulum-v1", "Pendulum-v1"), ("Pendulum", "Pendulum-v1"),
    ("Hoper", "Hopper-v5")],
)
def test_an_unknown_environment_is_answered_with_the_nearest_names(asked, offered):
    with pytest.raises(EnvironmentProblem, match=f"{asked!r}.*Did you mean .*{offered}"):
        make(asked)


def test_a_name_near_nothing_says_where_the_list_is():
    with pytest.raises(EnvironmentProblem, match="pprint_registry"):
        make("Zzzzzzzz-v0")


def agent_for(kind: str | None) -> type:
    return type("TOY", (), {} if kind is None else {"actions": kind})


@pytest.mark.parametrize(
    ("kind", "env_id", "says"),
    [
        (None, "CartPole-v1", r"TOY needs continuous actions.*CartPole-v1 has Discrete\(2\).*soft_q"),
        ("continuous", "CartPole-v1", r"TOY needs continuous actions.*CartPole-v1 has Discrete\(2\)"),
        ("discrete", "Pendulum-v1", r"TOY needs discrete actions.*Pendulum-v1 has Box.*CartPole-v1"),
    ],
)
def test_an_agent_and_an_environment_that_do_not_fit_are_refused_with_the_reason(kind, env_id, says):
    with pytest.raises(EnvironmentProblem, match=says):
        interface(make(env_id), env_id, agent_for(kind))


def test_an_agent_is_told_the_sizes_of_its_environment():
    cartpole, pendulum = make("CartPole-v1"), make("Pendulum-v1")
    assert interface(cartpole, "CartPole-v1", agent_for("discrete")) == {"obs_dim": 4, "action_dim": 2}
    assert interface(pendulum, "Pendulum-v1", agent_for("continuous")) == interface(pendulum, "Pendulum-v1", agent_for(None))
    assert interface(pendulum, "Pendulum-v1", agent_for("both")) == {"obs_dim": 3, "action_dim": 1, "discrete": False}
    assert interface(cartpole, "CartPole-v1", agent_for("both")) == {"obs_dim": 4, "action_dim": 2, "discrete": True}


def test_actions_that_are_neither_one_nor_the_other_are_refused():
    env = make("Space-v0", observation_space=gym.spaces.Box(-1, 1, (1,)), action_space=gym.spaces.MultiDiscrete([2, 3]))
    with pytest.raises(EnvironmentProblem, match=r"MultiDiscrete.*one of the two"):
        interface(env, "Space-v0", agent_for("both"))


def test_discrete_actions_are_counted_from_zero():
    env = make("Space-v0", observation_space=gym.spaces.Box(-1, 1, (1,)), action_space=gym.spaces.Discrete(3, start=-1))
    env.reset()
    env.step(2)
    assert env.unwrapped.last == 1 and env.action_space == gym.spaces.Discrete(3)


def test_environments_get_integers_or_vectors_within_their_bounds():
    index = env_actions(torch.tensor([[2, 0]]))
    assert index.dtype == np.int64 and index.tolist() == [[2, 0]]
    vector = env_actions(torch.tensor([[1.5, -0.25, -7.0]], dtype=torch.float64))
    assert vector.dtype == np.float32 and vector.tolist() == [[1.0, -0.25, -1.0]]


def test_a_missing_simulator_says_how_to_get_it(monkeypatch):
    def missing(*_, **__):
        raise gym.error.DependencyNotInstalled("No module named 'mujoco'")

    monkeypatch.setattr(gym, "make", missing)
    with pytest.raises(EnvironmentProblem, match=r"HalfCheetah-v5 needs a simulator.*make lab"):
        make("HalfCheetah-v5")


class Space(gym.Env):
    """An environment of given spaces."""

    def __init__(self, observation_space: gym.Space, action_space: gym.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def step(self, action):
        self.last = action
        return np.zeros(1, np.float32), 0.0, False, False, {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}


gym.register("Space-v0", entry_point=Space)


@pytest.mark.parametrize(
    ("observations", "actions", "says"),
    [
        (gym.spaces.Box(0, 255, (8, 8, 3), np.uint8), gym.spaces.Box(-1, 1, (1,)), "one vector per state"),
        (gym.spaces.Discrete(4), gym.spaces.Box(-1, 1, (1,)), "one vector per state"),
        (gym.spaces.Box(-1, 1, (1,)), gym.spaces.Box(-np.inf, np.inf, (1,)), "unbounded actions"),
    ],
)
def test_spaces_that_the_networks_cannot_read_are_refused(observations, actions, says):
    with pytest.raises(EnvironmentProblem, match=says):
        make("Space-v0", observation_space=observations, action_space=actions)


def test_actions_are_mapped_linearly_onto_the_environments_bounds():
    low, high = np.array([0, -3], np.float32), np.array([5, 0.5], np.float32)
    env = make("Space-v0", observation_space=gym.spaces.Box(-1, 1, (1,)), action_space=gym.spaces.Box(low, high))
    env.reset()
    for share in (0.0, 0.5, 1.0, 0.3):
        env.step(np.full(2, 2 * share - 1, np.float32))
        np.testing.assert_allclose(env.unwrapped.last, low + share * (high - low), atol=1e-6)


def test_a_time_limit_truncates_and_shows_the_true_next_observation():
    env, plain = SeededEnv("Pendulum-v1", seed=0), gym.make("Pendulum-v1").unwrapped
    plain.reset()
    plain.state = env.env.unwrapped.state.copy()
    for t in range(200):
        obs, _, terminated, truncated = env.step(np.zeros(1, np.float32))
        expected = plain.step(np.zeros(1))[0]
        assert (terminated, truncated) == (False, t == 199)
    np.testing.assert_array_equal(obs, expected)
    assert not np.allclose(obs, env.reset())


def test_a_fall_terminates():
    env = SeededEnv("Hopper-v5", seed=0)
    while not (outcome := env.step(np.ones(3, np.float32)))[2]:
        assert outcome[3] is False
    assert outcome[2:] == (True, False) and len(env.actions) < 100


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "HalfCheetah-v5", "Hopper-v5", "CartPole-v1"])
def test_an_environment_is_put_back_exactly_in_the_middle_of_an_episode(env_id):
    rng, env = np.random.default_rng(0), SeededEnv(env_id, seed=3)
    shape = env.env.action_space.shape
    actions = rng.uniform(-1, 1, (300, *shape)).astype(np.float32) if shape else rng.integers(0, 2, 300)

    def play(played):
        seen = []
        for action in played:
            obs, reward, terminated, truncated = env.step(action)
            seen.append((*obs, reward, terminated, truncated))
            if terminated or truncated:
                env.reset()
        return np.array(seen)

    play(actions[:150])
    state = env.state_dict()
    expected, total = play(actions[150:]), env.episode_return
    env = SeededEnv(env_id, seed=99)
    env.load_state_dict(state)
    np.testing.assert_array_equal(play(actions[150:]), expected)
    assert env.episode_return == total


def test_a_seeds_environments_differ_and_the_first_is_the_one_it_has_alone():
    first, second, alone = (SeededEnv("Pendulum-v1", 3, *index).obs.tolist() for index in ((0,), (1,), ()))
    assert first == alone and first != second != SeededEnv("Pendulum-v1", 4, 1).obs.tolist()


def test_mujocos_warnings_are_pythons_and_leave_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = make("HalfCheetah-v5")
    env.reset(seed=0)
    env.unwrapped.data.qvel[:] = 1e20
    with pytest.warns(RuntimeWarning, match="The simulation is unstable"):
        env.step(np.zeros(6, np.float32))
    assert list(tmp_path.iterdir()) == []
    envs._mujoco_warning("attribute 'settotalmass' is deprecated")


def test_streams_of_a_seed_and_seeds_of_a_stream_are_unrelated_and_repeatable():
    seeds = [stream_seed(seed, stream, *more) for seed in range(20) for stream in envs.STREAMS for more in ((), (0,), (1,))]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)
    first, second = (torch.rand(5, generator=generators([7], "noise")[0]) for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(ValueError, match="seed = -1"):
        stream_seed(-1, "noise")


def test_the_device_is_chosen_in_one_place(monkeypatch):
    torch.set_num_threads(2)
    assert choose_device("cpu") == torch.device("cpu") and torch.get_num_threads() == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="sees no CUDA GPU"):
        choose_device("cuda")
    with pytest.raises(ValueError, match="'gpu' is unknown"):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda" and choose_device("cuda:1").index == 1


def test_frames_are_drawn_without_a_display():
    frames = envs.render_frames("Pendulum-v1", lambda obs: np.zeros(1, np.float32), steps=6, every=2)
    assert len(frames) == 3 and all(frame.dtype == np.uint8 and frame.shape[-1] == 3 and frame.std() > 0 for frame in frames)


@pytest.mark.parametrize(("works", "chosen"), [({"egl", "osmesa"}, "egl"), ({"osmesa"}, "osmesa")])
def test_rendering_falls_back_from_egl_to_osmesa(monkeypatch, works, chosen):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    def probe(*_, env, **__):
        return subprocess.CompletedProcess([], env["MUJOCO_GL"] not in works, "", "ImportError: no library")

    monkeypatch.setattr(subprocess, "run", probe)
    assert envs.rendering_backend() == chosen


def test_where_nothing_draws_the_message_says_what_was_tried(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "Traceback\nImportError: no library"))
    with pytest.raises(RenderingUnavailable, match=r"egl said 'ImportError: no library'; osmesa said .*libegl1.*Training and eval"):
        envs.render_frames("HalfCheetah-v5", lambda obs: np.zeros(6, np.float32), steps=1)


def test_mujoco_is_drawn_where_this_machine_can():
    try:
        frames = envs.render_frames("HalfCheetah-v5", lambda obs: np.zeros(6, np.float32), steps=2, width=64, height=48)
    except RenderingUnavailable as error:
        pytest.skip(str(error))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2 and frames[0].std() > 0
