"""How far something may lie beyond an image's border and still be a slip of the hand, or of rounding."""

from __future__ import annotations

CLIPPED_PX = 2.0
CLIPPED_SHARE = 0.01


def tolerance_px(side_px: int) -> float:
    """What is forgiven beyond a side of that length."""
    return max(CLIPPED_PX, CLIPPED_SHARE * side_px)


def beyond_px(place_px: float, side_px: int) -> float:
    """How far a place lies outside of 0 to `side_px`; 0 inside."""
    return max(-place_px, place_px - side_px, 0.0)
