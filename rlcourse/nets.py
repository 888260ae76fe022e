"""Networks whose leading dimensions are independent copies.

A linear layer with weights (*copies, in, out) is one batched matrix product, so twin critics are 2 copies, ten seeds are 10 copies, and ten seeds of
twin critics are (10, 2, ...). Sum the losses over copies and average them over the batch: the gradient of copy k then depends on copy k alone, and
Adam, which works element by element, keeps it that way.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from rlcourse.types import ShapeError


class MLP(nn.Module):
    """h_0 = x,   h_{l+1} = relu(h_l W_l + b_l),   output h_{L-1} W_{L-1} + b_{L-1}   (no activation on the output), for every copy at once.

    copies: leading dimensions, the first one being the seed: (N,) for N actors, (N, 2) for N pairs of critics.
    sizes: widths from input to output, for example (17, 256, 256, 6): two hidden layers.
    generators: one torch.Generator per seed, len(generators) == copies[0]. Seed k draws its weights from generators[k] alone, so copy k of N equals
    the network that generators[k] would have started alone.
    Initial values: W and b uniform on [-1/sqrt(in), 1/sqrt(in)], PyTorch's default for a linear layer.

    forward: x (*copies, B, in) -> (*copies, B, out). A copy dimension of size 1 in x is shared: (N, 1, B, in) feeds both critics of each pair.
    Gradient flows to the parameters and to x. Raises ShapeError if the last dimension of x is not sizes[0].
    Limits: one copy equals nn.Linear and relu with the same weights; N copies equal N networks evaluated one by one.
    """

    def __init__(self, copies: Sequence[int], sizes: Sequence[int], generators: Sequence[torch.Generator], *,
                 dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> None:
        super().__init__()
        if len(generators) != copies[0]:
            raise ValueError(f"{len(generators)} generators for {copies[0]} seeds. Each seed draws its own weights, so that it stays the same run "
                             "whether it is trained alone or beside others: pass one generator per seed.")
        self.copies, self.sizes = tuple(copies), tuple(sizes)
        shapes = [(fan_in, shape) for fan_in, fan_out in pairwise(sizes) for shape in ((fan_in, fan_out), (1, fan_out))]
        drawn = [[_uniform(self.copies[1:], shape, 1 / math.sqrt(fan_in), generator) for fan_in, shape in shapes] for generator in generators]
        stacked = [nn.Parameter(torch.stack(tensors).to(dtype=dtype, device=device)) for tensors in zip(*drawn)]
        self.weights, self.biases = nn.ParameterList(stacked[0::2]), nn.ParameterList(stacked[1::2])

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.sizes[0] or x.dim() != len(self.copies) + 2:
            raise ShapeError(f"this network has copies {self.copies} and reads vectors of length {self.sizes[0]}, so its input is "
                             f"{(*self.copies, 'B', self.sizes[0])}; it was given {tuple(x.shape)}. Time and batch come after the copies.")
        batch = x.shape[-2]
        h = x.expand(*self.copies, batch, x.shape[-1]).reshape(-1, batch, x.shape[-1])
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            h = torch.baddbmm(bias.flatten(0, -3), h, weight.flatten(0, -3))     # every copy in one batched product
            h = h.relu_() if layer < len(self.weights) - 1 else h
        return h.view(*self.copies, batch, self.sizes[-1])


def _uniform(copies: Sequence[int], shape: Sequence[int], bound: float, generator: torch.Generator) -> Tensor:
    """Uniform on [-bound, bound], drawn in float64 on the generator's device: float32 and float64 networks start from the same numbers."""
    sample = torch.rand(*copies, *shape, generator=generator, dtype=torch.float64, device=generator.device)
    return (2 * sample - 1) * bound


@torch.no_grad()
def polyak(target: nn.Module | Tensor, online: nn.Module | Tensor, tau: float) -> None:
    """θ⁻ ← (1 − τ) θ⁻ + τ θ,   in place in `target`.

    target, online: two modules with the same parameters in the same order, or two tensors of one shape. tau in [0, 1] is the share of the ONLINE
    network (Spinning Up and some papers write ρ = 1 − τ for the share that is kept). No gradient flows.
    Raises ValueError if tau is outside [0, 1], ShapeError if shapes differ.
    Source: Lillicrap et al. 2016 (DDPG), section 3.
    Limits: tau = 1 copies, tau = 0 changes nothing; n steps towards a fixed θ leave (1 − τ)^n of the gap.
    """
    if not 0 <= tau <= 1:
        raise ValueError(f"tau = {tau} is outside [0, 1]. tau is the share of the online network in each update, 0.005 in SAC; a share outside "
                         "[0, 1] makes the target run away. If your source keeps a share rho of the target, tau is 1 - rho.")
    pairs = [(target, online)] if isinstance(target, Tensor) else list(zip(target.parameters(), online.parameters(), strict=True))
    for theta_target, theta in pairs:
        if theta_target.shape != theta.shape:
            raise ShapeError(f"polyak: a target parameter is {tuple(theta_target.shape)} and its online twin {tuple(theta.shape)}. The target starts "
                             "as a copy of the online network (copy.deepcopy) and keeps its shape.")
        theta_target.lerp_(theta, tau)
