"""Stage `judge@<dataset>`."""

import sys

from genfoundry.judge.stage import judge_dataset
from genfoundry.stages import stage

if __name__ == "__main__":
    stage(judge_dataset, sys.argv[1])
