"""Stage `extractor@<name>`."""

import sys

from genfoundry.judge.stage import ship_extractor
from genfoundry.stages import stage

if __name__ == "__main__":
    stage(ship_extractor, sys.argv[1])
