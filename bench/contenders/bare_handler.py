"""The peer: a TorchServe handler as short as it can be, with the same network and answer.

No checks, no content types, no limits: a lower bound of what a handler costs.
"""

import json

from bench.contenders.network import Classifier, pixels_of


class BareHandler:
    def initialize(self, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        self.classifier = Classifier()

    def handle(self, rows, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        answers = self.classifier.answers([pixels_of(row["body"]) for row in rows])
        return [json.dumps(answer) for answer in answers]
