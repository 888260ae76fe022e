"""`--matmul fast`: float32 products by another library, after a look at how exact it is on this machine.

PyTorch hands float32 matrix products to MKL; at precision "medium" it hands them to oneDNN, which on many processors is up to twice as fast at nearly
the same accuracy, and on some computes in bfloat16, at a thousandth of it. Which of the two it is can only be measured, so it is, on the shapes of
the run. `--compile` is in rlcourse/compiled.py, `--workers` in rlcourse/workers.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch

from rlcourse.nets import MLP

MATMUL = ("exact", "fast")
TOLERANCE = 1e-4        # relative error of a product against float64; float32 has about 1e-6, TF32 3e-4, bfloat16 3e-3


class SpeedProblem(ValueError):
    """An option that makes training faster cannot be used here; the message says why and what to do."""


@contextmanager
def matmul_precision(matmul: str, agent: Any) -> Iterator[None]:
    """Float32 products of this process by the chosen path, "exact" or "fast", inside the `with`; afterwards as they were before.

    agent: its networks and batch size say on which shapes the fast path is compared with float64 first.
    Errors: SpeedProblem if the relative error is above TOLERANCE on one of them, or if the agent computes in float64.
    """
    if matmul not in MATMUL:
        raise SpeedProblem(f"matmul={matmul!r} is unknown: use 'exact' or 'fast'.")
    if matmul == "fast" and agent.where["dtype"] != torch.float32:
        raise SpeedProblem(f"matmul='fast' (--matmul fast) makes float32 products faster, and this agent computes in {agent.where['dtype']}: nothing "
                           "would change. Leave it out, or set dtype='float32' in the agent's config.")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if matmul == "fast" else "highest")
    try:
        if matmul == "fast":
            _require_accurate(agent)
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _require_accurate(agent: Any) -> None:
    device = agent.where["device"]
    for shapes in products(agent):
        if not (error := relative_error(*shapes, device)) <= TOLERANCE:
            place = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else torch.cuda.get_device_name(device)
            raise SpeedProblem(f"matmul='fast' (--matmul fast) is refused: on this machine ({place}) the fast product {shapes[0]} times {shapes[1]} "
                               f"has a relative error of {error:.1e} against float64, and training with more than {TOLERANCE:.0e} would be another "
                               f"experiment (plain float32 has about 1e-6). Leave the option out; `--compile` and more seeds at once still help.")


def products(agent: Any) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes (copies, rows, inner), (copies, inner, columns) of every different product that an update of the agent makes, backward ones included."""
    batch, found = getattr(agent.cfg, "batch_size", 256), []        # an on-policy agent has as many rows as its episodes are long
    for net in [part for part in vars(agent).values() if isinstance(part, MLP)]:
        copies = net.weights[0][..., 0, 0].numel()
        for fan_in, fan_out in pairwise(net.sizes):
            found += [((copies, batch, fan_in), (copies, fan_in, fan_out)),         # h W
                      ((copies, batch, fan_out), (copies, fan_out, fan_in)),        # its gradient to h
                      ((copies, fan_in, batch), (copies, batch, fan_out))]          # and to W
    return list(dict.fromkeys(found))


def relative_error(left: tuple[int, ...], right: tuple[int, ...], device: torch.device | str = "cpu") -> float:
    """‖C − C₆₄‖ / ‖C₆₄‖ of the float32 product C = A B of this moment's settings, for standard-normal A and B of these shapes (Frobenius norms)."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator).to(device) for shape in (left, right))
    exact = torch.bmm(a.double(), b.double())
    return float((torch.bmm(a, b).double() - exact).norm() / exact.norm())
