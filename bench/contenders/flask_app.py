"""Flask: one request at a time in each process."""

from flask import Flask, Response, jsonify, request

from bench.contenders.network import Classifier

app = Flask(__name__)
classifier = Classifier()


@app.post("/predict")
def predict() -> Response:
    """Answer one picture."""
    return jsonify(classifier.answer(request.get_data()))
