import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from tunedrop.validation.findings import MEANINGS
from tunedrop.validation.images import PATH_LIMIT, SCANS_LIMIT, image_path_flaw, inspect
from tunedrop.validation.limits import Limits

LIMITS = Limits()
SIZE = (24, 16)
NAMES = {"PNG": "a.png", "JPEG": "a.jpg", "GIF": "a.gif", "WEBP": "a.webp"}
FORMATS = tuple(NAMES)


def _noise(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    picture = Image.effect_noise(size, 80)
    return picture.convert(mode)


def _saved(kind: str, picture: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (picture or _noise()).save(file, kind, **options)
    return file.getvalue()


VALID = {
    **{kind: _saved(kind) for kind in FORMATS},
    "progressive": _saved("JPEG", progressive=True, quality=90),
    "restarts": _saved("JPEG", restart_marker_blocks=1),
    "grey": _saved("JPEG", _noise("L")),
    "CMYK": _saved("JPEG", _noise("CMYK")),
    "with EXIF": _saved("JPEG", exif=b"Exif\0\0" + bytes(50), comment=b"\xff\xd9"),
    "palette": _saved("PNG", _noise("P")),
    "transparent": _saved("PNG", _noise("RGBA")),
    "APNG": _saved("PNG", save_all=True, append_images=[_noise(), _noise()]),
    "interlaced": _saved("GIF", interlace=True),
    "animated GIF": _saved("GIF", save_all=True, append_images=[_noise(), _noise()]),
    "lossless": _saved("WEBP", lossless=True),
    "WebP with alpha": _saved("WEBP", _noise("RGBA")),
    "animated WebP": _saved("WEBP", save_all=True, append_images=[_noise(), _noise()]),
}
NAME_OF = {
    "progressive": "a.JPEG",
    "restarts": "a.jpg",
    "grey": "a.jpg",
    "CMYK": "a.jpg",
    "with EXIF": "images/a.jpg",
    "palette": "a.png",
    "transparent": "a.png",
    "APNG": "a.png",
    "interlaced": "a.gif",
    "animated GIF": "a.gif",
    "lossless": "a.webp",
    "WebP with alpha": "a.webp",
    "animated WebP": "a.webp",
    **NAMES,
}


def _codes(name: str, data: bytes, limits: Limits = LIMITS, *, decode: bool = False) -> list[str]:
    return [flaw.code for flaw in inspect(name, data, limits, decode=decode)]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(*chunks: bytes, width: int = 4, height: int = 4, depth: int = 8, colour: int = 2) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


PIXELS = _chunk(b"IDAT", zlib.compress(bytes(4 * 13)))
END = _chunk(b"IEND", b"")


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("kind", VALID)
def test_a_whole_picture_passes(kind: str, decode: bool) -> None:  # noqa: FBT001
    assert inspect(NAME_OF[kind], VALID[kind], LIMITS, decode=decode) == []


@pytest.mark.parametrize("kind", VALID)
def test_no_truncated_picture_passes(kind: str) -> None:
    data = VALID[kind]
    passed = [end for end in range(len(data)) if not _codes(NAME_OF[kind], data[:end])]
    assert passed == []


@pytest.mark.parametrize("kind", VALID)
@pytest.mark.parametrize("appended", [b"\0", b"PK\x03\x04", b"<script>", b"\xff\xd9", b";", END], ids=repr)
def test_nothing_may_follow_a_picture(kind: str, appended: bytes) -> None:
    flaws = inspect(NAME_OF[kind], VALID[kind] + appended, LIMITS, decode=False)
    assert [(flaw.code, flaw.path) for flaw in flaws] == [("data.image-broken", "file_name")]
    assert f"goes on for {len(appended)} bytes" in flaws[0].message


@pytest.mark.parametrize("decode", [False, True])
def test_a_photo_may_have_whole_pictures_behind_it_as_phones_write_them(decode: bool) -> None:  # noqa: FBT001
    photo, preview = Image.new("RGB", (64, 48)), Image.new("RGB", (32, 24))
    photo.save(out := io.BytesIO(), format="MPO", save_all=True, append_images=[preview])
    data = out.getvalue()

    assert _codes("a.jpg", data, decode=decode) == []
    assert _codes("a.jpg", data + VALID["JPEG"], decode=decode) == []
    for other in (data[:-1], data + b"PK\x03\x04", data + b"\xff\xd8", data + VALID["PNG"]):
        assert _codes("a.jpg", other) == ["data.image-broken"]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b'<?xml version="1.0"?>\n<!-- a --><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\xef\xbb\xbf\n<SVG/>", "SVG"),
        (b"<!DOCTYPE html><p>Not found", "HTML"),
        (b"<Error><Code>AccessDenied</Code></Error>", "markup"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04" + bytes(30), "zip"),
        (b"images/1.png".ljust(257, b"\0") + b"ustar\x0000", "tar"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"BM" + bytes(60), "BMP"),
        (b"II*\0", "TIFF"),
        (b"\0\0\0\x1cftypheic", "HEIC"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "no format"),
        (b"\n" + VALID["PNG"], "no format"),
    ],
)
def test_any_other_kind_of_file_is_named(data: bytes, named: str) -> None:
    (flaw,) = inspect("a.png", data, LIMITS, decode=True)
    assert flaw.code == "data.image-format"
    assert named in flaw.message


def test_an_empty_file_is_no_picture() -> None:
    assert _codes("a.png", b"") == ["data.image-broken"]


@pytest.mark.parametrize(
    "data",
    [
        _png(width=12_000, height=12_000),
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, 12_000, 12_000, 1) + b"\1\x11\0",
        b"GIF89a" + struct.pack("<HHBBB", 12_000, 12_000, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0),
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (11_999).to_bytes(3, "little") * 2,
        b"RIFF\x11\0\0\0WEBPVP8L\x05\0\0\0/" + struct.pack("<I", 11_999 | 11_999 << 14),
        b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0" + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 12_000, 12_000),
    ],
    ids=["PNG", "JPEG", "GIF", "VP8X", "VP8L", "VP8"],
)
def test_144_megapixels_are_refused_from_the_header_alone(data: bytes) -> None:
    (flaw,) = inspect("a", data, LIMITS, decode=True)
    assert flaw.code == "data.image-too-large"
    assert "12,000 × 12,000 pixels" in flaw.message  # noqa: RUF001


