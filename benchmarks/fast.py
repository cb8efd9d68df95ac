"""The peer of a model that cannot be converted: FastAPI, one uvicorn worker, scikit-learn on NumPy; port 18330.

Run in the peer's own environment, beside `model.joblib`; a request's endpoint is a plain function, which FastAPI runs
on a thread, as its documentation has it for work that blocks.
"""

import joblib  # type: ignore[import-untyped]  # has no types
import numpy
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load("model.joblib")


class Input(BaseModel):
    """One tensor of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Asked(BaseModel):
    """A request."""

    inputs: list[Input]


@app.get("/ready")
def ready() -> dict[str, bool]:
    """Whether it answers."""
    return {"ready": True}


@app.post("/infer")
def infer(asked: Asked) -> dict[str, list[float]]:
    """Prediction and probability, of one call of the model."""
    first = asked.inputs[0]
    found = model.predict_proba(numpy.array(first.data, numpy.float32).reshape(first.shape))
    return {"prediction": found.argmax(axis=1).tolist(), "probability": found[:, 1].tolist()}
