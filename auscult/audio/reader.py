"""Decode a recording to mono: the one place that decides length, scale and channel, for all stages.

24-bit WAV files, the format of most of ICBHI, are unpacked here in a third of libsndfile's time and to the same bits;
libsndfile decodes the others.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from auscult.audio.container import Rejected, Wav, locate, open_decoder
from auscult.core.errors import DataError
from auscult.core.reject_reasons import Problem

logger = logging.getLogger(__name__)

Block = NDArray[np.float32]

_BLOCK = 1 << 16  # frames decoded at a time
_AT_ONCE = 1 << 24  # frames; memory that is reserved on the word of a header
_UNKNOWN = 2**63 - 1  # frames, if the header does not state them
#: Outside these ranges the header is damaged, or the file is no recording of breathing.
RATES_HZ = (1000, 384000)
CHANNELS = (1, 16)
#: Sample format → its highest value, where that is not (nearly) 1.
_HIGHEST = {"PCM_U8": 127 / 128, "PCM_S8": 127 / 128, "ULAW": 32124 / 32768, "ALAW": 32256 / 32768}
#: A clipped recording that was resampled exceeds 1, by less than this factor; higher peaks were not clipped at 1.
_OVERSHOOT = 2.0
#: Higher peaks (48 dB above full scale) are integers that were written as float.
_LOUDEST = 256.0
_INTEGER_BITS = (16, 24, 32)
#: Channels cancel if their sum has less than this share of their power. Unrelated channels: 1; two equal ones: 2.
_CANCELLED = 0.5
_SILENT = 1e-12  # -120 dBFS
#: A channel with a larger share of samples at full scale is the worse one.
_OVERDRIVEN = 0.01


class Recording:
    """An audio file whose header is read; its samples are decoded in blocks.

    Parameters
    ----------
    path
        The file.
    max_s
        Longer recordings are rejected: before they are decoded if the header states the length.

    Attributes
    ----------
    sample_rate_hz, channels, subtype
        As stored; *subtype* as libsndfile names it.
    frames
        As the header states; ``None`` if it does not.
    channel
        The only channel that :meth:`mono` used, from 0; ``None`` for the mean.
    notes
        What was unusual about the file, after it is decoded.

    Raises
    ------
    Rejected
        The file is no recording that can be used; also raised while it is decoded.
    OSError
        The file cannot be read.
    UnicodeEncodeError
        Its name is not UTF-8.
    """

    def __init__(self, path: Path, max_s: float = math.inf) -> None:
        str(path).encode()
        self._container = locate(path)
        self.frames: int | None
        wav = self._container.wav
        if wav is not None:  # libsndfile refuses a rate of 0 without saying so
            _check_header(wav.sample_rate_hz, wav.channels)
        if wav is not None and wav.pcm24:
            self.sample_rate_hz, self.channels, self.subtype = wav.sample_rate_hz, wav.channels, "PCM_24"
            self.frames = wav.size // (3 * wav.channels)
        else:
            with open_decoder(self._container) as (decoder, _):
                self.sample_rate_hz, self.channels, self.subtype = decoder.samplerate, decoder.channels, decoder.subtype
                self.frames = decoder.frames if decoder.frames < _UNKNOWN else None
            _check_header(self.sample_rate_hz, self.channels)
        self._most = max_s * self.sample_rate_hz
        if self.frames is not None and self.frames > self._most:  # hours of silence fit into a small FLAC file
            stated = f"the header states {self.frames / self.sample_rate_hz:.4g} s"
            raise Rejected("too_long", f"{stated}, at most {int(self._most) / self.sample_rate_hz:.4g} s are read")
        self.channel: int | None = None
        self.notes: list[str] = []

    @cached_property
    def _scale(self) -> tuple[float, float]:
        """Return the factor of the samples, and full scale after it. Float files are decoded once to know it."""
        if self.subtype not in ("FLOAT", "DOUBLE"):
            return 1.0, _HIGHEST.get(self.subtype, 1.0)
        peak, integers = 0.0, True
        for block in self._decoded():
            finite = block[np.isfinite(block)]
            peak = max(peak, float(np.abs(finite).max(initial=0.0)))
            integers = integers and bool((finite == np.rint(finite)).all())
        if peak <= 1.0 or not (integers or peak > _LOUDEST):
            return 1.0, peak if peak > _OVERSHOOT else 1.0
        bits = next((bits for bits in _INTEGER_BITS if peak <= 2 ** (bits - 1)), None)
        if bits is None:
            raise Rejected("unreadable", f"float samples reach {peak:.3g}, of which full scale is unknown")
        self.notes.append(f"float samples in units of {bits}-bit integers, scaled")
        return 2.0 ** (1 - bits), 1.0

    @property
    def clipped_from(self) -> float:
        """Return the magnitude from which a sample counts as clipped."""
        return 0.9999 * self._scale[1]

    def blocks(self) -> Iterator[Block]:
        """Decode the file from its start; yield blocks (n, channels), full scale 1, each valid until the next one.

        Floating-point samples beyond 1 are kept as they are, since nothing was clipped. Integers written as float are
        scaled.
        """
        factor = np.float32(self._scale[0])
        for block in self._decoded():
            if factor != 1:
                block *= factor
            block += np.float32(0.0)  # turns -0.0 into 0.0, so that equal samples have equal bytes
            yield block

    def mono(self, visit: Callable[[Block], None] = lambda block: None) -> NDArray[np.float32]:
        """Decode the file to the mean of its channels, shape (n,); if they cancel, to the better one.

        The better channel is the loudest one that is not overdriven. Memory holds some blocks beside the result.

        Parameters
        ----------
        visit
            Called with each block.
        """
        powers = _Powers(self.channels)

        def mean(block: Block) -> Block:
            visit(block)
            if self.channels == 1:
                return block[:, 0]
            powers.add(block)
            total = block[:, 0] + block[:, 1]
            for channel in range(2, self.channels):
                total += block[:, channel]
            total /= np.float32(self.channels)
            return total

        result = self._joined(mean)
        if self.channels == 1 or not powers.cancel():
            return result
        overdriven = np.zeros(self.channels)
        for block in self.blocks():
            overdriven += np.count_nonzero(np.abs(block) >= self.clipped_from, axis=0)
        self.channel = channel = powers.loudest(overdriven > _OVERDRIVEN * len(result))
        self.notes.append("channels that cancel each other, of which the better one is used")
        return self._joined(lambda block: block[:, channel])

    def _joined(self, select: Callable[[Block], Block]) -> NDArray[np.float32]:
        """Return one sample per frame, as a function selects them from each block."""
        result = np.empty(min(self.frames or _BLOCK, _AT_ONCE), dtype=np.float32)  # a damaged header may state more
        done = 0
        for block in self.blocks():
            end = done + len(block)
            if end > len(result):
                result = np.concatenate([result, np.empty(max(len(result), len(block)), dtype=np.float32)])
            result[done:end] = select(block)
            done = end
        return result[:done]

    def _decoded(self) -> Iterator[Block]:
        """Yield blocks as the file has them, at most one beyond the limit of length."""
        wav, done = self._container.wav, 0
        for block in self._unpacked(wav) if wav is not None and wav.pcm24 else self._by_libsndfile():
            done += len(block)
            yield block
            if done > self._most:
                raise Rejected("too_long", f"more than {self._most / self.sample_rate_hz:g} s")

    def _unpacked(self, wav: Wav) -> Iterator[Block]:
        """Yield blocks of a 24-bit WAV file."""
        left = wav.size // (3 * self.channels)
        buffer = np.empty((min(left, _BLOCK), self.channels), dtype=np.float32)
        packed = np.empty(3 * buffer.size + 1, dtype=np.uint8)
        words = np.empty(buffer.size, dtype="<i4")
        with self._container.path.open("rb") as file:
            file.seek(wav.start)
            while left:
                block = buffer[:left]
                if file.readinto(packed[1 : 3 * block.size + 1].data) != 3 * block.size:
                    raise Rejected("truncated", "the file became shorter while it was read")
                # Words of four bytes, of which the lowest belongs to the sample before.
                overlapping = np.ndarray(block.size, dtype="<i4", buffer=packed.data, strides=(3,))
                np.bitwise_and(overlapping, np.int32(-256), out=words[: block.size])
                block[:] = words[: block.size].reshape(block.shape)
                block *= np.float32(2.0**-31)
                left -= len(block)
                yield block

    def _by_libsndfile(self) -> Iterator[Block]:
        """Yield blocks that libsndfile decodes."""
        done, failed = 0, False
        buffer = np.empty((min(self.frames or _BLOCK, _BLOCK), self.channels), dtype=np.float32)
        with open_decoder(self._container) as (decoder, part):
            while not failed and (self.frames is None or done < self.frames):
                block = buffer[:0]
                try:
                    block = decoder.read(out=buffer if self.frames is None else buffer[: self.frames - done])
                except soundfile.SoundFileError:
                    failed = True
                if part is not None and part.error is not None:
                    raise part.error
                if not len(block):
                    break
                done += len(block)
                yield block
            at_end = part is None or part.at_end
            if self._container.flac and self.frames is not None and done < self.frames and at_end:
                raise Rejected("truncated", f"the header states {self.frames} samples, the file ends before them")
            if failed:
                where = " or cut off" if part is None or at_end else f", within its first {part.tell()} bytes"
                raise Rejected("unreadable", f"the audio is damaged{where}")


class _Powers:
    """Power of each channel and of their sum, around the mean, over the blocks of a file."""

    def __init__(self, channels: int) -> None:
        self._frames = 0
        self._totals, self._squares = np.zeros((2, channels + 1))

    def add(self, block: Block) -> None:
        """Add a block (n, channels)."""
        wide = np.empty((block.shape[1] + 1, len(block)))
        wide[:-1] = block.T
        wide[:-1].sum(axis=0, out=wide[-1])
        self._frames += len(block)
        self._totals += wide.sum(axis=1)
        self._squares += np.square(wide, out=wide).sum(axis=1)

    def _power(self) -> NDArray[np.float64]:
        frames = max(self._frames, 1)
        power: NDArray[np.float64] = np.maximum(self._squares / frames - np.square(self._totals / frames), 0.0)
        return power

    def cancel(self) -> bool:
        """Return whether the sum of the channels lacks most of their sound; never with NaN."""
        power = self._power()
        return bool(power[:-1].sum() > _SILENT and power[-1] < _CANCELLED * power[:-1].sum())

    def loudest(self, overdriven: NDArray[np.bool_]) -> int:
        """Return the loudest of the channels that are not overdriven, or of all if all are."""
        power = self._power()[:-1]
        return int(np.argmax(power - power.sum() * overdriven))


def _check_header(sample_rate_hz: int, channels: int) -> None:
    for value, (low, high), what in ((sample_rate_hz, RATES_HZ, "Hz"), (channels, CHANNELS, "channels")):
        if not low <= value <= high:  # at a rate of 1 Hz a small file would become hours, and gigabytes
            raise Rejected("unreadable", f"the header states {value} {what}, not {low} to {high}")


def problem_of(error: Rejected | OSError | UnicodeEncodeError) -> Problem:
    """Return the reason to reject a file, of an error of :class:`Recording`."""
    if isinstance(error, Rejected):
        return error.problem
    if isinstance(error, OSError):
        return Problem("unreadable", error.strerror or type(error).__name__)
    return Problem("unreadable", "its name is not UTF-8: rename it")


def read(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return the mono audio of a file, shape (n,), and its sample rate (Hz).

    Raises
    ------
    DataError
        The file cannot be used.
    """
    try:
        recording = Recording(path)
        samples = recording.mono()
    except (Rejected, OSError, UnicodeEncodeError) as error:
        raise DataError(
            f"{path.name} cannot be read: {problem_of(error).detail}",
            where=str(path),
            next_step="give a whole WAV or FLAC file; of a data set, run: dvc repro --force validate",
        ) from error
    for note in recording.notes:
        logger.warning("%s: %s", path.name, note)
    return samples, recording.sample_rate_hz
