"""A backend on plain sockets: small answers, endless ones, uploads; a thread for each connection.

Prints its port. `/bytes/N` answers N bytes, `/sent` tells how many bytes of such bodies could be written so far, anything else is
`ok`. Bodies of requests are read to their end.
"""

import re
import socket
import sys
import threading

CHUNK = bytes(1 << 20)
SENT = 0
LOCK = threading.Lock()


def body(stream, rest, head):
    """Takes a request's body off the connection; what came behind it."""
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if length:
        left = int(length[1]) - len(rest)
        buffer = bytearray(1 << 20)
        while left > 0:
            count = stream.recv_into(buffer, min(len(buffer), left))
            if not count:
                raise ConnectionError
            left -= count
        return rest[int(length[1]):] if left < 0 else b""
    if re.search(rb"(?i)transfer-encoding: *chunked", head):
        data = rest
        while b"0\r\n\r\n" not in data[-16:]:
            more = stream.recv(1 << 20)
            if not more:
                raise ConnectionError
            data = data[-16:] + more
        return b""
    return rest


def answer(stream, path):
    global SENT
    wanted = re.match(rb"/bytes/(\d+)", path)
    if not wanted:
        text = str(SENT).encode() if path == b"/sent" else b"ok"
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        return
    left = int(wanted[1])
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
    while left:
        count = stream.send(CHUNK if left > len(CHUNK) else CHUNK[:left])
        left -= count
        with LOCK:
            SENT += count


def serve(stream):
    data = b""
    try:
        with stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                while b"\r\n\r\n" not in data:
                    more = stream.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                data = body(stream, data, head)
                answer(stream, head.split(b" ")[1])
    except OSError:
        pass


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(stream,), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
