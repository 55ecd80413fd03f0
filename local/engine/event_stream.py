"""Encode the messages of a response stream as AWS does: `application/vnd.amazon.eventstream`.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7
_JSON = "application/json"


def event(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return an event of the stream, its members in JSON."""
    headers = {":message-type": "event", ":event-type": kind, ":content-type": _JSON}
    return message(headers, json.dumps(payload).encode())


def exception(code: str, text: str) -> bytes:
    """Return a modelled error, which ends the stream.

    Args:
        code: the error's member in the service model's stream, such as `modelStreamErrorException`.
        text: AWS's message.
    """
    headers = {":message-type": "exception", ":exception-type": code, ":content-type": _JSON}
    return message(headers, json.dumps({"message": text}).encode())


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one message: its lengths, a checksum of them, headers, payload, a checksum of all before it."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return whole + struct.pack("!I", zlib.crc32(whole))
