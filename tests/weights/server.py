"""A file server with faults on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """A file server with faults on demand. `requests` lists (path, Range header) of each request."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"v1"'
    content_type: str = "application/octet-stream"
    break_after: list[int] = field(default_factory=list)  # bytes after which a response ends, one entry per response
    says_its_size: bool = True
    stall: float = 0.0  # seconds of silence in the middle
    pause: float = 0.0  # seconds before each piece of a response


@contextmanager
def running_server() -> Iterator[Server]:
    """Serve on a free port of this machine until the end of the context."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.requests.append((self.path, wanted))
            body = state.files.get(self.path)
            if body is None:
                return self.send_error(404)
            start = 0
            if wanted and state.ranges and self.headers.get("If-Range") == state.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
            self.send_response(206 if start else 200)
            if state.says_its_size:
                self.send_header("Content-Length", str(len(body) - start))
            self.send_header("Content-Type", state.content_type)
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            rest = body[start:]
            if state.break_after:
                rest = rest[: state.break_after.pop(0)]
            half = len(rest) // 2
            self.wfile.write(rest[:half])
            time.sleep(state.stall)
            for at in range(half, len(rest), 4096):
                time.sleep(state.pause)
                self.wfile.write(rest[at : at + 4096])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.handle_error = lambda *_: None  # clients that leave early are part of the tests
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
