"""`--compile`: an agent's update as one compiled graph.

torch.compile traces `agent.update`, gradients and Adam included, into one graph without a break, and writes C++ (or GPU code) for it. What is saved
is the time between operations: a lot for small networks, where it is most of the time, and little for 256x256 and many seeds, where matrix products
are. Numbers agree with those of the eager code to rounding, not bit for bit; the same command still gives the same bits each time.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._dynamo import config as dynamo
from torch._dynamo.exc import TorchDynamoException
from torch._inductor import cpp_builder, exc

from rlcourse.speed import SpeedProblem

MODES = ("default", "reduce-overhead", "max-autotune")
AGENTS = 64     # compiled in one process before PyTorch gives up; its own limit, 8 graphs for one piece of code, is reached by the fifth TD3


def compile_update(agent: Any, mode: str = "default", say: Callable[[str], None] | None = None, backend: str = "inductor") -> None:
    """Replace `agent.update` by a compiled one: one graph, from the batch to the last Polyak step, for each branch that the update can take.

    mode: one of MODES, as torch.compile explains them. say: is told, once per graph, how long the first call took; None for silence. A graph is made
    at the first update that needs it, in seconds to a minute, or less where an earlier run has left it in PyTorch's cache on the disk.
    backend: "eager" traces without writing code, for tests.
    Errors: SpeedProblem for an unknown mode, an on-policy agent, a machine without a C++ compiler, and an update that cannot be compiled.
    """
    if mode not in MODES:
        raise SpeedProblem(f"compile={mode!r} is unknown: use True (the mode 'default'), or one of {', '.join(MODES)}.")
    if not hasattr(dynamo, "trace_autograd_ops"):
        raise SpeedProblem(f"--compile (compile=...) needs PyTorch 2.13 or later, which traces gradients too; here is {torch.__version__}. "
                           "Leave the option out: the run is the same, only slower.")
    if hasattr(agent, "rollout"):
        raise SpeedProblem(f"{type(agent).__name__} learns from whole episodes, and a graph is compiled for one length: it would be compiled again "
                           "after almost every episode, for longer than the updates take. Leave --compile (compile=...) out.")
    if backend == "inductor":
        _require_compiler(agent.where["device"])
    graph = torch.compile(agent.update, fullgraph=True, dynamic=False, backend=backend, mode=mode if backend == "inductor" else None)
    agent.descend, seen = _descend(agent), set()

    def update(batch: Any, noise: Tensor) -> dict[str, Tensor]:
        started, branch = time.perf_counter(), _branch(agent)
        metrics = _run(graph, agent, batch, noise)
        if branch not in seen:
            seen.add(branch)
            if say is not None:
                say(f"{type(agent).__name__}.update: graph {len(seen)} was ready after {time.perf_counter() - started:.1f} s.")
        return metrics

    agent.update = update


def _branch(agent: Any) -> bool:
    """True if this update also moves what is delayed (TD3's actor and targets). Agents that count no updates have one branch, True."""
    return not hasattr(agent, "updates") or (agent.updates + 1) % agent.cfg.policy_delay == 0


def _run(graph: Callable, agent: Any, batch: Any, noise: Tensor) -> dict[str, Tensor]:
    """One update. A graph is good for one value of every Python number in it, so a counter would ask for a new graph each time: the graph sees
    the counter at one of two values, the first with a delayed part due and the first without, and the true count is put back."""
    count = getattr(agent, "updates", None)
    if count is not None:
        agent.updates = agent.cfg.policy_delay - 1 if _branch(agent) else 0
    try:
        with dynamo.patch(trace_autograd_ops=True, recompile_limit=AGENTS):
            metrics = graph(batch, noise)
    except (TorchDynamoException, exc.InvalidCxxCompiler) as error:
        line = " ".join(str(error).split("\n\n")[0].split())[:500]
        raise SpeedProblem(f"{type(agent).__name__}.update could not be compiled: {type(error).__name__}: {line} Leave --compile (compile=...) out: "
                           "the run is the same, only slower.") from error
    if count is not None:
        agent.updates = count + 1
    return metrics


def _descend(agent: Any) -> Callable[[str, Tensor], None]:
    """`agent.descend` in operations that torch.compile can trace, on the same parameters and the same state of Adam (Kingma & Ba 2015, algorithm 1):

        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   θ ← θ − lr (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
    """
    for optimiser in agent.optimisers.values():
        for parameter in optimiser.param_groups[0]["params"]:
            if not optimiser.state[parameter]:          # Adam makes them at its first step, which never comes
                on = parameter.device
                optimiser.state[parameter].update(step=torch.zeros((), dtype=torch.float32, device=on), exp_avg=torch.zeros_like(parameter),
                                                  exp_avg_sq=torch.zeros_like(parameter))

    def descend(name: str, loss: Tensor) -> None:
        group, state = agent.optimisers[name].param_groups[0], agent.optimisers[name].state
        gradients = torch.autograd.grad(loss.sum(), group["params"])
        with torch.no_grad():
            for parameter, gradient in zip(group["params"], gradients):
                _adam_step(parameter, gradient, *(state[parameter][name] for name in ("step", "exp_avg", "exp_avg_sq")), group)

    return descend


def _adam_step(parameter: Tensor, gradient: Tensor, step: Tensor, m: Tensor, v: Tensor, group: dict) -> None:
    """One step of Adam in place. The corrections 1 − βᵗ are taken in float64: at t = 1, 1 − 0.999 in float32 has lost five digits of its seven."""
    (beta1, beta2), t = group["betas"], step.add_(1).double()
    m.lerp_(gradient, 1 - beta1)
    v.lerp_(gradient.square(), 1 - beta2)
    rate, root = (group["lr"] / (1 - beta1**t)).to(m.dtype), (1 - beta2**t).sqrt().to(m.dtype)
    parameter.sub_(rate * m / (v.sqrt() / root + group["eps"]))


def _require_compiler(device: torch.device) -> None:
    """The CPU code of torch.compile is C++; Debian and Ubuntu have the compiler in the package g++."""
    if device.type != "cpu":
        return
    try:
        cpp_builder.get_cpp_compiler()
    except (exc.InvalidCxxCompiler, OSError) as error:
        raise SpeedProblem("--compile (compile=...) writes C++ and needs a compiler, and none was found (CXX is "
                           f"{os.environ.get('CXX', 'not set')!r}). Install one (Debian, Ubuntu: `sudo apt install g++`; conda: `conda install "
                           "cxx-compiler`; macOS: `xcode-select --install`), or leave the option out: the run is the same, only slower.") from error
