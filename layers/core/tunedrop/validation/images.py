"""Pictures under judgement: what they are, whether they end where they should, whether they can be decoded.

The structure is walked by code of our own, because Pillow's `verify` lets a cut JPEG pass. A walk ends at the format's
own end mark, and nothing may follow it: so neither a file that was cut off nor one that is a picture and something else
at once is accepted. Nothing is decoded, inflated or allocated before the number of pixels is known.
"""

import io
import re
import struct
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

from tunedrop.domain.problem import excerpt
from tunedrop.validation.findings import Flaw
from tunedrop.validation.limits import Limits

PATH_LIMIT = 1024
"""Bytes of a path: an S3 key has no more, https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

SMALLEST_SIDE = 2
"""Pixels: preprocessors take an axis of length 1 for the colour channel."""

SCANS_LIMIT = 100
"""Scans of a progressive JPEG, each of which passes over all pixels; encoders write about ten.

https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf tells of files with thousands.
"""

_EXTENSIONS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".gif": "GIF",
    ".webp": "WEBP",
}

_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\1\0", "an icon"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a program"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the picture itself, which `git lfs pull` fetches"),
)
_MARKUP = ((b"<svg", "an SVG drawing"), (b"<html", "an HTML page"), (b"<!doctype html", "an HTML page"))
_MARKUP_BYTES = 4096
"""How far into a file that begins with `<` its first element is looked for: an SVG may begin with a long comment."""

# https://www.w3.org/TR/png-3/#3colourType: the bit depths that each colour type allows.
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PNG_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PNG_PALETTE = 3
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# https://www.w3.org/TR/png-3/#8Interlace: first column and row, and steps, of each pass.
_PNG_ONE_PASS = ((0, 0, 1, 1),)
_PNG_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_PIECE_BYTES = 16 << 10

# https://www.w3.org/Graphics/JPEG/itu-t81.pdf, table B.1.
_JPEG_SOI = b"\xff\xd8"
_JPEG_EOI, _JPEG_SOS = 0xD9, 0xDA
_JPEG_FIRST_SEGMENT = 0xC0
_JPEG_SHORTEST_SEGMENT = 2
_JPEG_NO_SEGMENTS = range(0xD0, 0xD9)
_JPEG_COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_COMPONENTS = (1, 3, 4)
_JPEG_BITS = 8
_JPEG_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
# In compressed data FF is followed by 00, or by a restart marker, or by another FF that fills.
_JPEG_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

_WEBP_FIRST_CHUNK = 12
_WEBP_LOSSLESS_SIGNATURE = 0x2F

_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 0x21, 0x2C, 0x3B

_CUT_OFF = "ends too early: the file was cut off"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Unicode's categories Cc, Zl and Zp, which never grow."""

_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DRIVE = re.compile(r"[A-Za-z]:")


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Shape(NamedTuple):
    width: int
    height: int


def inspect(name: str, data: bytes, limits: Limits, *, decode: bool) -> list[Flaw]:
    """Judge the picture `data`, a file called `name`: at most one error, and at most one warning about the name.

    With `decode` every pixel of every frame is decoded too: what a structure does not show, such as compressed data
    that is too short, is found only so. Raises nothing, whatever the bytes; allocates nothing of the picture's size
    unless it is decoded.
    """
    try:
        kind, walk = _walker(data, limits)
        try:
            shape = walk(data, limits)
        except (IndexError, struct.error):
            _broken(_CUT_OFF)
        if decode:
            _decode(kind, data, shape)
    except _RefusedError as error:
        return [Flaw(error.code, error.message, "file_name", excerpt=excerpt(name))]
    if _EXTENSIONS.get(PurePosixPath(name).suffix.lower()) != kind:
        return [
            Flaw("data.image-mislabelled", f"The picture is of the format {kind}.", "file_name", excerpt=excerpt(name))
        ]
    return []


def image_path_flaw(file_name: str) -> Flaw | None:
    """Say why `file_name` cannot be the path of a picture below its metadata.jsonl; None when it can."""
    reason = _path_fault(file_name)
    if not reason:
        decoded = _decoded(file_name)
        # Whoever decodes the path once more must get neither another folder nor a way out of it.
        if decoded != file_name and (_path_fault(decoded) or decoded.count("/") != file_name.count("/")):
            reason = "holds percent-encodings that become another path"
    if not reason:
        return None
    return Flaw("data.image-path", f"The path {reason}.", "file_name", excerpt=excerpt(file_name))


