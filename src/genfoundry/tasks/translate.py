"""Held-out images translated to another domain: how they look there, how true they are, what comes back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genfoundry.judge.extractor import as_bytes
from genfoundry.metrics import Paired, frechet, kernel, manifold, psnr, ssim
from genfoundry.pictures import beside, from_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.spec import VOCABULARY
from genfoundry.tasks import Finding, Picture, Setting, Task

STRIPS = 4  # in a row of the picture
BACK = {"translate": "translate_back", "translate_back": "translate"}
IDENTITY = "the image as it is"


def key(graph: str, setting: Setting) -> str:
    """Of the images in a batch that the graph takes."""
    return next(name for name in VOCABULARY[graph].takes if name in setting.prepared.split("test").arrays)


def held_out(graph: str, setting: Setting) -> np.ndarray:
    """What the graph takes, (N, C, H, W) float32 in [0, 1]."""
    return from_bytes(setting.prepared.split("test").arrays[key(graph, setting)][: setting.config.held_out])


def translated(artifact: Artifact, graph: str, images: np.ndarray) -> np.ndarray:
    """By one graph of a run."""
    return artifact.graph(graph)(image=images)


def candidates_of(graph: str, setting: Setting, source: np.ndarray) -> dict[str, np.ndarray]:
    """What has to be beaten: no translation at all, and the rival's."""
    found = {IDENTITY: source}
    if setting.rival and graph in setting.rival:
        found[f"the run {setting.rival.about['run']}"] = translated(setting.rival, graph, source)
    return found


def strips(graph: str, setting: Setting, columns: Mapping[str, np.ndarray]) -> Picture:
    """Each image beside what was made of it and, where there is one, the truth."""
    count, shown = setting.config.pictures // 2, dict(columns)
    if BACK[graph] in setting.artifact:
        shown["and back"] = translated(setting.artifact, BACK[graph], columns["translated"][:count])
    if is_paired(setting):
        shown["the truth"] = held_out(BACK[graph], setting)
    images = beside(*(array[:count] for array in shown.values()))
    return Picture(images, f"Held out: {', '.join(shown)}; side by side", columns=STRIPS * len(shown))


def find_resemblance(graph: str, setting: Setting) -> Finding:
    """Translations among real images of the other domain, beside the best of what has to be beaten."""
    source, target = held_out(graph, setting), key(BACK[graph], setting)
    output, candidates = translated(setting.artifact, graph, source), candidates_of(graph, setting, source)
    seen = {name: setting.reference.see(as_bytes(images), target) for name, images in candidates.items()}
    best = min(seen, key=lambda name: kernel.kid_judge(seen[name], setting.config).value)
    view, *others = setting.looked({"value": as_bytes(output), "baseline": as_bytes(candidates[best])}, target)
    columns = {**candidates, "translated": output}
    pictures = {graph: strips(graph, setting, columns)}
    return Finding({**view.roles, "baseline": seen[best]}, best, view.protocol, pictures, views=tuple(others))


def find_error(graph: str, setting: Setting) -> Finding:
    """Translations of held-out pairs beside the true ones."""
    source, target = held_out(graph, setting), held_out(BACK[graph], setting)
    outputs = {"value": translated(setting.artifact, graph, source), "baseline": source}
    return Finding({role: Paired(target, output) for role, output in outputs.items()}, IDENTITY, {"n": len(source)})


def find_cycle(graph: str, setting: Setting) -> Finding:
    """There and back again, beside what there is without the way back: a translation that changes much."""
    source = held_out(graph, setting)
    there = translated(setting.artifact, graph, source)
    outputs = {"value": translated(setting.artifact, BACK[graph], there), "baseline": there}
    return Finding(
        {role: Paired(source, output) for role, output in outputs.items()},
        "without the way back",
        {"n": len(source)},
    )


def is_paired(setting: Setting) -> bool:
    """Whether held-out images have their true translations: pairs, and domains in halves."""
    return setting.prepared.split("test").aligned


def tasks_of(graph: str) -> tuple[Task, ...]:
    """All that is asked of one direction."""
    cycle = graph.replace("translate", "cycle")
    return (
        Task(
            graph,
            (graph,),
            (frechet.METRIC, kernel.METRIC, *manifold.METRICS),
            lambda setting: find_resemblance(graph, setting),
            prefix=f"{graph}_",
        ),
        Task(
            f"{graph}_error",
            (graph,),
            (psnr.METRIC, ssim.METRIC),
            lambda setting: find_error(graph, setting),
            prefix=f"{graph}_",
            wanted=is_paired,
        ),
        Task(
            cycle,
            (graph, BACK[graph]),
            (psnr.METRIC,),
            lambda setting: find_cycle(graph, setting),
            prefix=f"{cycle}_",
        ),
    )


TASKS = tuple(task for graph in BACK for task in tasks_of(graph))
