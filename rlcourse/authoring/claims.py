r"""Equations that stand in a notebook's text, where nothing checks them: `$$ ... $$`, `$V = Q$`, and V(s) = max Q in plain Unicode.

A heuristic, on the strict side. What is not a claim: a definition, `x := ...` with one symbol not defined before on its left; a setting, one symbol
and a number (`\sigma = 0.4`, `t = 0, 1, \dots, T`); a range of an index (`t \le T`); an event inside brackets (`P(a > 0.999)`); code, links, tags.
Limits: a claim in words ("V is the largest Q") is not seen, and neither is one that is drawn in a figure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_ENVIRONMENTS = r"equation|align|aligned|gather|multline|eqnarray|displaymath|split"
DISPLAY = re.compile(
    rf"\$\$(?P<dollars>.+?)\$\$|\\\[(?P<brackets>.+?)\\\]|(?P<env>\\begin\{{(?P<name>(?:{_ENVIRONMENTS})\*?)\}}.+?\\end\{{(?P=name)\}})", re.DOTALL
)
INLINE = re.compile(r"(?<![\\$])\$(?!\$)((?:\\.|[^$\\])+?)\$|\\\((.+?)\\\)", re.DOTALL)
NOT_TEXT = (
    re.compile(r"^[ ]{0,3}(```+|~~~+).*?^[ ]{0,3}\1", re.DOTALL | re.MULTILINE), re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL),
    re.compile(r"</?[A-Za-z][^<>]*>"), re.compile(r"\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)"), re.compile(r"https?://\S+"),
    re.compile(r"^\s*[=-]{3,}\s*$", re.MULTILINE),
)
RELATION = re.compile(
    r":=|\\coloneqq|\\(?:leqslant|leq|le|geqslant|geq|ge|approx|propto|equiv|simeq)(?![A-Za-z])|<=|>=|[=≤≥≈∝≡]|(?P<strict>[<>]|\\lt(?![A-Za-z])|\\gt(?![A-Za-z]))"
)
DEFINES = (":=", "\\coloneqq")
SPACING = re.compile(r"\\[,;:! ]|\\(?:quad|qquad|displaystyle|textstyle|left|right|big|Big)(?![A-Za-z])|[&~]|\\\\(?:\[[^\]]*\])?")
COMMAND = r"\\(?:hat|bar|tilde|widehat|mathcal|mathbb|mathrm|mathbf|boldsymbol|operatorname)\s*\{?\s*\\?[A-Za-z]+\s*\}?"
MARKS = r"(?:[_^](?:\{[^{}]*\}|\\?\w+|\*)|['′*̂₀-₉⁰-⁹ᵃ-ᵪ])*"
SYMBOL = re.compile(rf"(?:{COMMAND}|\\[A-Za-z]+|[A-Za-zΑ-ωϕ-ϵℓ]\u0302?){MARKS}$")
FUNCTION = re.compile(rf"(?:{COMMAND}|\\[A-Za-z]+|[A-Za-zΑ-ωϕ-ϵℓ]\u0302?){MARKS}\s*[(\[](?P<inside>[^()\[\]]*)[)\]]$")
NUMBER = re.compile(r"[-+−±]?\s*(?:\d[\d.,_]*(?:\{,\}\d+)?(?:e[-+]?\d+)?|\\frac\{?\d+\}?\{?\d+\}?|\\infty|∞|\\pi|π|½|¼)(?:\s*/\s*\d+)?(?:\s*\\?%)?$")
DOTS = re.compile(r"\\[cl]?dots|…|\.\.\.")
INDEX = re.compile(r"(?:[h-ntBHKNT]'*|\d+)(?:\s*[-+−]\s*\d+)?$")
WORD_LEFT = re.compile(r"(?:[^\s()\[\],;:]*(?:\([^()]*\)|\[[^\[\]]*\]))+$|[^\s()\[\],;:]+$")


@dataclass
class Claims:
    """What a text asserts: `unchecked` claims and `definitions`, each as it is written. `defined`: the symbols that have a meaning by now."""

    unchecked: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)

    def read(self, markdown: str) -> "Claims":
        """Adds what one Markdown cell says."""
        text = without_code(markdown)
        for match in DISPLAY.finditer(text):
            self._judge(next(g for g in match.group("dollars", "brackets", "env") if g), match.group(0), display=True)
        text = DISPLAY.sub(" ", text)
        for match in INLINE.finditer(text):
            self._judge(match.group(1) or match.group(2), match.group(0), display=False)
        for formula in _in_prose(INLINE.sub(" ¤ ", text)):
            self._judge(formula, formula, display=False)
        return self

    def _judge(self, formula: str, shown: str, display: bool) -> None:
        shown = " ".join(shown.split())
        parts, signs = split(formula)
        if signs and signs[0] in DEFINES and len(signs) == 1 and (name := defined_name(parts[0])) and name not in self.defined:
            self.defined.add(name)
            self.definitions.append(shown)
        elif display or (signs and not is_setting(parts, signs)):
            self.unchecked.append(shown)


def without_code(markdown: str) -> str:
    """The text without code, comments, tags and link targets, where = is no equation."""
    for pattern in NOT_TEXT:
        markdown = pattern.sub(" ", markdown)
    return markdown


def split(formula: str) -> tuple[list[str], list[str]]:
    """The sides of a formula and the relations between them; what stands inside brackets, such as an event or an index, is not split."""
    formula, depth, start, parts, signs = SPACING.sub(" ", formula), 0, 0, [], []
    position = 0
    while position < len(formula):
        match = RELATION.match(formula, position) if depth == 0 else None
        if match:
            parts.append(formula[start:position].strip())
            signs.append(match.group(0))
            start = position = match.end()
            continue
        depth += (formula[position] in "([{") - (formula[position] in ")]}")
        position += 1
    return [*parts, formula[start:].strip()], signs


def defined_name(left: str) -> str | None:
    """The symbol that a definition with this left side gives a meaning to: x, or f of f(x, y); None for anything else, such as a sum."""
    if SYMBOL.match(left):
        return re.sub(r"\s", "", left)
    call = FUNCTION.match(left)
    arguments = re.split(r"[,;|]|\\mid(?![A-Za-z])|\\vert(?![A-Za-z])", call.group("inside")) if call else []
    return re.sub(r"\s", "", left[: left.index(call.group("inside")) - 1]) if call and all(SYMBOL.match(a.strip()) for a in arguments) else None


def is_setting(parts: list[str], signs: list[str]) -> bool:
    """One symbol and numbers, σ = 0.4, or indices in order, 0 ≤ t < T. `:=` is never a setting: a definition was asked for."""
    if any(sign in DEFINES for sign in signs):
        return False
    if all(sign in ("<", ">", "\\lt", "\\gt") for sign in signs):            # a condition: u > 9, Q < V. Only <=, =, ... are looked at as claims
        return all(_is_term(p) for p in parts)
    if all(_is_index(p) for p in parts) and all(re.fullmatch(r"<|>|<=|>=|≤|≥|\\[lg](eq|eqslant|e|t)", sign) for sign in signs):
        return True
    values = [p for p in parts if not SYMBOL.match(p) and not re.fullmatch(r"\|[^|]*\||\\lvert.*\\rvert", p)]
    return len(parts) - len(values) <= 1 and all(map(_is_values, values))


def _is_term(part: str) -> bool:
    return bool(SYMBOL.match(part) or NUMBER.match(part) or _is_index(part))


def _is_index(part: str) -> bool:
    return bool(INDEX.match(part))


def _is_values(part: str) -> bool:
    """A number, or a list such as 0, 1, …, T − 1 (a list has dots or more than one number)."""
    items = [x.strip() for x in re.split(r",(?!\d{3}\b)|\band\b|\bor\b|\bto\b", part) if x.strip()]
    if len(items) > 1:
        return all(NUMBER.match(x) or DOTS.fullmatch(x) or (_is_index(x) and DOTS.search(part)) for x in items)
    return bool(items and NUMBER.match(items[0]))


def _in_prose(text: str) -> Iterator[str]:
    """Pieces of plain text around a relation sign, from the term before it to the end of the clause."""
    text = re.sub(r"^\s*\|.*$", lambda row: re.sub(r"(?<!\\)\|", "\n\n", row.group(0)), text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|^\s*(?:[-*#>]|\d+\.)\s", text, flags=re.MULTILINE):
        position = 0
        for match in RELATION.finditer(paragraph):
            before, after = paragraph[position : match.start()].rstrip(), paragraph[match.end() :]
            left = WORD_LEFT.search(before)
            if match.group("strict") or not left or not after.strip():
                continue
            right = re.split(r"[;?!:]|[.,](?=\s|$)|\*\*|¤", after.lstrip(), maxsplit=1)[0].strip()
            number = re.match(r"[-+−±]?\s*\d[\d.,_]*(?:e[-+]?\d+)?(?:\s*%|(?=\s+[A-Za-z]|$))", right)
            yield f"{left.group(0).strip('*_')} {match.group(0)} {number.group(0).rstrip('.,') if number else right}"
            position = match.end()
