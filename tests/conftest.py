"""Before torch is imported: workers share the cores, and threads that spin on the same core stall each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
