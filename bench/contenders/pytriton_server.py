"""PyTriton: Triton in front of this process, batches of what waits for at most a millisecond."""

import sys

import numpy as np
import torch
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from bench.contenders.network import Classifier, pixels_of

classifier = Classifier()


def infer(picture: NDArray[np.object_]) -> list[NDArray[np.float32]]:
    """Answer a batch: bytes (N, 1) of image files to probabilities (N, 10)."""
    pictures = torch.stack([pixels_of(row[0]) for row in picture])
    return [np.array(classifier.probabilities(pictures), np.float32)]


if __name__ == "__main__":
    http, grpc, metrics = (int(word) for word in sys.argv[1:])
    ports = TritonConfig(http_port=http, grpc_port=grpc, metrics_port=metrics)
    with Triton(config=ports) as triton:
        triton.bind(
            model_name="cifar",
            infer_func=batch(infer),
            inputs=[Tensor(name="picture", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(10,))],
            config=ModelConfig(
                max_batch_size=32, batcher=DynamicBatcher(max_queue_delay_microseconds=1000)
            ),
        )
        triton.serve()
