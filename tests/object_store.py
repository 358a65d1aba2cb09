"""An S3 server on this machine (moto's), and a proxy before it that makes trouble."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import boto3

from tests.local_head import free_ports

BUCKET = "bucket"


@dataclass(frozen=True)
class ObjectStore:
    """Where it answers, and who may use it."""

    port: int
    key: str
    secret: str

    def uri(
        self, prefix: str, port: int = 0, bucket: str = BUCKET, secret: str | None = None
    ) -> str:
        """A results URI as users write it; the credentials may as well be in the environment."""
        endpoint = quote(f"http://127.0.0.1:{port or self.port}", safe="")
        who = f"{quote(self.key, safe='')}:{quote(secret or self.secret, safe='')}"
        query = f"endpoint_override={endpoint}&scheme=http&region=us-east-1"
        return f"s3://{who}@{bucket}/{prefix}?{query}"


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """moto's server with one bucket and one user; it checks signatures and permissions."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", str(port)],
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "4"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        clients = {
            name: boto3.client(
                name,
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name="us-east-1",
                aws_access_key_id="first",
                aws_secret_access_key="first",
            )
            for name in ("iam", "s3")
        }
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        iam = clients["iam"]
        iam.create_user(UserName="user")
        key = iam.create_access_key(UserName="user")["AccessKey"]
        iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=policy)
        clients["s3"].create_bucket(Bucket=BUCKET)
        yield ObjectStore(port, key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        process.terminate()
        process.wait(20)


class Trouble(ThreadingHTTPServer):
    """Forwards to an S3 server, late; answers some requests itself, with errors or not at all.

    ``share`` of the requests come to harm: 500, 503, a reset before the server acts, or one when
    half of its answer is out.
    """

    daemon_threads = True

    def __init__(self, port: int, share: float, seconds: float, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.share = share
        self.seconds = seconds
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.met: Counter[str] = Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def fate(self) -> str:
        with self.lock:
            harmed = self.random.random() < self.share
            kind = self.random.choice(("500", "503", "reset", "late reset")) if harmed else "fine"
            self.met[kind] += 1
        return kind

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Trouble

    def _forward(self) -> None:
        body = self._body()
        time.sleep(self.server.seconds)
        fate = self.server.fate()
        if fate == "reset":
            return self._reset()
        if fate in ("500", "503"):
            code = "InternalError" if fate == "500" else "SlowDown"
            # As long as a real one: longer than the small ranges that readers ask for.
            rest = f"<Message>injected</Message><HostId>{'x' * 300}</HostId>"
            text = f"<Error><Code>{code}</Code>{rest}</Error>".encode()
            return self._answer(int(fate), [("Content-Type", "application/xml")], text)
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect", "transfer-encoding", "content-length"):
                behind.putheader(name, value)
        behind.putheader("Content-Length", str(len(body)))
        behind.endheaders(body or None)
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        if fate == "late reset" and not content:
            return self._reset()
        kept = [
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date")
        ]
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        if fate == "late reset":
            self._answer(answer.status, kept, content[: len(content) // 2], str(len(content)))
            return self._reset()
        return self._answer(answer.status, kept, content, length)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
