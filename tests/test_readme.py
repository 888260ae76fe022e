"""The README and the course map: what they link to is there, and they say the same."""

import re
from pathlib import Path

import pytest

COURSE = Path(__file__).resolve().parents[1]
README = (COURSE / "README.md").read_text(encoding="utf-8")
MAP = (COURSE / "notebooks/source/00_orientation.py").read_text(encoding="utf-8")


def links(text: str) -> list[str]:
    """Targets of Markdown links and images that are files, without anchors."""
    return [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if not target.startswith(("#", "http"))]


def lecture_table(text: str) -> list[tuple[str, str]]:
    """(number, title without link) of each row of a lecture table."""
    rows = re.findall(r"^(?:# )?\| (\d\d[ab]?) \| (.+?) \|", text, re.MULTILINE)
    return [(number, re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", title)) for number, title in rows]


@pytest.mark.parametrize(("text", "folder"), [(README, "."), (MAP, "notebooks")], ids=["README", "map"])
def test_every_link_leads_to_a_file(text, folder):
    assert len(links(text)) >= 3
    assert [target for target in links(text) if not (COURSE / folder / target).is_file()] == []


def test_readme_and_map_list_the_same_lectures_and_every_notebook():
    assert lecture_table(README) == lecture_table(MAP)
    listed = {number for number, _ in lecture_table(README)}
    assert {path.name.split("_")[0] for path in COURSE.glob("notebooks/*.ipynb")} <= listed
    assert {path.name for path in COURSE.glob("exercises/*.ipynb")} == {Path(t).name for t in links(README) if t.startswith("exercises/")}


def test_pictures_have_alt_text_and_are_small():
    pictures = re.findall(r"!\[([^]]*)\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    for alt, path in pictures:
        assert len(alt) > 30 and (COURSE / path).stat().st_size < 1_000_000


def test_nothing_is_left_to_fill_in():
    for text in (README, MAP, *(path.read_text(encoding="utf-8") for path in COURSE.glob("*/source/*.py"))):
        assert not re.search(r"\b(TODO|FIXME|XXX|TBD|[A-Z]{6,}TEXT|MEASURED)\b", text)
