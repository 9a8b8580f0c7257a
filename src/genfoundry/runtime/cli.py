"""The runtime's commands: look at a shipped file, and make images with it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genfoundry import __version__

Commands = argparse._SubParsersAction  # argparse has no public name for it


class UsageError(ValueError):
    """What cannot be done here; the message says what to do."""


def parser() -> tuple[argparse.ArgumentParser, Commands[argparse.ArgumentParser]]:
    """One sub-command for each thing a user does, and the place for more."""
    top = argparse.ArgumentParser(
        prog="genfoundry", description="Use the ONNX files that a genfoundry pipeline ships."
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("info", help="what a file or a run's folder holds")
    show.set_defaults(run=info)
    make = commands.add_parser("generate", help="a PNG grid of new images")
    make.set_defaults(run=generate)
    for command in (show, make):
        command.add_argument("path", type=Path, help="an .onnx file or a run's folder, e.g. dist/dcgan")
    make.add_argument("-n", type=positive, default=64, help="how many (default 64)")
    make.add_argument("--seed", type=natural, default=0, help="the same seed gives the same images (default 0)")
    make.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="INPUT=NUMBER",
        help="of all images, e.g. label=3",
    )
    make.add_argument("-o", "--out", type=Path, default=Path("samples.png"), help="default samples.png")
    return top, commands


def info(options: argparse.Namespace) -> None:
    """Graphs with their inputs and outputs, and where they come from."""
    from genfoundry.runtime.artifact import Artifact

    artifact = Artifact.load(options.path)
    for key in ("run", "family", "dataset", "identity", "licence"):
        if key in artifact.about:
            print(f"{key:<10}{artifact.about[key]}")
    for name, graph in artifact.graphs.items():
        sides = [
            ", ".join(f"{key} {spec.kind} {list(spec.shape)}" for key, spec in specs.items())
            for specs in (graph.inputs, graph.outputs)
        ]
        print(f"{name:<12}{sides[0]} → {sides[1]}")


def generate(options: argparse.Namespace) -> None:
    """Write a grid of `n` images."""
    from genfoundry.pictures import grid, png, to_bytes
    from genfoundry.runtime.artifact import Artifact

    artifact = Artifact.load(options.path)
    images = artifact.generate(options.n, options.seed, progress=_bar, inputs=dict(options.set))
    options.out.write_bytes(png(grid(to_bytes(images))))
    print(f"{options.n} images in {options.out}")


def _bar(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r{done}/{total} images", end=end, file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """An argument."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def natural(text: str) -> int:
    """An argument."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value
