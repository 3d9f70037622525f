"""FastAPI: the network in a thread of the process, as its documents advise where work blocks."""

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from bench.contenders.network import Classifier

app = FastAPI()
classifier = Classifier()


async def predict(request: Request) -> dict[str, float]:
    """Answer one picture."""
    body = await request.body()
    answer: dict[str, float] = await run_in_threadpool(classifier.answer, body)
    return answer


app.post("/predict")(predict)
