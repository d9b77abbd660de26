"""From sRGB to CIE L*a*b*, the one function of tensorflow-io that the OD API calls (in DeepMAC's losses)."""

from __future__ import annotations

from typing import Any

# sRGB to XYZ under D65: IEC 61966-2-1. White point of D65 at 2 degrees: CIE 15.
_XYZ_OF_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE_XYZ = (0.95047, 1.0, 1.08883)


def rgb_to_lab(rgb: Any) -> Any:
    """CIE L*a*b* (D65, 2 degrees) of sRGB colours.

    `rgb` is a float tensor [..., 3] with values from 0 to 1. The result has its shape and type, L* from 0 to 100.
    """
    import tensorflow as tf

    rgb = tf.convert_to_tensor(rgb)
    # Both branches of `where` have a gradient, so each gets only values at which it is finite.
    linear = tf.where(rgb > 0.04045, ((tf.maximum(rgb, 0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = tf.linalg.matmul(linear[..., tf.newaxis, :], tf.constant(_XYZ_OF_RGB, rgb.dtype), transpose_b=True)
    share = xyz[..., 0, :] / tf.constant(_WHITE_XYZ, rgb.dtype)
    root = tf.where(share > 0.008856, tf.maximum(share, 0.008856) ** (1 / 3), 7.787 * share + 16 / 116)
    x, y, z = tf.unstack(root, axis=-1)
    return tf.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
