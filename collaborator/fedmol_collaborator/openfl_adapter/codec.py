"""OpenFL's compression pipeline, passing on bytes as they are: what they mean is the payload's affair.

OpenFL's own pipeline casts everything to float32. Here sections travel as `fedmol.fl.payload` encodes them, as arrays
of bytes, and single numbers as float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from openfl.pipelines.pipeline import TransformationPipeline, Transformer


class Bytes(Transformer):  # type: ignore[misc]
    lossy = False

    def forward(self, data: NDArray[Any], **_: Any) -> tuple[bytes, dict[str, Any]]:
        values = data if data.dtype == np.uint8 else data.astype("<f4")
        return values.tobytes(), {"int_list": list(values.shape)}

    def backward(self, data: bytes, metadata: Any, **_: Any) -> NDArray[np.uint8]:
        return np.frombuffer(data, np.uint8)


class BytePipeline(TransformationPipeline):  # type: ignore[misc]
    def __init__(self, **settings: Any) -> None:
        super().__init__(transformers=[Bytes()], **settings)
