"""Stage `evaluate@<run>`."""

import sys

from genfoundry.metrics.stage import evaluate_run
from genfoundry.stages import stage

if __name__ == "__main__":
    stage(evaluate_run, sys.argv[1])
