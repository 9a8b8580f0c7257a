"""Stage `evaluate@<run>`."""

import sys

from genfoundry.stages import stage
from genfoundry.tasks.stage import evaluate_run

if __name__ == "__main__":
    stage(evaluate_run, sys.argv[1])
