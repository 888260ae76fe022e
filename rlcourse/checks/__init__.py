"""Exercises and their checks. In a notebook: `from rlcourse.checks import check, escape_hatch, hint, summary`.

check(my_function)   the verdict first, then which mistake it looks like and where to read
hint("13.1")         the next of three hints
escape_hatch("13.1") a working function, so that later cells can go on
summary("13a")       what is right so far, and which exercise is next
get("13.1")          the Exercise itself; all_ids() lists them

In a shell: `rlcourse check FILE.ipynb` (rlcourse.checks.files.run_check) and `rlcourse progress`.
"""

from rlcourse.checks.core import Exercise
from rlcourse.checks.library import all_ids, get
from rlcourse.checks.notebook import check, escape_hatch, hint
from rlcourse.checks.overview import summary
from rlcourse.checks.report import Report

__all__ = ["Exercise", "Report", "all_ids", "check", "escape_hatch", "get", "hint", "summary"]
