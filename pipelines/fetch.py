"""Stage `fetch@<dataset>`."""

import sys
from pathlib import Path

from genfoundry.data.sources import fetch
from genfoundry.params import load_dataset
from genfoundry.stages import stage


def main(name: str) -> None:
    fetch(name, load_dataset(name)[1], Path("data/raw") / name)


if __name__ == "__main__":
    stage(main, sys.argv[1])
