"""OpenFL's compression pipeline, passing values on as they are: how they are encoded is the payload's affair.

OpenFL's own pipeline casts everything to float32. Sections come here as `fedmol.fl.payload` encodes them, and single
numbers, which are metrics, travel as float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from openfl.pipelines.pipeline import TransformationPipeline, Transformer


class Bytes(Transformer):  # type: ignore[misc]
    lossy = False

    def forward(self, data: NDArray[Any], **_: Any) -> tuple[bytes, dict[str, Any]]:
        values = data if data.ndim else data.astype("<f4")
        return values.tobytes(), {"int_list": list(values.shape)}

    def backward(self, data: bytes, metadata: Any, **_: Any) -> NDArray[np.uint8]:
        return np.frombuffer(data, np.uint8)


class BytePipeline(TransformationPipeline):  # type: ignore[misc]
    def __init__(self, **settings: Any) -> None:
        super().__init__(transformers=[Bytes()], **settings)
