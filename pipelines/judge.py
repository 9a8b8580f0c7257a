"""Stage `judge@<dataset>`."""

import sys

from genfoundry.stages import stage
from genfoundry.training.guard import die_with_parent

if __name__ == "__main__":
    die_with_parent()  # before torch: whoever is killed in these seconds must not leave a trainer behind
    from genfoundry.judge.stage import judge_dataset

    stage(judge_dataset, sys.argv[1])