def _path_fault(path: str) -> str:  # noqa: C901 - one rule a line
    if not path:
        return "is empty"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    if size > PATH_LIMIT:
        return f"has {size:,} bytes; {PATH_LIMIT:,} are allowed"
    if _CONTROL.search(path):
        return "holds a control character"
    if _BIDI.search(path):
        return "holds a mark that turns the direction of writing"
    if not unicodedata.is_normalized("NFC", path):
        return "is not in Unicode's normal form C, so that another path could look the same"
    if "\\" in path:
        return "holds a backslash; folders are separated by /"
    if _DRIVE.match(path):
        return "names a drive"
    if path.startswith("/"):
        return "is absolute"
    segments = path.split("/")
    if ".." in segments:
        return "leaves its folder (..)"
    if "." in segments:
        return "holds a dot as a folder (./)"
    if "" in segments:
        return "holds a folder or file without a name"
    return ""


def _decoded(path: str) -> str:
    while (decoded := unquote(path)) != path:  # each turn shortens it
        path = decoded
    return path


def _walker(data: bytes, limits: Limits) -> tuple[str, Callable[[bytes, Limits], _Shape]]:
    """Tell the format, and how it is walked."""
    if not data:
        _broken("is an empty file")
    for kind, (magic, walk) in _FORMATS.items():
        if magic.match(data):
            if len(data) > limits.image_bytes:
                message = f"The picture has {len(data):,} bytes; {limits.image_bytes:,} are allowed."
                raise _RefusedError("data.image-too-large", message)
            return kind, walk
    raise _RefusedError("data.image-format", f"The file is {_foreign(data)}.")


def _foreign(data: bytes) -> str:
    for magic, kind in _FOREIGN:
        if data.startswith(magic):
            return kind
    if data[4:8] == b"ftyp":
        return "an AVIF picture" if data[8:12] in {b"avif", b"avis"} else "a HEIC picture or a film"
    if data[257:262] == b"ustar":
        return "a tar archive"
    start = data[:_MARKUP_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"<"):
        return next((kind for tag, kind in _MARKUP if tag in start), "markup")
    return "of no format that is known"


def _broken(what: str) -> NoReturn:
    raise _RefusedError("data.image-broken", f"The picture {what}.")


def _check(shape: _Shape, frames: int, limits: Limits) -> None:
    """Refuse a picture by its size; each frame of an animation counts as one of the whole size, as it is decoded."""
    width, height = shape
    if not width or not height:
        _broken(f"is {width:,} × {height:,} pixels")  # noqa: RUF001 - the sign that people know sizes by
    if width * height * frames > limits.image_pixels:
        size = f"{width:,} × {height:,} pixels" + (f" in {frames:,} frames" if frames > 1 else "")  # noqa: RUF001
        message = f"The picture is {size}; {limits.image_pixels:,} pixels in all are allowed."
        raise _RefusedError("data.image-too-large", message)
    if min(shape) < SMALLEST_SIDE:
        message = f"The picture is {width:,} × {height:,} pixels; each side must have {SMALLEST_SIDE}."  # noqa: RUF001
        raise _RefusedError("data.image-too-small", message)


def _check_end(data: bytes, end: int) -> None:
    if end != len(data):
        _broken(f"ends at byte {end:,}, but the file goes on for {len(data) - end:,} bytes")


def _png(data: bytes, limits: Limits) -> _Shape:
    """Walk the chunks, https://www.w3.org/TR/png-3/#5DataRep, and check the sum of each."""
    at = 8
    if struct.unpack_from(">I4s", data, at) != (13, b"IHDR"):
        _broken("does not begin with its header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", data, at + 8)
    shape = _Shape(width, height)
    _check(shape, 1, limits)
    if depth not in _PNG_DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        _broken("has a header that makes no sense")
    view = memoryview(data)
    counts: Counter[bytes] = Counter()
    previous = b""
    while previous != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[at + 4 : end - 4]) != checksum:
            _broken(f"was damaged: the checksum at byte {end - 4:,} is wrong")
        # A capital first letter says that a reader who does not know the chunk cannot show the picture.
        if not kind.isalpha() or (kind[:1].isupper() and kind not in _PNG_CRITICAL):
            _broken(f"holds a part of unknown kind at byte {at:,}")
        if counts[kind] and (kind in {b"IHDR", b"PLTE"} or (kind == b"IDAT" and previous != kind)):
            _broken(f"holds a part twice, at byte {at:,}")
        if kind == b"IDAT" and colour == _PNG_PALETTE and not counts[b"PLTE"]:
            _broken("has no palette")
        counts[kind] += 1
        previous = kind
        at = end
    if not counts[b"IDAT"]:
        _broken("holds no pixels")
    _check(shape, 1 + counts[b"fcTL"], limits)
    _check_end(data, at)
    return shape


