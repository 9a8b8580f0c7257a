"""The runtime's commands: what a shipped file is, whether it is sound, and images made with it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from genfoundry import __version__

if TYPE_CHECKING:  # what a command needs it imports when it runs
    from genfoundry.runtime.artifact import Artifact, ShippedGraph

Commands = argparse._SubParsersAction  # argparse has no public name for it

ABOUT = ("run", "family", "dataset", "classes", "steps", "identity", "fingerprint", "licence", "opset", "versions")
APPLIED = {
    "reconstruct": "images through the latent and back",
    "restore": "images without noise, with masked pixels filled, or enlarged: what the run was trained for",
    "translate": "images of one domain as images of the other",
}


class UsageError(ValueError):
    """What cannot be done here; the message says what to do."""


def parser() -> tuple[argparse.ArgumentParser, Commands[argparse.ArgumentParser]]:
    """One sub-command for each thing a user does, and the place for more."""
    top = argparse.ArgumentParser(
        prog="genfoundry", description="Use the ONNX files that a genfoundry pipeline ships."
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    show = _command(commands, "info", info, "what a file or a run's folder holds")
    show.add_argument("--json", action="store_true", help="all that the files say, as JSON")
    _command(commands, "verify", verify, "whether files are whole, and give here what they gave at the export")
    make = _command(commands, "generate", generate, "new images")
    make.add_argument("-n", type=positive, default=64, help="how many (default 64)")
    make.add_argument("--seed", type=natural, default=0, help="the same seed gives the same images (default 0)")
    make.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="INPUT=VALUE",
        help="of all images: a number, or the name of a class, e.g. label=Sandal",
    )
    for name, words in APPLIED.items():
        apply = _command(commands, name, _applied(name), words)
        apply.add_argument("images", type=Path, nargs="+", help="files, or folders of them")
        if name == "restore":
            apply.add_argument("--mask", type=Path, help="an image: black where pixels are missing")
        if name == "translate":
            apply.add_argument("--back", action="store_true", help="from the other domain to the first")
    way = _command(commands, "interpolate", interpolate, "the way from one seed to another, or between two images")
    way.add_argument("ends", nargs=2, metavar="END", help="two seeds, or two image files")
    way.add_argument("--steps", type=positive, default=10, help="images on the way, ends included (default 10)")
    for command in (make, way, *(commands.choices[name] for name in APPLIED)):
        command.add_argument(
            "-o",
            "--out",
            type=Path,
            default=Path("samples.png"),
            help="a grid (.png, .webp), an array (.npz), or a folder of PNG files (default samples.png)",
        )
    timed = _command(commands, "bench", bench, "how long each graph takes on this machine")
    timed.add_argument("--batch", type=positive, nargs="+", default=[1, 64], help="images at a time (default 1 64)")
    timed.add_argument("--threads", type=natural, default=0, help="default: OMP_NUM_THREADS, or one for each core")
    return top, commands


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, run: Callable[[argparse.Namespace], None], words: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=words, description=words)
    command.set_defaults(run=run)
    command.add_argument("path", type=Path, help="an .onnx file or a run's folder, e.g. dist/dcgan")
    return command


def info(options: argparse.Namespace) -> None:
    """Graphs with their inputs and outputs, and where they come from."""
    from genfoundry.runtime.artifact import Artifact

    artifact = Artifact.load(options.path)
    artifact.verify()
    if options.json:
        print(json.dumps({name: graph.about for name, graph in artifact.graphs.items()}, indent=2))
        return
    for key in ABOUT:
        value = artifact.about.get(key)
        if value not in (None, []):
            pairs = value.items() if isinstance(value, dict) else ()
            text = ", ".join(f"{k} {v}" for k, v in pairs) or (", ".join(value) if key == "classes" else value)
            print(f"{key:<12}{text}")
    for name, graph in artifact.graphs.items():
        sides = [
            ", ".join(f"{key} {spec.kind} {list(spec.shape)}" for key, spec in specs.items())
            for specs in (graph.inputs, graph.outputs)
        ]
        print(f"{name:<12}{sides[0]} → {sides[1]}, {graph.path.stat().st_size / 1e6:.2f} MB")


def verify(options: argparse.Namespace) -> None:
    """Seals, card and golden outputs, a line for each file."""
    from genfoundry.runtime.artifact import Artifact

    artifact = Artifact.load(options.path)
    for name, proof in artifact.verify().items():
        near = "to the bit" if proof.exact else f"within {max(proof.largest, 1e-8):.0e}"
        print(f"{name:<20}whole, and gives here what it gave at the export, {near}")


def generate(options: argparse.Namespace) -> None:
    """Write `n` new images."""
    from genfoundry.runtime.images import save

    artifact = opened(options.path, "generate")
    graph = artifact.graph("generate")
    asked = {name: _number(graph, name, value) for name, value in options.set}
    images = artifact.generate(options.n, options.seed, progress=Bar("generate"), inputs=asked)
    print(save(images, [f"{i:04d}" for i in range(len(images))], options.out))


def _applied(name: str) -> Callable[[argparse.Namespace], None]:
    def run(options: argparse.Namespace) -> None:
        chosen = "translate_back" if getattr(options, "back", False) else name
        apply(opened(options.path, chosen).graph(chosen), options)

    return run


def apply(graph: ShippedGraph, options: argparse.Namespace) -> None:
    """A graph from image to image on the user's files."""
    from genfoundry.runtime.images import mapped, names_of, pictures, save

    files = pictures(options.images)
    given = [("mask", options.mask)] if getattr(options, "mask", None) else []
    images = mapped(graph, files, dict(given), Bar(graph.about["graph"]))
    print(save(images, names_of(files), options.out))


