"""Scripts as people write them for SageMaker, each the ``code/inference.py`` of a folder."""

# An image in whatever type, JSON list out, as the CycleGAN seed has it.
PAINTER = """
import io, json, os
import numpy as np
import torch
from PIL import Image

def model_fn(model_dir):
    net = torch.nn.Conv2d(3, 3, 1)
    net.load_state_dict(torch.load(os.path.join(model_dir, "latest_net_G.pth")))
    return net.eval()

def input_fn(request_body, content_type):
    if content_type == "application/json":
        raise ValueError("no url")
    image = Image.open(io.BytesIO(request_body)).convert("RGB").resize((12, 10))
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1

def predict_fn(data, model):
    with torch.no_grad():
        return torch.tanh(model(data))

def output_fn(prediction, accept):
    pixels = (prediction[0].permute(1, 2, 0).numpy() + 1) / 2 * 255
    return json.dumps(pixels.astype(np.uint8).tolist())
"""

# Bare bytes under the npy type, a bare word out, as the CIFAR seed has it.
CLASSIFIER = """
import numpy as np
import torch

CLASSES = ("plane", "car", "bird", "cat")

def model_fn(model_dir):
    torch.manual_seed(3)
    return torch.nn.Linear(3072, 4)

def input_fn(request_body, content_type):
    if content_type == "application/x-npy":
        return np.frombuffer(request_body, np.uint8).reshape(3, 32, 32)

def predict_fn(data, model):
    with torch.no_grad():
        return model(torch.from_numpy(data.copy()).float().flatten() / 255)

def output_fn(prediction, content_type):
    return CLASSES[int(prediction.argmax())]
"""

TRANSFORM = """
import json

def model_fn(model_dir):
    return 10

def transform_fn(model, data, content_type, accept):
    numbers = json.loads(data) if content_type == "application/json" else list(data)
    return json.dumps({"times": [model * n for n in numbers], "type": content_type,
                       "accept": accept, "got": type(data).__name__})
"""

MODEL_ONLY = """
import torch

class Halves(torch.nn.Module):
    def forward(self, x):
        return x / 2

def model_fn(model_dir):
    return Halves()
"""

TUPLE = """
def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    if accept == "image/x-portable-graymap":
        return b"P5 1 1 255 \\x80", accept
    return "plain words", "text/plain"
"""

REFUSER = """
from sagemaker_inference.errors import BaseInferenceToolkitError, GenericInferenceToolkitError

class NoFace(BaseInferenceToolkitError):
    def __init__(self):
        super().__init__(422, "no face found in this picture", "No\\r\\nface")

def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    word = bytes(data).decode()
    if word == "bad":
        raise GenericInferenceToolkitError(400, "expected a picture, found a word")
    if word == "faceless":
        raise NoFace()
    if word == "broken":
        raise GenericInferenceToolkitError(500, "secret: the cellar is flooded")
    return word

def predict_fn(data, model):
    return data.upper()

def output_fn(prediction, accept):
    return prediction
"""

CRASHER = """
import sys

def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    return bytes(data).decode()

def predict_fn(data, model):
    if data == "exit":
        sys.exit(3)
    if data == "raise":
        raise KeyError("secret: /srv/keys")
    if data == "memory":
        raise MemoryError
    return data

def output_fn(prediction, accept):
    if prediction == "object":
        return object()
    return prediction
"""

TALKER = """
import logging, os, sys
logging.basicConfig(stream=sys.stdout, force=True, level=logging.INFO, format="%(message)s")
print("Torch worker started.")

def model_fn(model_dir):
    print("[PID]1", end="\\n[METRICS]x:1\\n")
    return None

def transform_fn(model, data, content_type, accept):
    print("one", "two")
    print("[METRICS]Evil.Count:1|#Level:Model|#hostname:x")
    logging.info("[METRICS]Wicked.Count:1|#Level:Model|#hostname:x")
    logging.getLogger("ts").warning("[PID]1")
    os.write(2, b"[PID]1\\n")
    return "quiet"
"""

WITH_CONTEXT = """
import json, os

def model_fn(model_dir, context):
    assert context.system_properties["model_dir"] == model_dir
    return context

def input_fn(data, content_type, context):
    return [context.get_request_header(0, "X-Name"),
            context.request_processor[0].get_request_property("X-Name")]

def predict_fn(data, model, context):
    return data + [model.get_request_header(0, "X-Name"), context.get_request_id(0)]

def output_fn(prediction, accept, context):
    context.set_response_header(0, "X-Seen", prediction[0])
    context.set_response_status(code=202, phrase="Taken", idx=0)
    return json.dumps(prediction[:3])
"""

# The input's size goes to the output function by a global variable.
FORGETFUL = """
LENGTH = None

def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    global LENGTH
    LENGTH = len(data)
    return data

def predict_fn(data, model):
    return data

def output_fn(prediction, accept):
    return str(LENGTH)
"""

HOOKS = """
import json, os
from helpers import greet

CALLS = []

def pre_model_fn(model_dir):
    CALLS.append("pre_model_fn")

def model_fn(model_dir):
    CALLS.append("model_fn")
    with open("labels.json") as file:
        return json.load(file) + os.listdir(model_dir)

def model_warmup_fn(model_dir, model):
    CALLS.append("model_warmup_fn")

def transform_fn(model, data, content_type, accept):
    return json.dumps({"calls": CALLS, "greeting": greet(), "model": sorted(model)})
"""

# The toolkit's own decoder and encoder, called by the script.
CODED = """
from sagemaker_inference import decoder, encoder, content_types

def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    return decoder.decode(data, content_type)

def predict_fn(data, model):
    return data * 2

def output_fn(prediction, accept):
    return encoder.encode(prediction, accept), accept
"""
