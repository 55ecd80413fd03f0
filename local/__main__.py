"""``python -m local up``: leave the embedded AWS running, with the application deployed."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path

from local import application
from local.deploy import DeploymentError
from local.engine import Engine, EngineError

_ROOT = Path(__file__).parents[1]

_NOT_AWS = """\
What is not AWS about it: training and answering run on this computer's CPU, whatever instance type is asked for;
the administrator's keys above are root and may do anything, while every function has its own role's permissions only;
quotas, prices, alarms and policies of queues and topics are weaker here: what works here still needs a real trial."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m local", description="An AWS on this computer, for Tunedrop.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("up", help="start it, deploy template.yaml and wait for Ctrl-C")
    command.add_argument("--port", type=int, default=0, help="where it listens on 127.0.0.1 (default: as last time)")
    command.add_argument("--data", type=Path, default=_ROOT / ".local" / "aws", help="where it keeps what it holds")
    command.add_argument("--fresh", action="store_true", help="forget what an earlier start held")
    arguments = parser.parse_args()
    try:
        up(arguments.port, arguments.data, fresh=arguments.fresh)
    except (DeploymentError, EngineError) as error:
        sys.exit(str(error))


def up(port: int, data_dir: Path, *, fresh: bool) -> None:
    """Start the engine, make it complete, say how to speak to it, and wait to be interrupted."""
    if fresh:
        shutil.rmtree(data_dir, ignore_errors=True)
    with Engine(data_dir, application.settings(_say, port=port), _say) as engine:
        outputs = application.furnish(engine, _say)
        print()
        for name, value in engine.environment().items():
            print(f"export {name}={value}")
        print()
        print(_NOT_AWS)
        print()
        print(f"Stack {application.STACK_NAME}; datasets go to s3://{outputs['DropBucketName']}/datasets/<name>/;")
        print(f"notifications arrive in the queue {application.INBOX_NAME}:")
        # Version 1 of the command overlooks AWS_ENDPOINT_URL for queues: its customizations/overridesslcommonname.py.
        print(f'  aws sqs receive-message --endpoint-url "$AWS_ENDPOINT_URL" --queue-url {application.INBOX_NAME}')
        print(f"Ctrl-C ends it; what it holds is kept in {data_dir}.")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    main()
