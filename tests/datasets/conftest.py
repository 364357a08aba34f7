"""An HTTP server with configurable faults, and small copies of the data sets."""

from __future__ import annotations

import contextlib
import hashlib
import json
import ssl
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from auscult.datasets import RemoteFile


@dataclass
class Page:
    """What the server sends for one path."""

    body: bytes = b""
    status: int = 200
    ranges: bool = True
    etag: str | None = '"one"'
    cut_after: list[int] = field(
        default_factory=list
    )  # bytes of the body sent before the connection is closed, per request
    hold_s: float = 0.0  # seconds to keep an interrupted connection open, or until released
    busy: int = 0  # number of first requests that are answered with 503


@dataclass
class Served:
    """One answered request."""

    path: str
    range: str | None
    status: int
    sent: int


class Server:
    """A local web server with pages and a log."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.log: list[Served] = []
        self._released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def put(self, path: str, body: bytes, **facts: Any) -> None:
        """Serve *body* at *path*, with the faults given (see Page)."""
        self.pages[path] = Page(body, **facts)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._httpd.server_address[1]}{path}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(handler.path, Page(status=404))
        wanted = handler.headers.get("Range")
        if page.busy:
            page.busy -= 1
            page = Page(status=503)
        start, status = 0, page.status
        same = handler.headers.get("If-Range") in (None, page.etag)
        if wanted and page.ranges and same and status == 200:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(page.body) else 416
        body = page.body[start:]
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        if page.etag:
            handler.send_header("ETag", page.etag)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        elif status == 416:
            handler.send_header("Content-Range", f"bytes */{len(page.body)}")
        cut = page.cut_after.pop(0) if page.cut_after else None
        sent = body[:cut]
        self.log.append(Served(handler.path, wanted, status, len(sent)))  # before the client can ask for more
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(sent)
            handler.wfile.flush()
        if cut is not None and page.hold_s:
            self._released.wait(page.hold_s)

    def release(self) -> None:
        """Close held connections."""
        self._released.set()

    def close(self) -> None:
        self.release()
        self._httpd.shutdown()
        self._httpd.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def in_a_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in an empty folder."""
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path / "root")


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """An https URL with a self-signed certificate."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"https://127.0.0.1:{httpd.server_address[1]}/archive.zip"
    httpd.shutdown()
    httpd.server_close()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Create an expired, self-signed certificate and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime(2001, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(secret.public_key())
    builder = builder.serial_number(1).not_valid_before(begin).not_valid_after(begin + timedelta(days=365))
    signed = builder.sign(secret, hashes.SHA256())
    certificate = write(folder / "server.pem", signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    text = secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return certificate, write(folder / "server.key", text)


@pytest.fixture
def remote(server: Server) -> Callable[..., RemoteFile]:
    """Return a file with a known checksum at the given paths of the server."""

    def make(body: bytes, *paths: str, name: str = "archive.zip") -> RemoteFile:
        urls = tuple(server.url(path) for path in paths)
        return RemoteFile(name=name, urls=urls, size_bytes=len(body), md5=hashlib.md5(body).hexdigest())

    return make


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


ICBHI_NAMES = (
    "101_1b1_Al_sc_Meditron",
    "156_2b3_Al_mc_AKGC417L",
    "156_5b3_Al_mc_AKGC417L",
    "226_1b1_Pl_sc_LittC2SE",
)


@pytest.fixture
def official_copy(tmp_path: Path) -> Path:
    """Four recordings in the layout of ICBHI's publisher."""
    root = tmp_path / "official"
    for name in ICBHI_NAMES:
        write(root / "ICBHI_final_database" / f"{name}.wav", b"RIFF" + name.encode())
        write(
            root / "ICBHI_final_database" / f"{name}.txt",
            "0.1\t1.5\t0\t0\n1.5\t2.75\t1\t0\n2.75\t4\t0\t1\n4\t5\t1\t1\n",
        )
    write(root / "ICBHI_Challenge_diagnosis.txt", "101\tURTI\r\n156\tCOPD\r\n226\tPneumonia\r\n")
    demographics = "101 3 F NA 19 99\r\n156 80 M 24.3 NA NA\r\n226 NA NA NA NA NA\r\n"
    write(root / "ICBHI_Challenge_demographic_information.txt", demographics)
    parts = ("101_1b1_Al_sc_Meditron\ttest", "156_2b3_Al_mc_AKGC417L\ttrain", "156_5b3_Al_mc_AKGC417L\ttest")
    split = "\r\n".join((*parts, "226_1b1_Pl_sc_Meditron\ttest", "999_1b1_Al_sc_Meditron\ttrain"))
    write(root / "ICBHI_challenge_train_test.txt", split + "\r\n")
    return root


