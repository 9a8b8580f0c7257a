"""`make start`: the first steps of a profile's runs, exported."""

import sys

from genfoundry.stages import stage
from genfoundry.workspace import start_profile


def main(name: str, steps: str, *runs: str) -> None:
    sys.exit(start_profile(name, int(steps), runs))


if __name__ == "__main__":
    stage(main, *sys.argv[1:])
