from __future__ import annotations

from pathlib import Path

import numpy as np

from genfoundry.data.batches import Batches, Prepared
from genfoundry.judge.trial import learnt_classes
from genfoundry.params import Augmentation, Training
from tests.unit import tiny


def test_a_trial_learns_what_is_plain_and_repeats_itself(prepared: Path) -> None:
    data = Prepared(prepared)
    train, test = data.split("train"), data.split("test")
    training = Training(
        steps=40,
        batch_size=8,
        optimizers={"judge": {"lr": 1e-2}},
        log_every=40,
        sample_every=40,
        checkpoint_every=40,
    )
    config = Augmentation(seeds=2, generated=10, share=0.5, channels=2, features=4, training=training)
    found = [learnt_classes(config, Batches(train, 8, seed), tiny.DATA, seed, test.images) for seed in (0, 0, 1)]
    assert all((classes == test.labels).mean() > 0.9 for classes in found)
    assert np.array_equal(found[0], found[1])
