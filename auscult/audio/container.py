"""Say what an audio file is and where its audio lies, from its bytes.

libsndfile reads a truncated WAV file without an error, opens any format under any file name, and refuses or misreads
headers of programs that could not state a length. :func:`locate` therefore reads the header itself, and
:func:`open_decoder` gives libsndfile a regular one where the file has none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile

from auscult.core.reject_reasons import Problem

#: First bytes of a WAV file → byte order. RF64 and BW64 have 64-bit sizes.
_RIFF = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">"}
_FLAC = b"fLaC"
#: First bytes of other files → what they are.
_OTHERS = {
    b"RIFF": "a RIFF file",
    _FLAC: "FLAC",
    b"OggS": "Ogg",
    b"FORM": "AIFF",
    b"riff": "Wave64",
    b".snd": "AU",
    b"caff": "CAF",
    b"#!AMR": "AMR",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"0&\xb2u": "WMA",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"\xff\xfe": "text in UTF-16",
    b"version https://git-lfs": "a Git LFS pointer (run `git lfs pull` where the copy came from)",
}
_UNKNOWN = 0xFFFFFFFF
#: Programs that write to a pipe state no size, or 2 or 4 GiB less at most this many bytes (SoX: whole frames).
_NEAR_LIMIT = 0x1100
#: Some writers count the header, or a byte of padding, as audio. The size of the whole file is right then.
_HEADER_BYTES = 64
_PCM, _EXTENSIBLE = 1, 0xFFFE
_GUID = b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"


class Rejected(Exception):
    """A file that cannot be used as a recording, with the reason.

    Attributes
    ----------
    problem
        The reason; its text contains no folder.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(reason, detail)


@dataclass(frozen=True)
class Wav:
    """The audio of a WAV file.

    Attributes
    ----------
    order
        ``<`` or ``>``, as in ``struct``.
    form
        Content of the chunk ``fmt``, at least 16 bytes.
    start, size
        Where the samples lie in the file (bytes).
    regular
        Whether libsndfile can read the file as it is.
    """

    order: str
    form: bytes
    start: int
    size: int
    regular: bool

    def _fields(self) -> tuple[int, ...]:
        return struct.unpack(f"{self.order}HHIIHH", self.form[:16])

    @property
    def channels(self) -> int:
        """Return the number of channels that the header states."""
        return self._fields()[1]

    @property
    def sample_rate_hz(self) -> int:
        """Return the sample rate that the header states."""
        return self._fields()[2]

    @property
    def bits(self) -> int:
        """Return the number of bits per sample that the header states."""
        return self._fields()[5]

    @property
    def codec(self) -> int:
        """Return the format tag, of an extensible format that of its subformat."""
        tag = self._fields()[0]
        if tag == _EXTENSIBLE and self.form[26:40] == _GUID:
            return int(struct.unpack(f"{self.order}H", self.form[24:26])[0])
        return tag

    @property
    def pcm24(self) -> bool:
        """Return whether samples are little-endian integers of three bytes."""
        packed = self._fields()[4] == 3 * self.channels
        return self.codec == _PCM and self.bits == 24 and packed and self.order == "<"

    def header(self) -> bytes:
        """Return a header for exactly these samples."""
        form = self.form + b"\0" * (len(self.form) % 2)
        magic = b"RIFX" if self.order == ">" else b"RIFF"
        sizes = struct.pack(f"{self.order}III", 20 + len(form) + self.size, len(form), self.size)
        return magic + sizes[:4] + b"WAVEfmt " + sizes[4:8] + form + b"data" + sizes[8:]


@dataclass(frozen=True)
class Container:
    """An audio file: its audio lies between two bytes, after and before what tagging programs added.

    Attributes
    ----------
    wav
        ``None`` for other formats.
    flac
        Whether the content is FLAC.
    """

    path: Path
    begin: int
    end: int
    wav: Wav | None = None
    flac: bool = False


def locate(path: Path) -> Container:
    """Find the audio of a file, and compare its content with its name and its header with its size.

    Raises
    ------
    Rejected
        ``unreadable``, ``wrong_content``, or ``truncated`` (WAV only; a truncated FLAC file is found when it is
        decoded).
    OSError
        The file cannot be read.
    """
    size = path.stat().st_size
    if size == 0:
        raise Rejected("unreadable", "the file is empty")
    ending = path.suffix.lower()
    with path.open("rb") as file:
        begin = _after_tags(file)
        file.seek(begin)
        head = file.read(64)
        wav = head[:4] in _RIFF and head[8:12] == b"WAVE"
        flac = head.startswith(_FLAC)
        if not {".wav": wav, ".flac": flac}.get(ending, True):
            if len(head) < 12:
                what = "an ID3 tag without audio" if begin else "less than a header"
                raise Rejected("truncated", f"the file holds {size} bytes, {what}")
            tag = "an ID3 tag and " if begin else ""
            raise Rejected("wrong_content", f"named {path.suffix}, but its content is {tag}{_describe(head)}")
        if wav:
            return Container(path, begin, size, _wav(file, begin, size))
        if flac:
            file.seek(max(size - 128, begin))
            tail = file.read(128)
            return Container(path, begin, size - 128 if tail.startswith(b"TAG") else size, flac=True)
    return Container(path, 0, size)


