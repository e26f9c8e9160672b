"""How programs of tests are built."""

from ...nightly import NIGHTLY

#: Every warning is an error.
STRICT = ("-Wall", "-Wextra", "-Werror")
if not NIGHTLY:  # a program runs once and for a moment: little time for building
    STRICT += ("-O1",)
