"""Every row of the source texts has an owner, and every letter that is due is delivered by a cell."""

import itertools
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import rlcourse
from rlcourse.authoring import rows
from rlcourse.authoring.rows import Row

BOOKS = {path.name: nbformat.read(path, as_version=4) for path in sorted(rows.FILE.parent.glob("*.ipynb"))}
ROWS = rows.read_rows()


def test_all_rows_of_the_five_texts_are_there():
    counts = {source: sum(row.source == source for row in ROWS.values()) for source in ("S0", "S1", "S2", "S3", "S4")}
    assert counts == {"S0": 46, "S1": 34, "S2": 52, "S3": 247, "S4": 31} and len(ROWS) == 410
    for source, count in counts.items():
        assert [id for id in ROWS if id.startswith(source)] == [f"{source}-{k:02d}" for k in range(1, count + 1)]
    for row in ROWS.values():
        assert set(row.letters) <= set(rows.LETTERS) and row.letters and row.statement and re.fullmatch(r"\d\d[ab]?", row.lecture)
        assert re.fullmatch(r"0\.[234]", row.due)


def test_every_letter_that_is_due_is_delivered():
    assert rows.problems(ROWS, BOOKS, rlcourse.__version__) == []


COUNT = itertools.count()
IMAGE = new_output("display_data", data={"image/png": "x"})
WORDS = new_output("stream", text="1.0\n")
IMPORTS = new_code_cell("from rlcourse.agents.sac import SAC\nfrom rlcourse.notation import E")
GOOD = {
    "D": new_code_cell('Derivation("x", "1.1", a).step(b, because="c")'),
    "N": new_code_cell("print(1.0)", outputs=[WORDS]),
    "W": new_code_cell("widgets.show()", outputs=[IMAGE], metadata={"tags": ["widget"]}),
    "I": new_code_cell("SAC.update"),
    "X": new_markdown_cell("Now exercise 13.1."),
    "E": new_code_cell("train()", metadata={"tags": ["experiment"]}),
    "T": new_markdown_cell("Words."),
    "LO": new_markdown_cell("- derive it (13.1)"),
}
BAD = {
    "D": [new_code_cell('Derivation("x", "1.1", a)'), new_markdown_cell("Derivation( .step(")],
    "N": [new_code_cell("print()"), new_markdown_cell("1.0")],
    "W": [new_code_cell("w", outputs=[IMAGE]), new_code_cell("w", metadata={"tags": ["widget"]})],
    "I": [new_code_cell("E(1)"), new_code_cell("sac.update"), *map(new_markdown_cell, ("`rlcourse.agents.sac.Sac`", "`rlcourse.figures.style`"))],
    "X": [new_markdown_cell("Now exercise 13.99."), new_markdown_cell("equation [113.1]")],
    "E": [new_code_cell("train()")],
    "T": [new_markdown_cell(" ")],
    "LO": [new_markdown_cell("- derive it"), new_code_cell("# 13.1")],
}


def book(*cells, status="released"):
    return new_notebook(cells=list(cells), metadata={"rlcourse": {"lecture": "77", "status": status}})


def row(letter, due="9.9"):
    return {"S9-01": Row("S9-01", "S9", "1", "a thing", (letter,), "77", due)}


def claiming(cell, letter, id="S9-01"):
    cell = nbformat.from_dict({**cell, "id": f"c{next(COUNT)}"})
    cell.metadata = nbformat.from_dict({**cell.metadata, "rows": [f"{id}:{letter}"]})
    return cell


@pytest.mark.parametrize("letter", rows.LETTERS)
def test_what_delivers_a_letter_and_what_does_not(letter):
    assert rows.problems(row(letter), {"a": book(IMPORTS, claiming(GOOD[letter], letter))}, "0.1.0") == []
    assert "no cell of it delivers it" in rows.problems(row(letter), {"a": book(IMPORTS, GOOD[letter])}, "0.1.0")[0]
    for cell in BAD[letter]:
        first, second = rows.problems(row(letter), {"a": book(IMPORTS, claiming(cell, letter))}, "0.1.0")
        assert f"claims S9-01:{letter}, and " in first and "S9-01" in second


def test_a_symbol_named_in_text_is_an_implementation_if_it_exists():
    cell = claiming(new_markdown_cell("read `rlcourse.agents.sac.SAC.update`"), "I")
    assert rows.problems(row("I"), {"a": book(cell)}, "0.1.0") == []


def test_drafts_owe_nothing_before_their_release_and_everything_from_then_on():
    draft = {"a": book(claiming(GOOD["T"], "T"), status="draft")}
    assert rows.problems(row("T", due="0.3"), draft, "0.2.9") == []
    assert len(rows.problems(row("T", due="0.3"), draft, "0.3.0")) == 1 == len(rows.problems(row("T", due="0.3"), {}, "0.10.0"))


def test_claims_of_nothing_are_found():
    cells = [claiming(GOOD["T"], "T"), claiming(GOOD["T"], "T", "S9-02"), claiming(GOOD["T"], "Z")]
    found = rows.problems(row("T"), {"a": book(*cells)}, "0.1.0")
    assert len(found) == 2 and all("no such row or letter" in line for line in found)
