"""A legacy backend as one meets it: FastAPI on uvicorn, tenants by a field, no word about caching unless asked."""

import asyncio
import hashlib
import itertools

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

app = FastAPI()
calls = itertools.count(1)


@app.get("/api/v1/dashboard/summary")
async def summary(request: Request):
    """Differs by tenant and by call, so that a stored answer shows."""
    tenant = request.headers.get("x-organization-id", "nobody")
    return {"tenant": tenant, "user": request.headers.get("x-user-id"), "call": next(calls)}


@app.get("/echo/headers")
async def echo_headers(request: Request):
    """What the backend really receives, in order and with repetitions."""
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw]


@app.post("/upload")
async def upload(request: Request):
    """Reads the body piece by piece and tells how long it was and what its SHA-256 is."""
    digest, length = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        length += len(piece)
    return {"bytes": length, "sha256": digest.hexdigest(), "framing": request.headers.get("transfer-encoding")}


@app.get("/download/{length}")
async def download(length: int):
    """`length` bytes without a Content-Length."""

    async def pieces():
        block = bytes(range(256)) * 256
        for start in range(0, length, len(block)):
            yield block[: min(len(block), length - start)]

    return StreamingResponse(pieces(), media_type="application/octet-stream")


# The stream's second event waits until someone says so: a proxy that gathers events deadlocks visibly.
released = asyncio.Event()


@app.get("/events")
async def events():
    """Two server-sent events with `POST /events/release` in between."""
    released.clear()

    async def stream():
        yield "data: first\n\n"
        await released.wait()
        yield "data: second\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.post("/events/release")
async def release():
    released.set()
    return {"released": True}


@app.websocket("/ws")
async def echo_socket(socket: WebSocket):
    """Sends every message back, text as text and bytes as bytes."""
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


@app.get("/etag")
async def with_etag(request: Request):
    """Always stale, always valid: 304 whenever the validator fits."""
    headers = {"ETag": '"v1"', "Cache-Control": "max-age=0"}
    if request.headers.get("if-none-match") == '"v1"':
        return Response(status_code=304, headers=headers)
    return JSONResponse({"call": next(calls)}, headers=headers)


@app.get("/cookie")
async def with_cookie():
    response = JSONResponse({"call": next(calls)}, headers={"Cache-Control": "max-age=60"})
    response.set_cookie("session", f"s{next(calls)}", httponly=True)
    return response


@app.get("/slow")
async def slow(seconds: float = 30.0):
    await asyncio.sleep(seconds)
    return {"slept": seconds}
