"""A local server with the part of GitHub's API that the comment uses."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "owner/auscult"
BOT = {"login": "github-actions[bot]", "type": "Bot"}


@dataclass
class Planned:
    """A response that replaces the usual one, once, for the first request that matches."""

    method: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: Any = None
    after: bool = False  # the request is carried out, too


@dataclass
class FakeGitHub:
    """GitHub's content and the requests to it."""

    address: str = ""
    pulls: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    archives: dict[int, bytes] = field(default_factory=dict)
    planned: list[Planned] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def pull(self, number: int, sha: str, head: str = REPOSITORY, branch: str = "deeper") -> None:
        """Add an open pull request."""
        owner = head.partition("/")[0]
        self.pulls.append(
            {
                "number": number,
                "state": "open",
                "head": {"sha": sha, "ref": branch, "label": f"{owner}:{branch}", "repo": {"full_name": head}},
            }
        )

    def upload(self, name: str, archive: bytes, *, created: str = "2026-11-20T10:30:00Z", expired: bool = False) -> int:
        """Add an artifact; return its number."""
        number = 700 + len(self.artifacts)
        self.artifacts.append(
            {
                "id": number,
                "name": name,
                "size_in_bytes": len(archive),
                "expired": expired,
                "created_at": created,
            }
        )
        self.archives[number] = archive
        return number

    def comment(self, body: str, user: dict[str, Any] | None = None) -> int:
        """Add a comment; return its number."""
        number = 9000 + len(self.comments)
        address = f"https://github.example/{REPOSITORY}/pull/7#issuecomment-{number}"
        self.comments.append({"id": number, "user": user, "body": body, "html_url": address})
        return number

    def bodies(self) -> list[str]:
        """Return the bodies of the comments."""
        return [str(comment["body"]) for comment in self.comments]

    def respond(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Return status and content of the response to a request."""
        base = f"/repos/{REPOSITORY}"
        if (method, path) == ("GET", f"{base}/pulls"):
            return 200, _page([pull for pull in self.pulls if pull["head"]["label"] == query["head"]], query)
        if method == "GET" and re.fullmatch(rf"{base}/actions/runs/\d+/artifacts", path):
            return 200, {"total_count": len(self.artifacts), "artifacts": _page(self.artifacts, query)}
        if method == "GET" and (found := re.fullmatch(rf"{base}/actions/artifacts/(\d+)/zip", path)):
            return 302, f"{self.address}/blob/{found[1]}?sig=secret"
        if method == "GET" and (found := re.fullmatch(r"/blob/(\d+)", path)):
            return 200, self.archives[int(found[1])]
        if re.fullmatch(rf"{base}/issues/\d+/comments", path):
            if method == "GET":
                return 200, _page(self.comments, query)
            number = self.comment(body["body"], BOT)
            return 201, next(each for each in self.comments if each["id"] == number)
        if method == "PATCH" and (found := re.fullmatch(rf"{base}/issues/comments/(\d+)", path)):
            comment = next(each for each in self.comments if each["id"] == int(found[1]))
            comment["body"] = body["body"]
            return 200, comment
        return 404, {"message": "Not Found"}


def _page(entries: list[Any], query: dict[str, str]) -> list[Any]:
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    return entries[(page - 1) * size : page * size]


@contextmanager
def serving(github: FakeGitHub) -> Iterator[FakeGitHub]:
    """Run the server for the duration of the block."""

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            parts = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
            github.requests.append(f"{self.command} {parts.path}")
            token = self.headers.get("Authorization")
            if parts.path.startswith("/blob/") and token is not None:
                return self._send(400, {"message": "the token was sent to the artifact store"})
            if not parts.path.startswith("/blob/") and token != "Bearer a-token":
                return self._send(401, {"message": "Bad credentials"})
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            plan = next((p for p in github.planned if p.method == self.command and p.path in parts.path), None)
            if plan is not None:
                github.planned.remove(plan)
                if plan.after:
                    github.respond(self.command, parts.path, query, body)
                return self._send(plan.status, plan.content, plan.headers)
            status, content = github.respond(self.command, parts.path, query, body)
            if status == 302:
                return self._send(302, None, {"Location": content})
            return self._send(status, content)

        def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
            raw = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = _respond

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    github.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield github
    finally:
        server.shutdown()
        server.server_close()
