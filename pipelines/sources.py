"""Stage `sources`: one hash for each family, of the code that determines what its training gives."""

from pathlib import Path

from genfoundry.closure import family_sources
from genfoundry.files import folder_atomic
from genfoundry.stages import stage


def main() -> None:
    families = sorted(p.stem for p in Path("src/genfoundry/models").glob("[!_]*.py"))
    with folder_atomic(Path("build/sources")) as folder:
        for family in families:
            (folder / f"{family}.sha256").write_text(family_sources(family) + "\n")


if __name__ == "__main__":
    stage(main)