@pytest.mark.parametrize("kind", ["APNG", "animated GIF", "animated WebP"])
def test_all_frames_count_towards_the_pixels(kind: str) -> None:
    limits = Limits(image_pixels=2 * SIZE[0] * SIZE[1])
    assert _codes(NAME_OF[kind], VALID[kind], limits) == ["data.image-too-large"]
    assert _codes("a.png", VALID["PNG"], limits) == []


def test_a_file_may_have_so_many_bytes() -> None:
    size = len(VALID["PNG"])
    assert _codes("a.png", VALID["PNG"], Limits(image_bytes=size)) == []
    assert _codes("a.png", VALID["PNG"], Limits(image_bytes=size - 1)) == ["data.image-too-large"]


@pytest.mark.parametrize(("width", "height", "code"), [(0, 9, "broken"), (1, 9, "too-small"), (9, 1, "too-small")])
def test_a_picture_has_an_area(width: int, height: int, code: str) -> None:
    assert _codes("a.png", _png(PIXELS, END, width=width, height=height)) == [f"data.image-{code}"]


@pytest.mark.parametrize("name", ["a.jpg", "a", "png", "images.png/a.gif", "a.png.txt", ".webp"])
def test_a_name_of_another_format_is_warned_of(name: str) -> None:
    (flaw,) = inspect(name, VALID["PNG"], LIMITS, decode=False)
    assert (flaw.code, flaw.excerpt) == ("data.image-mislabelled", name)
    assert "PNG" in flaw.message


@pytest.mark.parametrize(
    "data",
    [
        _png(END),
        _png(PIXELS, PIXELS[:-1] + bytes([PIXELS[-1] ^ 1]), END),
        _png(PIXELS, _chunk(b"tEXt", b"a\0b"), PIXELS, END),
        _png(PIXELS, END, depth=4),
        _png(PIXELS, END, colour=5),
        _png(PIXELS, END, colour=3),
        _png(_chunk(b"ABCD", b""), PIXELS, END),
        _png(_chunk(b"a\0cd", b""), PIXELS, END),
        _png(_png()[8:], PIXELS, END),
        b"\x89PNG\r\n\x1a\n" + PIXELS + END,
        _png(PIXELS, b"\xff\xff\xff\xffIDAT"),
    ],
    ids=[
        "no pixels",
        "checksum",
        "pixels in two places",
        "depth",
        "colour type",
        "no palette",
        "unknown",
        "no letters",
        "two headers",
        "no header",
        "length",
    ],
)
def test_a_broken_png_is_refused(data: bytes) -> None:
    assert _codes("a.png", data) == ["data.image-broken"]


