"""A world for tests in which the process that steps it 130 times is killed, once: `dying_world:Dying-v0`, told by the variable DYING_MARK where
to leave word that it has happened."""

import os
import signal
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.classic_control import PendulumEnv


class Dying(PendulumEnv):
    """Pendulum, until the 130th step of the first process that comes there."""

    lived = 0

    def step(self, action):
        Dying.lived += 1
        if Dying.lived == 130 and "DYING_MARK" in os.environ:
            try:
                Path(os.environ["DYING_MARK"]).touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return super().step(action)


gym.register("Dying-v0", entry_point=Dying, max_episode_steps=50)