def _jpeg(data: bytes, limits: Limits) -> _Shape:
    shape, end = _jpeg_picture(data, 0, limits)
    # Phones write a preview, or how bright each part is, behind the photo: whole pictures, which readers pass over
    # (CIPA DC-007, Multi-Picture Format).
    while data.startswith(_JPEG_SOI, end):
        _, end = _jpeg_picture(data, end, limits)
    _check_end(data, end)
    return shape


def _jpeg_picture(data: bytes, at: int, limits: Limits) -> tuple[_Shape, int]:
    """Walk the segments, https://www.w3.org/Graphics/JPEG/itu-t81.pdf annex B, and pass over compressed data."""
    at += len(_JPEG_SOI)
    shape: _Shape | None = None
    scans = 0
    while True:
        marker, at = _jpeg_marker(data, at)
        if marker == _JPEG_EOI:
            break
        (length,) = struct.unpack_from(">H", data, at)
        if length < _JPEG_SHORTEST_SEGMENT or (shape and marker in _JPEG_FRAMES):
            _broken(f"holds a part out of order at byte {at:,}")
        if marker in _JPEG_FRAMES:
            shape = _jpeg_frame(marker, data[at : at + length])
            _check(shape, 1, limits)
        at += length
        if marker == _JPEG_SOS:
            scans += 1
            if scans > SCANS_LIMIT:
                _broken(f"has more than {SCANS_LIMIT} scans")
            scan_end = _JPEG_SCAN_END.search(data, at)
            if not scan_end:
                _broken(_CUT_OFF)
            at = scan_end.start()
    if not shape or not scans:
        _broken("holds no pixels")
    return shape, at


def _jpeg_marker(data: bytes, at: int) -> tuple[int, int]:
    """Return a segment's marker, and where its length stands."""
    found = _JPEG_MARKER.match(data, at)
    if not found:
        # Whatever is left consists of bytes FF that fill, or begins with something else.
        _broken(_CUT_OFF if data.count(b"\xff", at) == len(data) - at else f"cannot be followed beyond byte {at:,}")
    marker = data[found.end() - 1]
    if marker < _JPEG_FIRST_SEGMENT or marker in _JPEG_NO_SEGMENTS:
        _broken(f"holds a part out of order at byte {at:,}")
    return marker, found.end()


def _jpeg_frame(marker: int, segment: bytes) -> _Shape:
    bits, height, width, components = struct.unpack_from(">BHHB", segment, 2)
    if marker not in _JPEG_COMMON_FRAMES or bits != _JPEG_BITS:
        raise _RefusedError("data.image-format", "The picture is a JPEG of a rare kind that few programs read.")
    if components not in _JPEG_COMPONENTS or len(segment) != 8 + 3 * components:
        _broken("has a header that makes no sense")
    return _Shape(width, height)


def _gif(data: bytes, limits: Limits) -> _Shape:
    """Walk the blocks, https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    at = 13 + _gif_colours(packed)
    frames = 0
    while (kind := data[at]) != _GIF_TRAILER:
        if kind == _GIF_IMAGE:
            left, top, frame_width, frame_height, packed = struct.unpack_from("<HHHHB", data, at + 1)
            frames += 1
            # Readers widen the canvas to a frame that overhangs it.
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            if not frame_width or not frame_height:
                _broken("holds a frame of no pixels")
            _check(_Shape(width, height), frames, limits)
            at += 11 + _gif_colours(packed)
        elif kind == _GIF_EXTENSION:
            at += 2
        else:
            _broken(f"holds a part of unknown kind at byte {at:,}")
        while size := data[at]:
            at += 1 + size
        at += 1
    if not frames:
        _broken("holds no pixels")
    _check_end(data, at + 1)
    return _Shape(width, height)


def _gif_colours(packed: int) -> int:
    """Return the bytes of the colour table that a packed field announces."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _webp(data: bytes, limits: Limits) -> _Shape:
    """Walk the chunks, https://developers.google.com/speed/webp/docs/riff_container."""
    (size,) = struct.unpack_from("<I", data, 4)
    end = 8 + size
    if end > len(data):
        _broken(_CUT_OFF)
    canvas: _Shape | None = None
    if data[_WEBP_FIRST_CHUNK : _WEBP_FIRST_CHUNK + 4] == b"VP8X":
        canvas = _Shape(1 + _uint24(data, _WEBP_FIRST_CHUNK + 12), 1 + _uint24(data, _WEBP_FIRST_CHUNK + 15))
    stills: list[_Shape] = []
    frames = 0
    at = _WEBP_FIRST_CHUNK
    while at < end:
        kind, length = struct.unpack_from("<4sI", data, at)
        first = kind == b"VP8X" or (kind in _WEBP_STILLS and not canvas)
        if first != (at == _WEBP_FIRST_CHUNK) or at + 8 + length > end:
            _broken(f"holds a part out of order at byte {at:,}")
        if kind in _WEBP_STILLS:
            stills.append(_WEBP_STILLS[kind](data, at + 8))
        frames += kind == b"ANMF"
        _check(canvas or stills[0], max(frames, 1), limits)
        at += 8 + length + (length & 1)
    shape = canvas or next(iter(stills), None)
    if not shape or (stills if frames else stills != [shape]):
        _broken("holds no pixels, or others than its header says")
    if at != end:
        _broken("holds parts that do not add up to its size")
    _check_end(data, at)
    return shape