@pytest.fixture
def other_copy(official_copy: Path, tmp_path: Path) -> Path:
    """The same recordings in the other layout, in nested folders, with one recording as FLAC."""
    root = tmp_path / "other"
    audio = root / "Respiratory_Sound_Database" / "audio_and_txt_files"
    for file in (official_copy / "ICBHI_final_database").iterdir():
        ending = ".flac" if file.name == f"{ICBHI_NAMES[0]}.wav" else file.suffix
        write(audio / f"{file.stem}{ending}", file.read_bytes())
    table = "ID,CLASS\n101,URTI\n156,COPD\n226,Pneumonia\n"
    write(root / "Respiratory_Sound_Database" / "patient_diagnosis.csv", table)
    write(root / "demographic_info.txt", "\n101 3 F NA 19 99\n156 80 M 24.3 NA NA\n226 NA NA NA NA NA\n")
    split = (official_copy / "ICBHI_challenge_train_test.txt").read_bytes()
    write(root / "papers" / "ICBHI_challenge_train_test.txt", split)
    write(root / "Respiratory_Sound_Database" / "filename_format.txt", "Elements contained in the filenames:\n")
    write(root / "__MACOSX" / f"{ICBHI_NAMES[0]}.txt", "litter")
    return root


@pytest.fixture
def sprsound_copy(tmp_path: Path) -> Path:
    """Two training recordings, an inter-patient and an intra-patient test recording."""
    root = tmp_path / "sprsound" / "BioCAS2022"
    unsorted_events = [
        {"start": "2499", "end": "4277", "type": "Fine Crackle"},
        {"start": "100", "end": "2400", "type": "Normal"},
    ]
    recordings = {
        "train2022_json/65058931_3.4_1_p2_1086": ("DAS", unsorted_events),
        "train2022_json/40069321_15.3_0_p1_981": ("Poor Quality", []),
        "test2022_json/inter_test_json/40890405_3.3_0_p3_3655": ("Normal", unsorted_events[1:]),
        "test2022_json/intra_test_json/65058931_3.4_1_p4_1090": ("Normal", unsorted_events[1:]),
    }
    for place, (label, events) in recordings.items():
        name = place.rpartition("/")[2]
        write(root / f"{place}.json", json.dumps({"record_annotation": label, "event_annotation": events}))
        folder = "train2022_wav" if place.startswith("train") else "test2022_wav"
        write(root / folder / f"{name}.wav", b"RIFF" + name.encode())
    # a later challenge in the same repository: not this data set
    write(root.parent / "BioCAS2023" / "test_wav" / "65058931_3.4_1_p4_9999.wav", b"RIFF")
    return root.parent


def zipped(folder: Path, archive: Path) -> Path:
    """A zip of everything in a folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            opened.write(file, f"{folder.name}/{file.relative_to(folder)}")
    return archive


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its place."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def zip_of() -> Callable[[Path, Path], Path]:
    return zipped


@pytest.fixture
def content_of() -> Callable[[Path], dict[str, bytes]]:
    return contents
