"""The tests of all layers. This is imported before anything that pytest imports for them."""

import os
import sys

# Images of containers often forbid it. Here each process of each run would compile 250 modules of tests anew and
# rewrite their asserts, which is half of its start, and each server that a test starts would compile whatever has
# changed since `make dev`.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
