"""Pictures that are made once and stored: `python -m rlcourse.authoring.media [RUN]`.

Draws the README's first picture and, from the checkpoint of a HalfCheetah run, the short animation of lecture 13a, and copies the run's small
files (config.json, rows.csv) beside it. Needs a working EGL or OSMesa for the animation only.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image

from rlcourse import widgets
from rlcourse.figures import lecture_13a

ROOT = Path(__file__).parents[2]
MEDIA = ROOT / "notebooks" / "media"
RESULTS = ROOT / "rlcourse" / "results"


def animation(run: Path, target: Path, steps: int = 160, every: int = 2, limit: int = 500_000) -> None:
    """An endless GIF of the run's best seed (highest last evaluation), 0.05 s a step, fewer colours until it is under `limit` bytes."""
    from rlcourse.envs import render_frames
    from rlcourse.stats import History
    from rlcourse.train import load_agent, policy
    agent, env_id = load_agent(run)
    best = int(History.from_csv(run / "rows.csv").table("eval_return")[1][:, -1].argmax())
    print(f"{target.name} shows seed {agent.seeds[best]}, the one with the highest last evaluation")
    frames = [Image.fromarray(f) for f in render_frames(env_id, policy(agent, best), steps, every=every, width=320, height=200)]
    for colours in (64, 32, 16):
        palette = frames[len(frames) // 2].quantize(colours)
        small = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
        small[0].save(target, save_all=True, append_images=small[1:], duration=50 * every, loop=0, optimize=True)
        if target.stat().st_size < limit:
            return
    raise ValueError(f"{target} is {target.stat().st_size} bytes even with 16 colours; show fewer steps.")


def main(argv: list[str]) -> int:
    """Write the media; with RUN, a folder of `rlcourse train sac --env HalfCheetah-v5`, the stored run and its animation too."""
    MEDIA.mkdir(parents=True, exist_ok=True)
    (MEDIA / "squashed_density.png").write_bytes(widgets.png(lecture_13a.squashed_density()))
    if argv:
        run, target = Path(argv[0]), RESULTS / "sac-HalfCheetah-v5"
        target.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "rows.csv"):
            shutil.copyfile(run / name, target / name)
        animation(run, target / "animation.gif")
        shutil.copyfile(target / "animation.gif", MEDIA / "halfcheetah.gif")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
