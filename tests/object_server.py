"""A stand-in for an S3 server, in this process: quick, and as faithless as a test wants it."""

import hashlib
import threading
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import gmtime, strftime, time
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape


class ObjectServer(ThreadingHTTPServer):
    """Objects of one bucket, by path.

    Attributes:
        objects: Path → (bytes, seconds since 1970).
        requests: (method, path) of each.
        heeds: Whether it heeds If-None-Match and If-Match.
        refuses: Methods that are answered with 403.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects, self.requests, self.lock = {}, [], threading.Lock()
        self.heeds, self.refuses = True, set()

    @property
    def environment(self):
        """What a process that uses it needs."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "planted-secret",
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def object_server():
    """Within the block, an empty server runs."""
    with ObjectServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _tag(content):
    return f'"{hashlib.md5(content).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def log_message(self, *_):
        pass

    def _answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _begin(self):
        self.path_, self.query = unquote(urlsplit(self.path).path), urlsplit(self.path).query
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path_))
        if self.command in self.server.refuses:
            key = "<AWSAccessKeyId>planted-secret</AWSAccessKeyId>"
            self._answer(403, f"<Error><Code>AccessDenied</Code>{key}</Error>".encode())
            return False
        return True

    def do_PUT(self):
        if not self._begin():
            return
        objects, absent, same = self.server.objects, "If-None-Match", "If-Match"
        if source := self.headers.get("x-amz-copy-source"):
            self.body = objects[f"/{unquote(source).lstrip('/')}"][0]
        with self.server.lock:
            there = objects.get(self.path_)
            if self.server.heeds and (
                (absent in self.headers and there)
                or (same in self.headers and not (there and _tag(there[0]) == self.headers[same]))
            ):
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            objects[self.path_] = self.body, time()
        copied = f"<CopyObjectResult><ETag>{_tag(self.body)}</ETag></CopyObjectResult>".encode()
        self._answer(200, copied if source else b"", ETag=_tag(self.body))

    def do_HEAD(self):
        self._found(with_body=False)

    def do_GET(self):
        self._found(with_body=True)

    def _found(self, with_body):
        if not self._begin():
            return
        if "list-type=2" in self.query:
            self._listed()
        elif (there := self.server.objects.get(self.path_)) is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if with_body else b"")
        else:
            self._send(*there, with_body)

    def _send(self, content, modified, with_body):
        headers = {"ETag": _tag(content), "Last_Modified": formatdate(modified, usegmt=True)}
        if wanted := self.headers.get("Range"):
            first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
            part = content[first : last + 1]
            headers["Content_Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
            self._answer(206, part, **headers)
        else:
            headers["Content_Length"] = str(len(content))
            self._answer(200, content if with_body else b"", **headers)

    def _listed(self):
        prefix = parse_qs(self.query).get("prefix", [""])[0]
        bucket = self.path_.rstrip("/")
        rows = [
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
            f"<ETag>{escape(_tag(content))}</ETag><LastModified>"
            f"{strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(modified))}</LastModified></Contents>"
            for path, (content, modified) in list(self.server.objects.items())
            if (key := path.removeprefix(f"{bucket}/")).startswith(prefix)
        ]
        self._answer(200, f"<ListBucketResult>{''.join(rows)}</ListBucketResult>".encode())

    def do_DELETE(self):
        if self._begin():
            self.server.objects.pop(self.path_, None)
            self._answer(204)

    def do_POST(self):  # the deletion of several
        if self._begin():
            bucket = self.path_.rstrip("/")
            keys = [e.text for e in ElementTree.fromstring(self.body).iter() if e.tag[-3:] == "Key"]
            for key in keys:
                self.server.objects.pop(f"{bucket}/{key}", None)
            rows = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            self._answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode())
