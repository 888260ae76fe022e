"""A world for tests in which a process waits at a step, once: `held_world:Held-v0`. The variable HELD_FOLDER says where it looks for a file `hold`.

The first environment that comes to its 65th step while that file is there renames it to `held-PID` and waits, to be killed or until `held-PID` is
removed. Each process appends a byte to `steps-PID` at each step, so that a test sees how much was computed by whom.
"""

import os
import time
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.classic_control import PendulumEnv


class Held(PendulumEnv):
    """Pendulum, which waits at its 65th step if it is told to."""

    lived = 0

    def step(self, action):
        self.lived += 1
        if "HELD_FOLDER" in os.environ:
            folder = Path(os.environ["HELD_FOLDER"])
            with open(folder / f"steps-{os.getpid()}", "ab") as file:
                file.write(b".")
            if self.lived == 65:
                self.wait(folder / f"held-{os.getpid()}")
        return super().step(action)

    def wait(self, mine: Path) -> None:
        try:
            os.rename(mine.parent / "hold", mine)
        except FileNotFoundError:
            return
        while mine.exists():
            time.sleep(0.02)


gym.register("Held-v0", entry_point=Held, max_episode_steps=50)
