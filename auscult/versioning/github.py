"""Client of GitHub's REST API: https://docs.github.com/rest. Standard library only.

Requests are repeated after a missing response, a server error, or a rate limit that ends soon. The token is sent to the
API's own address only; a redirect is never followed with it.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from auscult.core.errors import AuscultError

_LOG = logging.getLogger(__name__)
_TRIES = 5
_TIMEOUT_S = 30
#: A longer rate limit is an error.
_MAX_WAIT_S = 240.0
#: What GitHub asks for where a secondary rate limit gives no time.
_DEFAULT_WAIT_S = 60.0
_PER_PAGE = 100
_MAX_PAGES = 300
#: Bytes; a page of a hundred long comments stays below.
_MAX_RESPONSE = 32 << 20


class GitHubError(AuscultError):
    """GitHub refuses a request, or does not respond.

    Attributes
    ----------
    status
        HTTP status; 0 where there is no response or its content is wrong.
    """

    status = 0


class TooLargeError(GitHubError):
    """A response is larger than the caller allows."""


class UnclearError(GitHubError):
    """A request may have been carried out; the caller must check before it repeats the request."""


@dataclass(frozen=True)
class Response:
    """Status, headers (names in lower case) and content."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class GitHub:
    """The API with a token.

    Parameters
    ----------
    api
        Address of the API, as in ``GITHUB_API_URL``.
    token
        Access token.
    next_steps
        HTTP status → what the user can do about it, for error messages.
    pause
        Function that waits, in seconds.

    Raises
    ------
    GitHubError
        The address is not a web address.
    """

    def __init__(
        self,
        api: str,
        token: str,
        next_steps: Mapping[int, str] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if urllib.parse.urlsplit(api).scheme not in ("http", "https"):
            raise GitHubError("the API's address is not a web address", where=api, next_step="correct GITHUB_API_URL")
        self.api = api.rstrip("/")
        self.pause = pause
        self._token = token
        self._next_steps = next_steps or {}
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str, **query: str | int) -> Any:
        """Return the JSON at a path."""
        return self._json(self._ask("GET", self._address(path, query)))

    def pages(self, path: str, key: str = "", **query: str | int) -> Iterator[Any]:
        """Yield every entry of a paginated list; *key* names the list where the response is an object."""
        for page in range(1, _MAX_PAGES + 1):
            response = self.get(path, per_page=_PER_PAGE, page=page, **query)
            entries = response.get(key, []) if key and isinstance(response, dict) else response
            if not isinstance(entries, list):
                raise GitHubError("GitHub's response is not a list", where=path)
            yield from entries
            if len(entries) < _PER_PAGE:
                return

    def patch(self, path: str, content: Any) -> Any:
        """Change an object; repeating the request is harmless."""
        return self._json(self._ask("PATCH", self._address(path), content))

    def post(self, path: str, content: Any) -> Any:
        """Create an object.

        Raises
        ------
        UnclearError
            The connection or the server failed: the object may exist.
        """
        return self._json(self._ask("POST", self._address(path), content, once=True))

    def download(self, path: str, maximum: int) -> bytes:
        """Return a file of at most *maximum* bytes, from where the API redirects to; the token is not sent there.

        Raises
        ------
        TooLargeError
            The file is larger.
        """
        response = self._ask("GET", self._address(path), maximum=maximum)
        if response.status < 300:
            return response.content
        address = response.headers.get("location", "")
        if urllib.parse.urlsplit(address).scheme not in ("https", urllib.parse.urlsplit(self.api).scheme):
            raise GitHubError("GitHub gives no address for the file", where=path)
        request = urllib.request.Request(address, headers={"User-Agent": "auscult"})
        return self._retry(request, maximum).content

    def _address(self, path: str, query: Mapping[str, str | int] | None = None) -> str:
        return f"{self.api}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")

    def _ask(
        self, method: str, address: str, content: Any = None, *, once: bool = False, maximum: int = _MAX_RESPONSE
    ) -> Response:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "User-Agent": "auscult",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        data = None if content is None else json.dumps(content).encode()
        return self._retry(urllib.request.Request(address, data, headers, method=method), maximum, once)

    def _retry(self, request: urllib.request.Request, maximum: int, once: bool = False) -> Response:
        """Repeat a request until it succeeds or is refused; *once*: not if it may have been carried out."""
        where = f"{request.get_method()} {request.full_url.partition('?')[0]}"  # a query may hold a signature
        fault = ""
        for attempt in range(_TRIES):
            response, fault = self._try(request, maximum, where)
            if response is not None and response.status < 400:
                return response
            wait = 2.0**attempt if response is None else _wait(response, attempt)
            if response is not None and wait is None:
                raise self._refusal(response, where)
            if once and (response is None or response.status >= 500):
                raise UnclearError(f"GitHub: {fault}", where=where)
            if attempt < _TRIES - 1 and wait is not None:
                _LOG.info("%s: %s; next try in %.0f s", where, fault, wait)
                self.pause(wait)
        raise GitHubError(f"GitHub: {fault}, {_TRIES} times", where=where, next_step="repeat it later")

    def _try(self, request: urllib.request.Request, maximum: int, where: str) -> tuple[Response | None, str]:
        """Return the response to one request, and what is wrong with it."""
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as opened:
                return Response(opened.status, _headers(opened.headers), _read(opened, maximum, where)), ""
        except urllib.error.HTTPError as error:
            with error:
                response = Response(error.code, _headers(error.headers), error.read(1 << 16))
            return response, f"{response.status} {_message(response)}".strip()
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            return None, f"no response ({type(error).__name__})"

    def _refusal(self, response: Response, where: str) -> GitHubError:
        """Return the error for a response that a repetition does not change."""
        message = _message(response)
        step = self._next_steps.get(response.status, "")
        if response.status in (403, 429) and "rate limit" in message.lower():
            step = "the rate limit lasts longer; repeat it later"
        error = GitHubError(f"GitHub says {response.status}: {message or 'no reason'}", where=where, next_step=step)
        error.status = response.status
        return error

    @staticmethod
    def _json(response: Response) -> Any:
        if response.status >= 300:
            raise GitHubError(
                "GitHub says that this has moved",
                where=response.headers.get("location", ""),
                next_step="if the repository was renamed, use its new name",
            )
        try:
            return json.loads(response.content)
        except ValueError as error:
            raise GitHubError("GitHub's response is not JSON") from error


