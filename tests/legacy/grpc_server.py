"""A gRPC backend with every kind of call, without generated code: messages are bytes. Writes its port and serves."""

import threading
from concurrent import futures

import grpc

# The second message of `Quiet` comes when somebody calls `Release`.
released = threading.Event()


def unary(request, context):
    """Echoes, with the caller's metadata in what comes before and after."""
    seen = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-first", seen.get("x-sent", "none")),))
    context.set_trailing_metadata((("x-last", seen.get("x-user-id", "nobody")), ("blob-bin", b"\x00\xff")))
    return request


def server_stream(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def client_stream(requests, context):
    return b",".join(requests)


def bidi(requests, context):
    for request in requests:
        yield b"<" + request + b">"


def fail(request, context):
    context.set_trailing_metadata((("x-why", "tested"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing like it: 100 %")


def slow(request, context):
    """Says by what deadline it is to be done, once the caller has lost patience."""
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait(30)
    return b""


def quiet(request, context):
    released.clear()
    yield b"first"
    released.wait(30)
    yield b"second"


def release(request, context):
    released.set()
    return b""


class Handlers(grpc.GenericRpcHandler):
    CALLS = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Slow": grpc.unary_unary_rpc_method_handler(slow),
        "Quiet": grpc.unary_stream_rpc_method_handler(quiet),
        "Release": grpc.unary_unary_rpc_method_handler(release),
    }

    def service(self, details):
        return self.CALLS.get(details.method.removeprefix("/test.Calls/"))


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), handlers=(Handlers(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"port {port}", flush=True)
server.wait_for_termination()
