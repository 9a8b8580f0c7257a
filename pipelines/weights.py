"""Stage `weights@<name>`."""

import sys

from genfoundry.data.pretrained import FOLDER, fetch_weights
from genfoundry.params import load_weights
from genfoundry.stages import stage


def main(name: str) -> None:
    fetch_weights(name, load_weights(name), FOLDER / name)


if __name__ == "__main__":
    stage(main, sys.argv[1])