def _headers(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _read(opened: IO[bytes], maximum: int, where: str) -> bytes:
    content = opened.read(maximum + 1)
    if len(content) > maximum:
        raise TooLargeError(f"it has more than {maximum} bytes", where=where)
    return content


def _wait(response: Response, attempt: int) -> float | None:
    """Return the seconds until the next try; None where the response is final.

    https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
    """
    if response.status >= 500:
        return 2.0**attempt
    if response.status not in (403, 429):
        return None
    retry_after, reset = response.headers.get("retry-after", ""), response.headers.get("x-ratelimit-reset", "")
    if retry_after.isdigit():
        wait = float(retry_after)
    elif response.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        wait = max(0.0, float(reset) - time.time()) + 1.0
    elif response.status == 429 or "rate limit" in _message(response).lower():
        wait = _DEFAULT_WAIT_S
    else:
        return None
    return wait if wait <= _MAX_WAIT_S else None


def _message(response: Response) -> str:
    """Return GitHub's message and those of its list of errors."""
    try:
        content = json.loads(response.content)
    except ValueError:
        return ""
    if not isinstance(content, dict):
        return ""
    errors = content.get("errors")
    found = [content, *(errors if isinstance(errors, list) else [])]
    messages = [each.get("message") for each in found if isinstance(each, dict)]
    return "; ".join(each for each in messages if isinstance(each, str))[:300]
