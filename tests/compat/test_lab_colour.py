from __future__ import annotations

import numpy as np

from odrun.compat.lab_colour import rgb_to_lab
from odrun.compat.tensorflow import tf

# CIE L*a*b* of sRGB's primaries under D65, as published to two digits (Lindbloom, "RGB/XYZ/Lab calculator").
PUBLISHED = {
    (1, 1, 1): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (1, 0, 0): (53.24, 80.09, 67.20),
    (0, 1, 0): (87.73, -86.18, 83.18),
    (0, 0, 1): (32.30, 79.19, -107.86),
}


def test_the_primaries_come_out_as_published() -> None:
    lab = rgb_to_lab(tf.constant(list(PUBLISHED), tf.float32)[tf.newaxis])
    assert lab.shape == (1, 5, 3)
    np.testing.assert_allclose(lab[0], list(PUBLISHED.values()), atol=0.02)


def test_the_gradient_is_finite_from_black_to_white() -> None:
    grey = tf.Variable(tf.linspace(0.0, 1.0, 11)[:, tf.newaxis] * tf.ones([1, 3]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(rgb_to_lab(grey))
    assert np.isfinite(tape.gradient(total, grey)).all()
