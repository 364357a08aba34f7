"""GitHub's REST API, as far as the comment needs it: https://docs.github.com/rest.

What can be asked again is asked again: no answer, a fault of the server, a rate limit that ends soon. The token goes to
the API's own address only; a redirect is never followed with it.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from auscult.core.errors import AuscultError

_TRIES = 5
_TIMEOUT_S = 30
#: A rate limit that lasts longer is said, not waited for.
_LONGEST_WAIT_S = 240.0
#: What GitHub asks for where a secondary rate limit names no time.
_USUAL_WAIT_S = 60.0
_PER_PAGE = 100
_MOST_PAGES = 300
#: Bytes of an answer; a page of a hundred long comments stays below.
_LARGEST_ANSWER = 32 << 20


class GitHubError(AuscultError):
    """GitHub refuses, or does not answer."""


class TooLarge(GitHubError):
    """There is more to read than the caller takes."""


class Unclear(GitHubError):
    """Whether what was asked for has been done is not known; it must be looked up before it is asked for again."""


@dataclass(frozen=True)
class Answer:
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
        ``GITHUB_API_URL``.
    token
        ``GITHUB_TOKEN`` of the workflow.
    pause
        What waits; seconds.
    """

    def __init__(self, api: str, token: str, pause: Callable[[float], None] = time.sleep) -> None:
        self.api = api.rstrip("/")
        self.pause = pause
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str, **query: str | int) -> Any:
        """What the API says of a path."""
        return self._json(self._ask("GET", self._address(path, query)))

    def pages(self, path: str, key: str = "", **query: str | int) -> Iterator[Any]:
        """Every entry of a list, page by page; *key* names the list where the answer is an object."""
        for page in range(1, _MOST_PAGES + 1):
            said = self.get(path, per_page=_PER_PAGE, page=page, **query)
            entries = said.get(key, []) if key and isinstance(said, dict) else said
            if not isinstance(entries, list):
                raise GitHubError("GitHub's answer is no list", where=path)
            yield from entries
            if len(entries) < _PER_PAGE:
                return

    def patch(self, path: str, content: Any) -> Any:
        """Change something; doing it twice is as doing it once."""
        return self._json(self._ask("PATCH", self._address(path), content))

    def post(self, path: str, content: Any) -> Any:
        """Make something.

        Raises
        ------
        Unclear
            The connection or the server failed: it may have been made all the same.
        """
        return self._json(self._ask("POST", self._address(path), content, once=True))

    def download(self, path: str, most: int) -> bytes:
        """A file of at most *most* bytes, from where the API sends us; the token stays here.

        Raises
        ------
        TooLarge
            The file is larger.
        """
        answer = self._ask("GET", self._address(path), most=most)
        if answer.status < 300:
            return answer.content
        address = answer.headers.get("location", "")
        if urllib.parse.urlsplit(address).scheme not in ("https", urllib.parse.urlsplit(self.api).scheme):
            raise GitHubError("GitHub names no place where the file lies", where=path)
        request = urllib.request.Request(address, headers={"User-Agent": "auscult"})
        return self._insist(request, most).content

    def _address(self, path: str, query: Mapping[str, str | int] | None = None) -> str:
        return f"{self.api}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")

    def _ask(
        self, method: str, address: str, content: Any = None, *, once: bool = False, most: int = _LARGEST_ANSWER
    ) -> Answer:
        """What the API answers."""
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "User-Agent": "auscult",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        data = None if content is None else json.dumps(content).encode()
        return self._insist(urllib.request.Request(address, data, headers, method=method), most, once)

    def _insist(self, request: urllib.request.Request, most: int, once: bool = False) -> Answer:
        """Ask until there is an answer that says something; *once*: not where it may have been done already."""
        where = f"{request.get_method()} {request.full_url.partition('?')[0]}"  # the rest may be a signature
        fault = ""
        for attempt in range(_TRIES):
            answer, fault = self._try(request, most, where)
            if answer is not None and answer.status < 400:
                return answer
            wait = 2.0**attempt if answer is None else _wait(answer, attempt)
            if answer is not None and wait is None:
                raise _refused(answer, where)
            if once and (answer is None or answer.status >= 500):
                raise Unclear(f"GitHub: {fault}", where=where)
            if attempt < _TRIES - 1 and wait is not None:
                print(f"{where}: {fault}; asked again in {wait:.0f} s", flush=True)
                self.pause(wait)
        raise GitHubError(f"GitHub: {fault}, {_TRIES} times", where=where, next_step="run the job again later")

    def _try(self, request: urllib.request.Request, most: int, where: str) -> tuple[Answer | None, str]:
        """The answer to one question, and in words what is wrong with it."""
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                return Answer(response.status, _lower(response.headers), _read(response, most, where)), ""
        except urllib.error.HTTPError as error:
            with error:
                answer = Answer(error.code, _lower(error.headers), error.read(1 << 16))
            return answer, f"{answer.status} {_message(answer)}".strip()
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            return None, f"no answer ({type(error).__name__})"

    @staticmethod
    def _json(answer: Answer) -> Any:
        if answer.status >= 300:
            raise GitHubError(
                "GitHub says that this has moved", where=answer.headers.get("location", ""), next_step="was it renamed?"
            )
        try:
            return json.loads(answer.content)
        except ValueError as error:
            raise GitHubError("GitHub's answer is no JSON") from error


def _lower(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _read(response: IO[bytes], most: int, where: str) -> bytes:
    content = response.read(most + 1)
    if len(content) > most:
        raise TooLarge(f"it holds more than {most} bytes", where=where)
    return content


def _wait(answer: Answer, attempt: int) -> float | None:
    """Seconds after which to ask again; None where the answer is meant.

    https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
    """
    if answer.status >= 500:
        return 2.0**attempt
    if answer.status not in (403, 429):
        return None
    named, reset = answer.headers.get("retry-after", ""), answer.headers.get("x-ratelimit-reset", "")
    if named.isdigit():
        wait = float(named)
    elif answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        wait = max(0.0, float(reset) - time.time()) + 1.0
    elif answer.status == 429 or "rate limit" in _message(answer).lower():
        wait = _USUAL_WAIT_S
    else:
        return None
    return wait if wait <= _LONGEST_WAIT_S else None


def _message(answer: Answer) -> str:
    try:
        said = json.loads(answer.content)
    except ValueError:
        return ""
    message = said.get("message", "") if isinstance(said, dict) else ""
    return message[:300] if isinstance(message, str) else ""


def _refused(answer: Answer, where: str) -> GitHubError:
    """The error for an answer that asking again does not change."""
    steps = {
        401: "give the step GITHUB_TOKEN: ${{ github.token }}",
        403: "the job needs actions: read and pull-requests: write, and the repository's settings must allow them "
        "(Settings, Actions, General, Workflow permissions); docs/ci.md says how",
        410: "run the comparison again: its artifact has expired",
    }
    step = steps.get(answer.status, "")
    if answer.status in (403, 429) and "rate limit" in _message(answer).lower():
        step = "the rate limit lasts; run the job again later"
    return GitHubError(f"GitHub says {answer.status}: {_message(answer) or 'no reason'}", where=where, next_step=step)
