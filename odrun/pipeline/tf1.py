"""What a configuration may ask for that the Object Detection API builds under TensorFlow 1 only.

Source of the tables: `builders/model_builder.py` of tf-models-research-object-detection 2.8.0.post1, the maps that it
has under TensorFlow 2; a test holds them to the installed package.
"""

from __future__ import annotations

from typing import Any

from odrun.errors import InputError, nearest
from odrun.pipeline.descriptors import PipelineConfig

_SSD = (
    "mobilenet_v1",
    "mobilenet_v1_fpn",
    "mobilenet_v2",
    "mobilenet_v2_fpn",
    "resnet50_v1_fpn",
    "resnet101_v1_fpn",
    "resnet152_v1_fpn",
    *(f"efficientnet-b{number}_bifpn" for number in range(8)),
)
_FASTER_RCNN = ("inception_resnet_v2", *(f"resnet{depth}{end}" for depth in (50, 101, 152) for end in ("", "_fpn")))
FEATURE_EXTRACTORS = {
    "ssd": frozenset(f"ssd_{name}_keras" for name in _SSD),
    "faster_rcnn": frozenset(f"faster_rcnn_{name}_keras" for name in _FASTER_RCNN),
    "center_net": frozenset(
        (
            *(f"resnet_v2_{depth}" for depth in (50, 101)),
            *(f"resnet_v1_{depth}_fpn" for depth in (18, 34, 50, 101)),
            *(f"hourglass_{depth}" for depth in (10, 20, 32, 52, 104)),
            *(f"mobilenet_v2{end}" for end in ("", "_fpn", "_fpn_sep_conv")),
        )
    ),
}
"""Architecture → the types of feature extractors that TensorFlow 2 has."""


def refuse_tf1(config: PipelineConfig, *, where: str) -> None:
    """Raise `InputError` where `config`, which comes from `where`, has a feature extractor of TensorFlow 1."""
    model: Any = config.model  # type: ignore[attr-defined]  # fields are made at run time
    architecture = model.WhichOneof("model")
    if architecture not in FEATURE_EXTRACTORS:
        return
    extractor = getattr(model, architecture).feature_extractor
    known = FEATURE_EXTRACTORS[architecture]
    if not extractor.type or extractor.type in known:
        return
    twin = f"{extractor.type}_keras"
    field = f"model.{architecture}.feature_extractor.type"
    raise InputError(
        f"{field} is {extractor.type}, which TensorFlow 2 has not: the configuration is one for TensorFlow 1",
        where=where,
        remedy=f'type: "{twin}" is its counterpart; a checkpoint of TensorFlow 1 does not fit it'
        if twin in known
        else nearest(extractor.type, known),
    )
