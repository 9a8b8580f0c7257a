"""`make repro`: everything, or the chains of the runs that are named."""

import sys

from genfoundry.stages import stage
from genfoundry.workspace import repro


def main(*runs: str) -> None:
    sys.exit(repro(runs))


if __name__ == "__main__":
    stage(main, *sys.argv[1:])
