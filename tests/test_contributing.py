"""The worked example of CONTRIBUTING.md is what it says: five checked steps in under 20 lines, of which no wrong version passes."""

import re
from pathlib import Path

import pytest

from rlcourse.notation import Derivation, StepFails, derivations, mutation

PAGE = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()
EXAMPLE, LEMMA = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ATTACHED = re.search(r"# (\.also_equals.*)", LEMMA).group(1)


def example(code: str = EXAMPLE) -> Derivation:
    exec(compile(code, "CONTRIBUTING.md", "exec"), {})
    return next(d for d in derivations() if d.tag == "07.1")


def with_the_lemma() -> str:
    symbols, chain = EXAMPLE.split("(\n    Derivation", 1)
    second, rest = chain.split('is left of it")\n')
    return f"{symbols}{LEMMA}(\n    Derivation{second}is left of it\")\n    {ATTACHED}\n{rest}"


def test_a_derivation_of_five_steps_takes_under_twenty_lines():
    assert len(EXAMPLE.strip().splitlines()) < 20
    assert example().checked == 5


def test_every_wrong_version_of_the_example_is_caught_or_is_a_theorem():
    fates = [o.fate for o in mutation.outcomes(example())]
    assert fates.count("caught") > 100 and fates.count("survivor") == 1
    assert [o.fate for o in mutation.outcomes(example(with_the_lemma())) if o.fate in ("survivor", "equal")] == ["equal"]


def test_changing_a_sign_names_the_step_and_a_world():
    with pytest.raises(StepFails, match=r"step 2 .*does not hold\nin the world with 2 states"):
        example(EXAMPLE.replace("gamma * V(s[t + 1]) - V(s[t])))),", "gamma * V(s[t + 1]) + V(s[t])))),", 1))
