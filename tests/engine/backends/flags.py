"""How programs of tests are built."""

import os

#: Whether everything is tested, as `make nightly` does.
NIGHTLY = "CHAINRULE_NIGHTLY" in os.environ
#: Every warning is an error.
STRICT = ("-Wall", "-Wextra", "-Werror")
if not NIGHTLY:  # a program runs once and for a moment: little time for building, but fused a·b + c
    STRICT += ("-O1", "-fexpensive-optimizations", "-Wno-ignored-optimization-argument")
