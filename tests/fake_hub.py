"""As much of the Hugging Face Hub as reading a public dataset or model needs, from a folder, on loopback."""

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlparse

COMMIT = "a" * 40


class FakeHub(ThreadingHTTPServer):
    """Every dataset or model it is asked for is `folder`; the first `failures` downloads end in 503.

    Args:
        folder: the files of the dataset.
        failures: number of downloads to refuse.
    """

    def __init__(self, folder: Path, failures: int = 0) -> None:
        self.folder, self.failures = folder, failures
        super().__init__(("127.0.0.1", 0), Answer)
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        if found := re.match(r"/api/datasets/[^/]+/[^/]+/tree/[^/]+/?(.*)$", path):
            self.send_listing(self.server.folder / found[1])
        elif re.match(r"/api/datasets/[^/]+/[^/]+(/revision/[^/]+)?$", path):
            names = sorted(str(p.relative_to(self.server.folder)) for p in self.server.folder.rglob("*") if p.is_file())
            self.send_json({"id": "some/corpus", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]})
        elif found := re.match(r"(?:/datasets)?/[^/]+/[^/]+/resolve/[^/]+/(.+)$", path):
            self.send_file(self.server.folder / found[1])
        else:
            self.send_json({"error": "not found"}, 404)

    def do_POST(self) -> None:
        names = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
        self.send_json(
            [self.entry(self.server.folder / name) for name in names if (self.server.folder / name).exists()]
        )

    def entry(self, path: Path) -> dict[str, object]:
        kind = {"type": "file", "size": path.stat().st_size} if path.is_file() else {"type": "directory"}
        return kind | {"path": str(path.relative_to(self.server.folder)), "oid": "b" * 40}

    def send_listing(self, folder: Path) -> None:
        if folder.is_dir():
            self.send_json([self.entry(path) for path in sorted(folder.glob("*"))])
        else:
            self.send_json({"error": "not found"}, 404)

    def send_json(self, content: object, status: int = 200) -> None:
        self.send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send_file(self, path: Path) -> None:
        if not path.is_file():
            self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif self.command == "GET" and self.server.failures > 0 and path.suffix != ".md":
            self.server.failures -= 1
            self.send(503, b"", {})
        else:
            content, status = path.read_bytes(), 200
            etag = hashlib.sha1(content).hexdigest()  # the client keeps files under it
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                content, status = content[first : last + 1], 206
            self.send(status, content, headers)

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