FRAME = VALID["JPEG"].index(b"\xff\xc0")
SCAN = VALID["JPEG"].index(b"\xff\xda")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + VALID["JPEG"][SCAN:],
        VALID["JPEG"][:SCAN] + b"\xff\xd9",
        VALID["JPEG"][:2] + VALID["JPEG"],
        VALID["JPEG"][:SCAN] + VALID["JPEG"][FRAME:],
        VALID["JPEG"][:2] + b"\xff\xfe\0\1" + VALID["JPEG"][2:],
        VALID["JPEG"][:-2] + VALID["JPEG"][SCAN:-2] * SCANS_LIMIT + b"\xff\xd9",
        VALID["JPEG"][:2] + b"\xff" * 9,
        VALID["JPEG"][:FRAME] + b"abc",
    ],
    ids=["empty", "no frame", "no scan", "two starts", "two frames", "short segment", "scans", "only FF", "text"],
)
def test_a_broken_jpeg_is_refused(data: bytes) -> None:
    assert _codes("a.jpg", data) == ["data.image-broken"]


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCF])
def test_a_jpeg_of_a_rare_kind_is_refused(marker: int) -> None:
    data = VALID["JPEG"][: FRAME + 1] + bytes([marker]) + VALID["JPEG"][FRAME + 2 :]
    assert _codes("a.jpg", data) == ["data.image-format"]


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


LOSSLESS = b"/" + struct.pack("<I", 23 | 15 << 14) + bytes(3)
CANVAS = bytes(4) + (23).to_bytes(3, "little") + (15).to_bytes(3, "little")


@pytest.mark.parametrize(
    "data",
    [
        _riff(),
        _riff((b"VP8X", CANVAS)),
        _riff((b"EXIF", b""), (b"VP8L", LOSSLESS)),
        _riff((b"VP8L", LOSSLESS), (b"VP8L", LOSSLESS)),
        _riff((b"VP8L", LOSSLESS), (b"VP8X", CANVAS)),
        _riff((b"VP8X", CANVAS), (b"ANMF", LOSSLESS), (b"VP8L", LOSSLESS)),
        _riff((b"VP8X", CANVAS[:-3] + b"\x20\0\0"), (b"VP8L", LOSSLESS)),
        _riff((b"VP8L", b"0" + LOSSLESS[1:])),
        _riff((b"VP8 ", b"\1" + LOSSLESS * 2)),
    ],
)
def test_a_broken_webp_is_refused(data: bytes) -> None:
    assert _codes("a.webp", data) == ["data.image-broken"]


def test_a_webp_of_the_same_parts_in_order_passes() -> None:
    assert _codes("a.webp", _riff((b"VP8X", CANVAS), (b"VP8L", LOSSLESS), (b"EXIF", b"abc"))) == []


@pytest.mark.parametrize(
    "data",
    [
        VALID["GIF"][:13] + b";",
        b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b";",
        b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"," + struct.pack("<HHHHBBB", 0, 0, 0, 8, 0, 2, 0) + b";",
        b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"?;",
    ],
)
def test_a_broken_gif_is_refused(data: bytes) -> None:
    assert _codes("a.gif", data) == ["data.image-broken"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", _png(_chunk(b"IDAT", zlib.compress(bytes(range(52)))[:30]), END)),
        ("a.png", _png(_chunk(b"IDAT", zlib.compress(bytes(13))), END)),
        ("a.png", _png(_chunk(b"IDAT", b"no zlib"), END)),
        ("a.gif", b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"," + struct.pack("<HHHHBB", 0, 0, 8, 8, 0, 8)
         + b"\1\0\0;"),
        ("a.webp", _riff((b"VP8X", CANVAS), (b"VP8L", LOSSLESS))),
    ],
    ids=["PNG cut", "PNG short", "PNG", "GIF", "WebP"],
)  # fmt: skip
def test_pixels_that_are_missing_are_found_by_decoding(name: str, data: bytes) -> None:
    assert _codes(name, data) == []
    assert _codes(name, data, decode=True) == ["data.image-broken"]


