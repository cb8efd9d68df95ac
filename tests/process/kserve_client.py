"""What KServe's own client gets of a runner: run by KServe's interpreter with an address, prints one JSON object."""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferOutput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def request(binary: bool) -> InferRequest:
    """Two rows of the tensor toy, one text of each of its forms."""
    x = InferInput("x", [2, 20], "FP32")
    x.set_data_from_numpy(np.linspace(0, 1, 40, dtype=np.float32).reshape(2, 20), binary_data=binary)
    asked = [RequestedOutput("probability", parameters={"binary_data": binary})]
    return InferRequest(model_name="toy", infer_inputs=[x], request_outputs=asked, request_id=f"k-{binary}")


def columns(binary: bool) -> InferRequest:
    """The columns of the other major."""
    values = {
        "amount": ("FP64", np.array([1.5])),
        "count": ("INT64", np.array([3])),
        "city": ("BYTES", np.array(["Rome"], dtype=object)),
        "new": ("BOOL", np.array([True])),
    }
    inputs = []
    for name, (datatype, array) in values.items():
        sent = InferInput(name, [1], datatype)
        sent.set_data_from_numpy(array, binary_data=binary)
        inputs.append(sent)
    return InferRequest(model_name="toy@2", infer_inputs=inputs)


def told(output: InferOutput) -> list[float]:
    return [float(value) for value in output.as_numpy().reshape(-1)]


async def main(address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    found = {
        "live": await client.is_server_live(address),
        "ready": await client.is_server_ready(address),
        "model": await client.is_model_ready(address, "toy"),
    }
    for binary in (False, True):
        answer = await client.infer(address, request(binary), model_name="toy")
        found[f"toy {binary}"] = [answer.id, told(answer.outputs[0])]
        answer = await client.infer(address, columns(binary), model_name="toy@2")
        found[f"columns {binary}"] = [told(output) for output in answer.outputs]
    await client.close()
    print(json.dumps(found))


asyncio.run(main(sys.argv[1]))
