"""The engine's process: ministack with the plug-in, on one port of 127.0.0.1.

Run as ``python -m local.engine.server DATA_DIR SETTINGS``; it prints ``ready URL``, and ends when its
standard input does.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import shutil
import socket
import sys
from pathlib import Path

from local.engine.settings import ACCOUNT_ID, ADMIN_ENVIRONMENT, REGION, Settings

_MINISTACK_SERVICES = (
    "bedrock,bedrock-runtime,cloudformation,dynamodb,dynamodbstreams,ec2,events,iam,kms,lambda,logs,monitoring,pipes,"
    "s3,scheduler,sns,sqs,ssm,states,sts,tagging"
)


def main() -> None:
    """Run an engine until its standard input ends."""
    # The loop that serves lets the interpreter go at every write, and waits so long until a busy thread gives it back.
    sys.setswitchinterval(0.0005)
    data_dir, settings = Path(sys.argv[1]), Settings.from_json(sys.argv[2])
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another engine uses {data_dir}")
        port = _choose_port(settings.port, data_dir / "port")
        work_dir = data_dir / "work"
        _prepare(port, data_dir, work_dir)
        # ministack reads its environment while it is imported, and only now is it as it must be.
        importlib.import_module("local.engine.assembly").run(settings, port, data_dir, work_dir)


def _choose_port(wanted: int, remembered: Path) -> int:
    """Return a free port: the one wanted, else that of the last start (queue URLs hold it), else any."""
    if not wanted and remembered.exists():
        wanted = int(remembered.read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", wanted))
                return wanted
            wanted = 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", wanted))
        port = int(probe.getsockname()[1])
    remembered.write_text(str(port))
    return port


def _prepare(port: int, data_dir: Path, work_dir: Path) -> None:
    """Set the environment that ministack reads while it is imported."""
    shutil.rmtree(work_dir, ignore_errors=True)
    scratch = work_dir / "tmp"
    scratch.mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        {
            "AUTH": "true",
            **ADMIN_ENVIRONMENT,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(data_dir / "ministack"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(data_dir / "s3"),
            "SERVICES": _MINISTACK_SERVICES,
            "TMPDIR": str(scratch),
        }
    )


if __name__ == "__main__":
    main()