def interpolate(options: argparse.Namespace) -> None:
    """A row of images from one end to the other."""
    from genfoundry.runtime.images import read_pictures, save
    from genfoundry.runtime.latent import between_images, between_noises

    if all(end.isdecimal() for end in options.ends):
        first, last = map(int, options.ends)
        images = between_noises(opened(options.path, "generate"), (first, last), options.steps)
    else:
        artifact = opened(options.path, "encode", "decode")
        spec = artifact.graph("encode").inputs["image"]
        start, end = read_pictures([Path(end) for end in options.ends], spec)
        images = between_images(artifact, start[None], end[None], options.steps)
    print(save(images, [f"{i:04d}" for i in range(len(images))], options.out, columns=len(images)))


def bench(options: argparse.Namespace) -> None:
    """Median time of a batch, after one that does not count."""
    from genfoundry.runtime.artifact import Artifact
    from genfoundry.runtime.bench import time_graph

    artifact = Artifact.load(options.path, options.threads)
    artifact.verify()
    print(f"{'graph':<16}{'batch':>6}{'ms':>10}{'items/s':>10}")
    for name, graph in artifact.graphs.items():
        for batch in options.batch:
            seconds = time_graph(graph, batch)
            print(f"{name:<16}{batch:>6}{seconds * 1e3:>10.2f}{batch / seconds:>10.0f}", flush=True)


def opened(path: Path, *names: str) -> Artifact:
    """The artifact at `path`, whose graphs of these names have proved themselves.

    Raises:
        ArtifactError: one is not there, not whole, or does not give what it should.
    """
    from genfoundry.runtime.artifact import Artifact

    artifact = Artifact.load(path)
    for name in names:
        artifact.graph(name).verify()
    return artifact


class Bar:
    """Progress on a terminal, with the time that is left."""

    def __init__(self, title: str) -> None:
        self.title, self.start = title, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """So many images of so many."""
        if sys.stderr.isatty():
            left = (time.monotonic() - self.start) * (total - done) / done
            end = "\n" if done == total else ""
            print(
                f"\r{self.title}: {done}/{total} images, {left:.0f} s left ", end=end, file=sys.stderr, flush=True
            )


def positive(text: str) -> int:
    """An argument."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def natural(text: str) -> int:
    """An argument."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise argparse.ArgumentTypeError("must be INPUT=VALUE")
    return name, value


def _number(graph: ShippedGraph, name: str, value: str) -> float:
    """A number, or a class by its name.

    Raises:
        UsageError: neither.
    """
    classes = list(graph.about.get("classes", []))
    if name in graph.inputs and graph.inputs[name].kind == "label" and value in classes:
        return classes.index(value)
    try:
        return float(value)
    except ValueError:
        known = f"; the classes are {', '.join(classes)}" if classes else ""
        raise UsageError(f"{name}={value}: not a number, and no class of this name{known}") from None
