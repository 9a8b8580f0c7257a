"""Stage `validate`: a wrong params.yaml stops here, before any work."""

from pathlib import Path

from genfoundry.check import check_all
from genfoundry.files import write_atomic
from genfoundry.stages import stage


def main() -> None:
    check_all()
    write_atomic(Path("build/params.ok"), b"params.yaml is valid\n")  # constant: a valid change dirties nothing


if __name__ == "__main__":
    stage(main)
