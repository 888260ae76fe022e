"""Two pens for one formula: LaTeX for the notebook, one line of Unicode text for a terminal and for error messages."""

from typing import ClassVar

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.pretty.pretty_symbology import pretty_symbol
from sympy.printing.str import StrPrinter

_TALL = ("\\frac", "\\left", "\\sum", "\\int")


class LatexPen:
    """Turns pieces of a formula into LaTeX."""

    signs: ClassVar = {
        "~": r" \sim ", "<=": r" \le ", ">=": r" \ge ", "<": " < ", ">": " > ",
        "d": r"\partial ", "Phi": r"\Phi", "int": r"\int", "times": r"\,", "dot": r" \cdot ",
        "|": r" \mid ", "any": r"\cdot", "eq": " = ", "nabla": r"\nabla", "parallel": r" \,\|\, ",
        "Sum": r"\sum", "Prod": r"\prod", "Max": r"\max", "LSE": r"\operatorname{LSE}",
    }

    def __init__(self, printer: LatexPrinter | None = None) -> None:
        self.printer = printer or LatexPrinter()

    def of(self, node: sp.Basic) -> str:
        return self.printer._print(node)

    def name(self, text: str) -> str:
        return self.printer._print(sp.Symbol(text))

    def frac(self, top: str, bottom: str) -> str:
        return rf"\frac{{{top}}}{{{bottom}}}"

    def bracket(self, inside: str, left: str = "(", right: str = ")") -> str:
        if any(mark in inside for mark in _TALL):
            return rf"\left{left}{inside}\right{right}"
        return f"{left}{inside}{right}"

    def power(self, base: str, exponent: str) -> str:
        return rf"{base}^{{{exponent}}}"

    def sub(self, base: str, index: str) -> str:
        return rf"{base}_{{{index}}}"

    def at(self, shown: str, where: str) -> str:
        return rf"{shown}\,\big|_{{{where}}}"

    def word(self, text: str) -> str:
        return f"\\{text}" if text in ("log", "exp", "tanh", "sin", "cos", "det", "min", "max") else rf"\operatorname{{{text}}}"

    def root(self, inside: str) -> str:
        return rf"\sqrt{{{inside}}}"

    def script(self, letter: str) -> str:
        return {"E": r"\mathbb{E}", "P": r"\mathbb{P}", "d": r"\mathrm{d}", "D": "D", "KL": r"\mathrm{KL}"}.get(letter, rf"\mathcal{{{letter}}}")

    def sign(self, text: str) -> str:
        return self.signs[text]


class TextPen(LatexPen):
    """Turns pieces of a formula into one line of Unicode text."""

    signs: ClassVar = {
        "~": " ~ ", "<=": " ≤ ", ">=": " ≥ ", "<": " < ", ">": " > ",
        "d": "∂", "Phi": "Φ", "int": "∫", "times": " ", "dot": " · ",
        "|": " | ", "any": "·", "eq": " = ", "nabla": "∇", "parallel": " ‖ ", "Sum": "Σ", "Prod": "Π", "Max": "max", "LSE": "LSE",
    }

    def __init__(self, printer: StrPrinter | None = None) -> None:
        self.printer = printer or UnicodePrinter()

    def name(self, text: str) -> str:
        return pretty_symbol(text)

    def frac(self, top: str, bottom: str) -> str:
        return f"{_enclose(top)}/{_enclose(bottom, '*/ ·')}"

    def bracket(self, inside: str, left: str = "(", right: str = ")") -> str:
        return f"{left}{inside}{right}"

    def power(self, base: str, exponent: str) -> str:
        if exponent.isdigit():
            return base + exponent.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{base}^{exponent}" if len(exponent) == 1 else f"{base}^({exponent})"

    def sub(self, base: str, index: str) -> str:
        return f"{base}_{index}" if len(index) == 1 else f"{base}_{{{index}}}"

    def at(self, shown: str, where: str) -> str:
        return f"{shown}|_{{{where}}}"

    def word(self, text: str) -> str:
        return text

    def root(self, inside: str) -> str:
        return f"√({inside})"

    def script(self, letter: str) -> str:
        return letter


def _enclose(text: str, marks: str = "+-−") -> str:
    """Brackets around `text` if an operator stands outside every bracket."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and letter in marks + "+-−" and position > 0:
            return f"({text})"
    return text


class UnicodePrinter(StrPrinter):
    """Prints sympy's own leaves (symbols, numbers) as Unicode text."""

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return pretty_symbol(expr.name)

    def _print_Half(self, expr: sp.Basic) -> str:
        return "½"


def latex(expr: sp.Basic) -> str:
    """The LaTeX of an expression, as the notebook shows it."""
    return LatexPrinter()._print(sp.sympify(expr))


def text(expr: sp.Basic) -> str:
    """The same expression as one line of Unicode, for a terminal and for error messages."""
    return UnicodePrinter()._print(sp.sympify(expr))


class Writes:
    """Anything with `_write(pen)` has LaTeX and text."""

    __slots__ = ()

    def _latex(self, printer: LatexPrinter) -> str:
        return self._write(LatexPen(printer))

    def _sympystr(self, printer: StrPrinter) -> str:
        return self._write(TextPen(printer if isinstance(printer, UnicodePrinter) else None))
