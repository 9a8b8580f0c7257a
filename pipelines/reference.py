"""Stage `reference@<dataset>`."""

import sys

from genfoundry.judge.reference import measure_dataset
from genfoundry.stages import stage

if __name__ == "__main__":
    stage(measure_dataset, sys.argv[1])
