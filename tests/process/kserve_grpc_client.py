"""What KServe's own gRPC client gets of a runner: run by KServe's interpreter, prints one JSON object."""

from __future__ import annotations

import asyncio
import json
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as services


def request(raw: bool) -> InferRequest:
    """Two rows of the tensor toy, raw or in typed contents."""
    x = InferInput("x", [2, 20], "FP32")
    x.set_data_from_numpy(np.linspace(0, 1, 40, dtype=np.float32).reshape(2, 20), binary_data=raw)
    return InferRequest(model_name="toy", infer_inputs=[x], request_id=f"k-{raw}")


async def main(address: str) -> None:
    client = InferenceGRPCClient(address)
    found = {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model": await client.is_model_ready("toy"),
    }
    for raw in (False, True):
        answer = await client.infer(request(raw))
        outputs = {output.name: output.as_numpy().reshape(-1).tolist() for output in answer.outputs}
        found[f"toy {raw}"] = [answer.id, answer.model_version, outputs["probability"]]
    await client.close()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = services.GRPCInferenceServiceStub(channel)
        loaded = await stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="toy"))
        found["loaded"] = [loaded.model_name, loaded.isLoaded]
    print(json.dumps(found))


asyncio.run(main(sys.argv[1]))
