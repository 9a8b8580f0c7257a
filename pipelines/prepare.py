"""Stage `prepare@<dataset>`."""

import sys
from pathlib import Path

from genfoundry.data.prepare import prepare
from genfoundry.params import load_dataset
from genfoundry.stages import stage


def main(name: str) -> None:
    prepare(name, load_dataset(name)[1], Path("data/raw") / name, Path("data/prepared") / name)


if __name__ == "__main__":
    stage(main, sys.argv[1])
