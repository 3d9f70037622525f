"""BentoML: a service with two workers; files come as a form."""

from pathlib import Path

import bentoml

from bench.contenders.network import Classifier


class Cifar:
    def __init__(self) -> None:
        self.classifier = Classifier()

    def predict(self, picture: Path) -> dict[str, float]:
        """Answer one picture."""
        return self.classifier.answer(picture.read_bytes())

    predict = bentoml.api(predict)


service = bentoml.service(workers=2)(Cifar)
