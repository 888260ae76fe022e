"""`python -m rlcourse ...` is `rlcourse ...`."""

import sys

from rlcourse.cli import main

sys.exit(main())
