"""Stage `report`, the last of all: MLflow is brought up to date too."""

from genfoundry.params import load
from genfoundry.report.stage import report
from genfoundry.stages import stage
from genfoundry.workspace import synchronise


def main() -> None:
    report()
    synchronise(load())


if __name__ == "__main__":
    stage(main)
