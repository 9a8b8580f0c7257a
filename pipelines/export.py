"""Stage `export@<run>`."""

import sys

from genfoundry.export.stage import export_run
from genfoundry.stages import stage

if __name__ == "__main__":
    stage(export_run, sys.argv[1])
