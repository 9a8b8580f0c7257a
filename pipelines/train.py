"""Stage `train@<run>`."""

import sys

from genfoundry.stages import stage
from genfoundry.training.stage import train_run

if __name__ == "__main__":
    stage(train_run, sys.argv[1])
