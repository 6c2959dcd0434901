"""A stand-in for the Hugging Face hub: as much of it as `upload_folder` of small files uses."""

import base64
import hashlib
import json
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Hub(ThreadingHTTPServer):
    """Repositories in memory.

    Attributes:
        token: The only one that may write.
        repos: "datasets/owner/name" or "models/owner/name" → whether it is private.
        files: The same → file → bytes, as committed.
        requests: Every method and path, in order.
    """

    def __init__(self, token="hf_right"):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token, self.repos, self.files = token, {}, defaultdict(dict)
        self.blobs, self.requests = {}, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub():
    with Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._told()
        kind, repo = self._repo()
        private = self.server.repos.get(f"{kind}/{repo}")
        if private is None:
            return self._answer({"error": "Repository not found"}, 404, "RepoNotFound")
        return self._answer({"id": repo, "private": private, "sha": "0" * 40})

    def do_PUT(self):
        self._told()
        body = self._body()
        self.server.blobs[hashlib.sha256(body).hexdigest()] = body
        return self._answer({})

    def do_POST(self):
        self._told()
        body = self._body()
        if self.headers["Authorization"] != f"Bearer {self.server.token}":
            return self._answer({"error": "Invalid credentials in Authorization header"}, 401)
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if self.path == "/api/validate-yaml":
            return self._answer({"warnings": [], "errors": []})
        if self.path.endswith("/info/lfs/objects/batch"):
            asked = json.loads(body)["objects"]
            action = {"upload": {"href": f"{self.server.url}/blob", "header": {}}}
            objects = [each | {"actions": action} for each in asked]
            return self._answer({"transfer": "basic", "objects": objects})
        if "/preupload/" in self.path:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "regular" if file["path"].endswith(".md") else "lfs",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            return self._answer({"files": files})
        if "/commit/" in self.path:
            return self._commit(body)
        return self._answer({"error": f"no {self.path} here"}, 404)

    def _create(self, asked):
        kind = asked.get("type", "model")
        name = asked["name"]
        repo = f"{asked.get('organization') or 'me'}/{name}"
        key = f"{kind}s/{repo}"
        prefix = "" if kind == "model" else f"{kind}s/"
        url = f"{self.server.url}/{prefix}{repo}"
        status = 409 if key in self.server.repos else 200
        self.server.repos.setdefault(key, asked.get("visibility") == "private")
        return self._answer({"url": url, "id": repo, "name": repo}, status)

    def _commit(self, body):
        kind, repo = self._repo()
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.server.blobs[value["oid"]]
            else:
                continue
            self.server.files[f"{kind}/{repo}"][value["path"]] = content
        url = f"{self.server.url}/{repo}/commit/1"
        return self._answer({"commitUrl": url, "commitOid": "1" * 40, "success": True})

    def _repo(self):
        _, _, kind, owner, name, *_ = self.path.split("?")[0].split("/")
        return kind, f"{owner}/{name}"

    def _told(self):
        self.server.requests.append(f"{self.command} {self.path.split('?')[0]}")

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, answer, status=200, code=None):
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Nothing is printed."""
