"""ONNX Runtime on the CPU; what it says when it fails, in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Timer

import numpy as np
import onnxruntime as ort

from genfoundry.runtime.container import ArtifactError, printable

WORDS = 200  # characters of what it says

ort.set_default_logger_severity(4)  # what goes wrong is raised; it would print it too


def allowed() -> int:
    """Threads that OMP_NUM_THREADS allows a session, as it does torch and NumPy; 0: one for each core."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # more are for loops inside of loops
    return int(said) if said.isdecimal() else 0


def start(model: bytes, path: Path, threads: int, **entries: str) -> ort.InferenceSession:
    """A session on as many threads, or with 0 on as many as are allowed.

    `entries` are of its configuration, with `__` for their dots.

    Raises:
        ArtifactError: ONNX Runtime refuses the model, which lay at `path`.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or allowed()
    options.log_severity_level = 4
    for key, value in entries.items():
        options.add_session_config_entry(key.replace("__", "."), value)
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own, of many types
        raise ArtifactError(f"{path} does not run here: {in_a_line(error)}") from None


def answer(
    session: ort.InferenceSession, feed: Mapping[str, np.ndarray], path: Path, deadline: float | None = None
) -> list[np.ndarray]:
    """All outputs, within `deadline` seconds if that is given.

    Raises:
        ArtifactError: the model fails on these inputs, or takes longer.
    """
    options = ort.RunOptions()
    timer = Timer(deadline, lambda: setattr(options, "terminate", True)) if deadline else None
    if timer:
        timer.start()
    try:
        return session.run(None, dict(feed), options)
    except Exception as error:  # its own, of many types
        late = f"took longer than {deadline:.1f} s" if options.terminate else f"failed: {in_a_line(error)}"
        raise ArtifactError(f"{path} {late}") from None
    finally:
        if timer:
            timer.cancel()


def in_a_line(error: Exception) -> str:
    """The beginning of a message."""
    return printable(" ".join(str(error).split()))[:WORDS]
