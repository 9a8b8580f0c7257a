from __future__ import annotations

import numpy as np

from genfoundry.tasks.classify import confusions, linear

RNG = np.random.default_rng(0)


def test_a_linear_classifier_tells_dark_from_bright() -> None:
    labels = np.arange(40) % 2
    images = (RNG.integers(0, 100, (40, 1, 4, 4)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    assert np.array_equal(linear(images[:10], labels[:10], images[10:]), labels[10:])


def test_each_cell_shows_the_surest_image_of_its_class_taken_for_another() -> None:
    images = np.arange(1, 6, dtype=np.uint8).reshape(5, 1, 1, 1)
    asked = np.array([0, 0, 0, 1, 1])
    logits = np.array([[5.0, 4.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0], [9.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    cells = confusions(images, asked, logits).reshape(3, 3)
    assert cells.tolist() == [[2, 255, 3], [4, 5, 255], [255, 255, 255]]
