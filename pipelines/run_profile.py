"""`make smoke` and its like: the pipeline with a profile's numbers, in a clone below build/."""

import sys

from genfoundry.stages import stage
from genfoundry.workspace import run_profile


def main(name: str, *runs: str) -> None:
    sys.exit(run_profile(name, runs))


if __name__ == "__main__":
    stage(main, *sys.argv[1:])