def _after_tags(file: BinaryIO) -> int:
    """Return the position after the ID3 tags at the start of a file."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        length = 0
        for byte in head[6:]:
            length = length << 7 | byte & 0x7F
        at += 10 + length + (10 if head[5] & 0x10 else 0)  # a footer repeats the header


def _describe(head: bytes) -> str:
    if head[8:12] == b"WAVE":
        return "WAV"
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return name
    if head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # frame synchronisation
        return "MP3" if head[1] & 0x06 else "AAC"
    if head[4:8] == b"ftyp":
        return "MP4"
    if not head.strip(b"\0"):
        return "zero bytes"
    return "text" if all(byte >= 32 or byte in b"\t\r\n" for byte in head) else "no known audio format"


def _wav(file: BinaryIO, begin: int, size: int) -> Wav:
    """Find the samples of a WAV file that begins at a byte of a file of *size* bytes."""
    file.seek(begin)
    magic = file.read(4)
    order = _RIFF[magic]
    riff = int(struct.unpack(f"{order}I", file.read(4))[0])
    form, wide, end = b"", 0, begin + 12
    for name, stated, start in _chunks(file, end, order):
        end = start + stated
        if name == b"ds64":  # contains the 64-bit sizes of an RF64 file
            wide = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
        elif name == b"fmt ":
            form = file.read(min(stated, 256))
        elif name == b"data":
            if len(form) < 16:
                raise Rejected("unreadable", "its header does not state the sample format before the audio")
            if stated == _UNKNOWN and 0 < wide < 1 << 62:
                stated = wide
            present = size - start
            unknown = _no_size(stated, present) and not (stated == 0 and _only_chunks(file, start, order, size))
            whole = riff + 8 == size - begin and stated - present <= _HEADER_BYTES
            if stated > present and not unknown and not whole:
                raise Rejected("truncated", f"the header states {stated} bytes of audio, the file holds {present}")
            rest = _chunks(file, start + stated + stated % 2, order)
            if not unknown and any(after == b"data" for after, *_ in rest):
                raise Rejected("unreadable", "its audio lies in two chunks; export it again as one")
            regular = not begin and magic != b"BW64" and not unknown and stated <= present and start % 2 == 0
            return Wav(order, form, start, present if unknown else min(stated, present), regular)
    if end <= size and riff + 8 <= size - begin:
        raise Rejected("unreadable", "the file has no chunk with audio")
    raise Rejected("truncated", f"the file ends at {size} bytes, before its audio begins")


def _no_size(stated: int, present: int) -> bool:
    """Return whether a size is what a program writes that does not know it."""
    near = any(limit - _NEAR_LIMIT <= stated <= limit for limit in (1 << 31, 1 << 32))
    return stated == 0 or (stated > present and near)


def _only_chunks(file: BinaryIO, start: int, order: str, size: int) -> bool:
    """Return whether the rest of a file is nothing, or whole chunks: then a size of 0 is meant."""
    end = start
    for name, length, at in _chunks(file, start, order):
        if not _printable(name):
            return False
        end = at + length
    return end in (size, size - 1)


def _chunks(file: BinaryIO, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, size and start of the content of each chunk of a RIFF file from *at*, the file at that start."""
    file.seek(at)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        yield name, size, at + 8
        at += 8 + size
        file.seek(at)
        if size % 2:  # a byte of padding follows, which some writers forget
            at += not _printable(file.read(4))
            file.seek(at)


def _printable(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


class Part:
    """A header and a part of a file, which libsndfile reads as one file.

    Attributes
    ----------
    error
        What reading raised last: libsndfile takes it for the end of the file.
    """

    def __init__(self, path: Path, begin: int, end: int, header: bytes = b"") -> None:
        self._file = path.open("rb")
        self._header, self._begin, self._at = header, begin, 0
        self._size = len(header) + end - begin
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as ``io.IOBase.seek`` does."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer; return the number of bytes, fewer only at the end."""
        view = memoryview(buffer).cast("B")
        view = view[: max(min(len(view), self._size - self._at), 0)]
        head = self._header[self._at : self._at + len(view)]
        view[: len(head)] = head
        got = len(head)
        try:
            if got < len(view):
                self._file.seek(self._begin + self._at + got - len(self._header))
                got += self._file.readinto(view[got:])
        except OSError as error:
            self.error = error
        self._at += got
        return got

    @property
    def at_end(self) -> bool:
        """Return whether everything was read."""
        return self._at >= self._size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Decoder(soundfile.SoundFile):
    """A sound file that is read from its start to its end.

    libsndfile cannot seek in a FLAC file of unknown length, and soundfile seeks after each block of a file that can.
    """

    def seekable(self) -> bool:
        """Return False: soundfile does not seek."""
        return False


@contextmanager
def open_decoder(container: Container) -> Iterator[tuple[Decoder, Part | None]]:
    """Open a file with libsndfile.

    Yields
    ------
    decoder
        At the first sample.
    part
        What the decoder reads; ``None`` if it reads the file itself.

    Raises
    ------
    Rejected
        libsndfile cannot decode it.
    OSError
        The file cannot be read.
    """
    wav, part = container.wav, None
    if wav is not None and not wav.regular:
        if wav.size >= 0xFFFFFF00:
            raise Rejected("unreadable", "more than 4 GiB of audio, whose length its header does not state")
        part = Part(container.path, wav.start, wav.start + wav.size, wav.header())
    elif container.flac:
        part = Part(container.path, container.begin, container.end)
    with closing(part) if part else nullcontext():
        try:
            decoder = Decoder(part or str(container.path))
        except soundfile.SoundFileError as error:
            container.path.open("rb").close()  # raises what libsndfile does not tell: that the file cannot be opened
            if wav is not None:
                stated = f"format tag {wav.codec:#06x}, {wav.bits} bits, {wav.channels} channels"
                raise Rejected("unreadable", f"no decoder for this WAV file: {stated}") from error
            raise Rejected("unreadable", "the header is damaged, or no known audio format") from error
        with decoder:
            yield decoder, part
