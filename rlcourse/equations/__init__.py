"""One pure function per equation: arrays in, arrays out. No environment, optimiser, device choice, logging or global random numbers.

Read a module the way an agent does, through its name, so that an equation is found, and replaced, in one place:

    from rlcourse.equations import max_entropy
    y = max_entropy.sac_target(rewards, terminated, q1_next, q2_next, log_prob_next, gamma, alpha)        # [13.9]

`using` puts your own function in that place for the length of a `with` block. The real agent then runs on your mathematics.
"""

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType


class UnknownEquationError(ValueError):
    """`using` was given a name that no module of `rlcourse.equations` defines."""


@contextmanager
def using(**functions: Callable) -> Iterator[None]:
    """Run the package with your functions in place of its own: `with using(sac_target=my_target): agent.update(batch)`.

    functions: the name of an equation function, and the function to call in its place. It gets the arguments that the original would get.
    The originals are back when the block ends, also when it ends with an error; blocks may be nested, and the inner one wins.

    Errors: UnknownEquationError for a name that no equations module defines (the message offers near names); TypeError if the value cannot be called.
    Limits: `using()` changes nothing; `using(f=f)` gives the same bits; after the block every module holds what it held before.
    """
    for name, new in functions.items():
        _require_replaceable(name, new)
    before = [(module, name, getattr(module, name)) for name in functions for module in catalogue()[name]]
    try:
        for module, name, _ in before:
            setattr(module, name, functions[name])
        yield
    finally:
        for module, name, original in before:
            setattr(module, name, original)


@functools.cache
def catalogue() -> dict[str, tuple[ModuleType, ...]]:
    """Name of every public equation function (and class) -> the modules that hold it: its home, and any equations module that imported it from there.

    Read once, before anything is replaced, so that blocks of `using` can be nested.
    """
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    homes = {module.__name__ for module in modules}
    names = {name for module in modules for name, value in vars(module).items() if getattr(value, "__module__", None) in homes}
    return {name: tuple(module for module in modules if name in vars(module)) for name in sorted(names) if not name.startswith("_")}


def _require_replaceable(name: str, new: Callable) -> None:
    if name not in catalogue():
        near = difflib.get_close_matches(name, catalogue(), n=3, cutoff=0.5)
        offer = f"Did you mean {' or '.join(near)}?" if near else f"It has {', '.join(catalogue())}."
        raise UnknownEquationError(f"rlcourse.equations has no function {name!r}, so there is nothing to replace. {offer}")
    if not callable(new):
        raise TypeError(f"using({name}=...) needs a function to call, and got a {type(new).__name__}. Pass the function itself, without parentheses.")
