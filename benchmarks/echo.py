"""The physical limit of gRPC in Python: a bare grpc.aio server which answers a constant, the request unread.

`python -m benchmarks.echo PORT` has the constant, in hexadecimal, on standard input.
"""

from __future__ import annotations

import sys
from typing import Any

METHOD = "/inference.GRPCInferenceService/ModelInfer"


async def serve(port: int, answer: bytes) -> None:
    """Answer one method until the process is ended."""
    import grpc

    async def echo(request: bytes, context: Any) -> bytes:
        return answer

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
        """All methods are the one."""

        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(echo)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handlers(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1]), bytes.fromhex(sys.stdin.read())))
