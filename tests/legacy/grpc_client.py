"""Makes the calls that its arguments name at an address, and writes one line of JSON for each: what a client sees.

Usage: grpc_client.py ADDRESS CALL[=ARGUMENT]...
"""

import json
import queue
import sys
import time

import grpc

PATIENCE_S = 20


def text(metadata):
    """Metadata as a mapping; bytes as hexadecimal."""
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in metadata or ()}


def unary(channel, name="Unary", message="hello", timeout=PATIENCE_S, metadata=()):
    call = channel.unary_unary(f"/test.Calls/{name}")
    try:
        answer, done = call.with_call(message.encode(), timeout=timeout, metadata=metadata)
    except grpc.RpcError as error:
        return {
            "code": error.code().name,
            "details": error.details(),
            "initial": text(error.initial_metadata()),
            "trailing": text(error.trailing_metadata()),
        }
    return {
        "code": done.code().name,
        "answer": answer.decode(),
        "initial": text(done.initial_metadata()),
        "trailing": text(done.trailing_metadata()),
    }


def with_metadata(channel, _):
    return unary(channel, metadata=(("x-sent", "mine"), ("x-user-id", "forged")))


def large(channel, argument):
    answer = unary(channel, message="x" * int(argument))
    return {"code": answer["code"], "length": len(answer.get("answer", "")), "details": answer.get("details")}


def server_stream(channel, argument):
    call = channel.unary_stream("/test.Calls/ServerStream")
    return {"answers": [answer.decode() for answer in call(argument.encode(), timeout=PATIENCE_S)]}


def client_stream(channel, argument):
    call = channel.stream_unary("/test.Calls/ClientStream")
    return {"answer": call((str(n).encode() for n in range(int(argument))), timeout=PATIENCE_S).decode()}


def bidi(channel, argument):
    """Each message is sent when the answer to the one before has come."""
    to_send = queue.SimpleQueue()
    answers = channel.stream_stream("/test.Calls/Bidi")(iter(to_send.get, None), timeout=PATIENCE_S)
    got = []
    for number in range(int(argument)):
        to_send.put(str(number).encode())
        got.append(next(answers).decode())
    to_send.put(None)
    return {"answers": got, "rest": len(list(answers)), "code": answers.code().name}


def slow(channel, argument):
    began = time.monotonic()
    answer = unary(channel, "Slow", timeout=float(argument))
    return {"code": answer["code"], "took": time.monotonic() - began}


def quiet(channel, argument):
    """Is silent for a while in the middle of a stream."""
    answers = channel.unary_stream("/test.Calls/Quiet")(b"", timeout=PATIENCE_S)
    got = [next(answers).decode()]
    time.sleep(float(argument))
    unary(channel, "Release")
    return {"answers": got + [answer.decode() for answer in answers], "code": answers.code().name}


CALLS = {
    "unary": lambda channel, _: unary(channel),
    "metadata": with_metadata,
    "large": large,
    "fail": lambda channel, _: unary(channel, "Fail"),
    "unknown": lambda channel, _: unary(channel, "Unknown"),
    "server_stream": server_stream,
    "client_stream": client_stream,
    "bidi": bidi,
    "slow": slow,
    "quiet": quiet,
}

with grpc.insecure_channel(sys.argv[1], options=(("grpc.enable_retries", 0),)) as channel:
    for argument in sys.argv[2:]:
        name, _, value = argument.partition("=")
        print(json.dumps(CALLS[name](channel, value)), flush=True)
