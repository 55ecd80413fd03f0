"""Ranges of an object's version: ministack sends the whole of it, where S3 sends what was asked for."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from ministack.services import s3


def install() -> None:
    """Cut the answers to ranged reads of a version.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    get = s3._get_object

    def get_range(
        bucket_name: str, key: str, headers: dict[str, str], query_params: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        status, answered, body = get(bucket_name, key, headers, query_params)
        asked = headers.get("range", "")
        if status != HTTPStatus.OK or not asked:
            return status, answered, body
        found = s3._parse_range(asked, len(body))
        if found is None:
            content = {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            return status, content, s3._xml_body(s3._range_error_xml(bucket_name, key))
        first, last = found
        # A checksum is the whole object's, and would not hold for a part.
        answered = {name: value for name, value in answered.items() if not name.lower().startswith("x-amz-checksum-")}
        answered["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        answered["Content-Length"] = str(last + 1 - first)
        return HTTPStatus.PARTIAL_CONTENT, answered, body[first : last + 1]

    s3._get_object = get_range
