"""TorchServe's own image classifier, with the steps of these pictures in place of ImageNet's."""

from torchvision import transforms
from ts.torch_handler.image_classifier import ImageClassifier

from handlers.cifar.model import CLASSES, SIZE


class StockHandler(ImageClassifier):  # type: ignore[misc]
    topk = len(CLASSES)
    image_processing = transforms.Compose(
        [
            transforms.Resize((SIZE, SIZE)),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.5] * 3, std=[0.5] * 3),
        ]
    )