def _uint24(data: bytes, at: int) -> int:
    low, high = struct.unpack_from("<HB", data, at)
    return int(high) << 16 | int(low)


def _webp_lossy(data: bytes, at: int) -> _Shape:
    """Read a key frame's header, https://www.rfc-editor.org/rfc/rfc6386#section-9.1."""
    if data[at] & 1 or data[at + 3 : at + 6] != b"\x9d\x01\x2a":
        _broken("has a header that makes no sense")
    width, height = struct.unpack_from("<HH", data, at + 6)
    return _Shape(width & 0x3FFF, height & 0x3FFF)


def _webp_lossless(data: bytes, at: int) -> _Shape:
    """Read the header, https://developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification."""
    signature, bits = struct.unpack_from("<BI", data, at)
    if signature != _WEBP_LOSSLESS_SIGNATURE:
        _broken("has a header that makes no sense")
    return _Shape((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)


_WEBP_STILLS = {b"VP8 ": _webp_lossy, b"VP8L": _webp_lossless}


_FORMATS = {
    "PNG": (re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    "JPEG": (re.compile(rb"\xff\xd8\xff"), _jpeg),
    "GIF": (re.compile(rb"GIF8[79]a"), _gif),
    "WEBP": (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), _webp),
}
"""By Pillow's names of the formats."""


def _decode(kind: str, data: bytes, shape: _Shape) -> None:
    # Who judges text is spared the memory of Pillow. Image.open finds a plug-in that is imported already; it would
    # import all forty to find one that is not.
    from PIL import (  # noqa: PLC0415
        GifImagePlugin,  # noqa: F401
        Image,
        JpegImagePlugin,  # noqa: F401
        PngImagePlugin,  # noqa: F401
        WebPImagePlugin,  # noqa: F401
    )

    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as picture:
            # Of the pictures in one JPEG file readers take the first.
            for frame in range(1 if kind == "JPEG" else getattr(picture, "n_frames", 1)):
                picture.seek(frame)
                picture.load()
            size = picture.size
        whole = kind != "PNG" or _png_filled(data)
    # Pillow's decoders raise whatever a broken file leads them to: OSError, ValueError, TypeError, MemoryError, ...
    except Exception:  # noqa: BLE001
        _broken("cannot be decoded to its last pixel")
    if not whole:
        _broken("cannot be decoded to its last pixel")
    if size != shape:
        _broken("has two sizes")


def _png_filled(data: bytes) -> bool:
    """Tell whether the compressed data of a PNG whose structure is sound fill its pixels: Pillow leaves them black."""
    width, height, depth, colour, *_, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _PNG_SAMPLES[colour]
    missing = 0
    for left, top, right, down in _PNG_PASSES if interlace else _PNG_ONE_PASS:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            missing += rows * (1 + (columns * bits + 7) // 8)
    inflater = zlib.decompressobj()
    at = 8
    while missing > 0 and at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            # In small pieces, each of which inflates to a thousand times its size at most.
            for start in range(at + 8, at + 8 + length, _PIECE_BYTES):
                missing -= len(inflater.decompress(data[start : min(start + _PIECE_BYTES, at + 8 + length)]))
                if missing <= 0:
                    break
        at += 12 + length
    return missing <= 0
