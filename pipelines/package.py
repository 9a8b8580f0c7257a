"""Stage `package@<run>`."""

import sys

from genfoundry.package import package_run
from genfoundry.stages import stage

if __name__ == "__main__":
    stage(package_run, sys.argv[1])
