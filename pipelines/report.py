"""Stage `report`."""

from genfoundry.report.stage import report
from genfoundry.stages import stage

if __name__ == "__main__":
    stage(report)
