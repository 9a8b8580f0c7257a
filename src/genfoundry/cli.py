"""The console script: what ships, and with the `train` extra, scores of images."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from genfoundry.runtime import cli

NEEDED = "torch"  # of the train extra


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on standard error."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads, `head` for one, has seen enough; Python would complain when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except MemoryError:
        print("genfoundry: not enough memory for so many images at once", file=sys.stderr)
        return 2
    except (ValueError, RuntimeError, OSError) as error:
        if not (isinstance(error, OSError) or type(error).__module__.startswith("genfoundry")):
            raise
        print(f"genfoundry: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The runtime's commands, and `score`."""
    top, commands = cli.parser()
    compare = commands.add_parser("score", help="how near samples are to real images (needs the train extra)")
    compare.set_defaults(run=score)
    compare.add_argument("real", type=Path, help="a folder of images, or a prepared data set: data/prepared/<name>")
    compare.add_argument("samples", type=Path, help="a folder of images, an .onnx generator or a run's folder")
    compare.add_argument(
        "--extractor",
        choices=("inception_2015", "efficientnet_lite0"),
        default="inception_2015",
        help="whose features are compared (default inception_2015, which FID is defined on)",
    )
    compare.add_argument("--train", type=Path, help="a folder of training images, to look for copies of them")
    compare.add_argument("-n", type=cli.positive, default=2000, help="samples of a generator (default 2000)")
    compare.add_argument("--seed", type=cli.natural, default=0, help="of a generator's samples (default 0)")
    compare.add_argument("--size", type=cli.positive, help="pixels of a side, to which images are cut and resized")
    compare.add_argument(
        "--paired", action="store_true", help="compare files of one name instead: PSNR, SSIM, LPIPS"
    )
    compare.add_argument("--json", type=Path, help="write the scores and their protocol here too")
    return top


def score(options: argparse.Namespace) -> None:
    """Print a table, and write JSON where that is asked for."""
    if importlib.util.find_spec(NEEDED) is None:
        raise cli.UsageError("score needs more than the base installation: pip install 'genfoundry[train]'")
    from genfoundry import score as scoring
    from genfoundry.files import write_json

    found, protocol = scoring.score(
        scoring.Request(
            options.real,
            options.samples,
            options.extractor,
            options.train,
            options.n,
            options.seed,
            options.size,
            options.paired,
        )
    )
    print(scoring.as_table(found, protocol))
    if options.json:
        write_json(options.json, scoring.as_json(found, protocol))


if __name__ == "__main__":
    sys.exit(main())