@pytest.mark.parametrize(("size", "codes"), [(33, []), (32, ["data.image-broken"])])
def test_an_interlaced_png_must_fill_each_pass(size: int, codes: list[str]) -> None:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 3, 8, 2, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(bytes(size))) + END
    assert _codes("a.png", data, decode=True) == codes


def test_settings_of_pillow_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    _codes("a.png", VALID["PNG"], decode=True)
    assert Image.MAX_IMAGE_PIXELS == 1
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@given(st.sampled_from(sorted(VALID)), st.data())
@settings(max_examples=120)
def test_no_mutation_raises(kind: str, draw: st.DataObject) -> None:
    data = bytearray(VALID[kind])
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(data)))
        data[at : at + draw.draw(st.integers(0, 9))] = draw.draw(st.binary(max_size=9))
    for flaw in inspect("a.png", bytes(data), LIMITS, decode=True):
        assert flaw.code in MEANINGS
        assert flaw.message.isprintable()


@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x30\0\0\0WEBPVP8X"]), st.binary())
@settings(max_examples=120)
def test_no_bytes_raise(start: bytes, data: bytes) -> None:
    assert inspect("a.jxl", start + data, LIMITS, decode=True)


@given(st.sampled_from(FORMATS), st.integers(2, 40), st.integers(2, 40), st.floats(0, 1, exclude_max=True))
@settings(max_examples=100)
def test_a_picture_of_any_size_passes_only_whole(kind: str, width: int, height: int, share: float) -> None:
    data = _saved(kind, _noise(size=(width, height)))
    assert _codes(NAMES[kind], data, decode=True) == []
    assert _codes(NAMES[kind], data[: int(share * len(data))]) != []


@pytest.mark.parametrize(
    "path",
    ["a.png", "images/0001.png", "images/a b+c.png", "Ärger/ö.png", "🙂/👩‍👩‍👧.png", "100%25.png", "50%.png", "a%2epng",
     "..a/b..png", "a" * PATH_LIMIT],
)  # fmt: skip
def test_a_path_below_the_folder_passes(path: str) -> None:
    assert image_path_flaw(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("../a.png", "leaves"),
        ("images/../../a.png", "leaves"),
        ("images/..", "leaves"),
        ("./a.png", "dot"),
        ("images/./a.png", "dot"),
        ("images//a.png", "without a name"),
        ("s3://bucket/a.png", "without a name"),
        ("images/", "without a name"),
        ("images\\a.png", "backslash"),
        ("\\\\host\\a.png", "backslash"),
        ("C:/a.png", "drive"),
        ("c:a.png", "drive"),
        ("a\0.png", "control"),
        ("a\n.png", "control"),
        ("a\x85.png", "control"),
        ("a\u2028.png", "control"),
        ("a\u202egnp.exe", "direction"),
        ("\u2066a.png", "direction"),
        ("a\u0308.png", "normal form"),
        ("\ud800.png", "surrogate"),
        ("a" * (PATH_LIMIT + 1), "1,025 bytes"),
        ("ä" * 513, "1,026 bytes"),
        ("%2e%2e/a.png", "percent"),
        ("images/%2E./a.png", "percent"),
        ("images%2fa.png", "percent"),
        ("images%5ca.png", "percent"),
        ("a%00.png", "percent"),
        ("%252e%252e/a.png", "percent"),
        ("%%32e%2e/a.png", "percent"),
        ("%2fa.png", "percent"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str, why: str) -> None:
    flaw = image_path_flaw(path)
    assert flaw
    assert (flaw.code, flaw.path) == ("data.image-path", "file_name")
    assert why in flaw.message
    assert len(flaw.excerpt) <= 80
    assert flaw.excerpt.isascii()
    assert flaw.excerpt.isprintable()


@given(st.text(st.characters(codec=None)))
def test_any_path_is_judged(path: str) -> None:
    flaw = image_path_flaw(path)
    assert flaw or not path.startswith("/")
