"""Stage `sources`: hashes of the code that each family's training, and each stage, reaches."""

from pathlib import Path

from genfoundry.closure import closure, digest, family_sources
from genfoundry.files import folder_atomic
from genfoundry.stages import stage


def main() -> None:
    families = sorted(p.stem for p in Path("src/genfoundry/models").glob("[!_]*.py"))
    with folder_atomic(Path("build/sources")) as folder:
        (folder / "stage").mkdir()
        for family in families:
            (folder / f"{family}.sha256").write_text(family_sources(family) + "\n")
        for script in Path("pipelines").glob("*.py"):
            (folder / "stage" / f"{script.stem}.sha256").write_text(digest(closure(script)) + "\n")


if __name__ == "__main__":
    stage(main)
