from __future__ import annotations

import signal

import pytest

from genfoundry.params import ParamsError
from genfoundry.stages import stage
from genfoundry.training.loop import TrainingDiverged


def raising(error: BaseException) -> None:
    raise error


def test_arguments_reach_the_work() -> None:
    got: list[str] = []
    stage(lambda *names: got.extend(names), "a", "b")
    assert got == ["a", "b"]


@pytest.mark.parametrize("error", [ParamsError("runs.x: wrong"), TrainingDiverged("phase 'x'")])
def test_a_mistake_of_the_user_s_is_its_line(error: Exception) -> None:
    with pytest.raises(SystemExit) as ended:
        stage(lambda: raising(error))
    assert ended.value.code == f"\n{error}"


@pytest.mark.parametrize("error", [ValueError("numpy's"), RuntimeError("torch's"), OSError("disk"), KeyError("k")])
def test_anything_else_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        stage(lambda: raising(error))
    assert raised.value is error


def test_an_interrupt_says_how_to_go_on() -> None:
    with pytest.raises(SystemExit, match="last checkpoint"):
        stage(lambda: raising(KeyboardInterrupt()))


def test_to_be_asked_to_end_is_an_interrupt_too() -> None:
    with pytest.raises(SystemExit, match="last checkpoint"):
        stage(lambda: signal.raise_signal(signal.SIGTERM))
