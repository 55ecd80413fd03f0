"""The plug-in still fits ministack: every private part of it that the engine uses is the one it was written against.

When this fails after an upgrade: read what changed, mend the plug-in where it must be, then take the digests that
``python -m tests.local.test_conformance`` prints.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import inspect
import sys
from pathlib import Path

import pytest

MINISTACK = "1.5.33"
ENGINE = Path(__file__).parents[2] / "local" / "engine"

# What the engine patches or calls, with the digest of its source; data has the name of its type.
PARTS = {
    "ministack.app._build_persistence_save_dict": "9a6393cc953d2f67",
    "ministack.app._load_persisted_state": "03de3b870e8f811f",
    "ministack.app.load_state": "1796603c91a178d6",
    "ministack.app.save_all": "ea253a04fd05447b",
    "ministack.core.iam_actions.extract_resource_arn": "82f51700695c62fd",
    "ministack.core.iam_evaluator._gather_role_policies": "d83d1661b86595ac",
    "ministack.core.iam_evaluator._role_name_from_assumed_arn": "7efb2dd6ac2e1e04",
    "ministack.core.iam_evaluator._service_principal_matches": "877a8fc9914bdb89",
    "ministack.core.iam_evaluator.enforce": "cf64b1ee5b099c8f",
    "ministack.core.persistence._json_default": "495d9abe01cbca19",
    "ministack.core.persistence._json_object_hook": "645fe967614700ec",
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS": "dict",
    "ministack.services.cloudformation.provisioners._lambda_create": "8b2cf80e961d92ee",
    "ministack.services.cloudformation.provisioners._lambda_update": "4855410e37d7a80d",
    "ministack.services.cloudformation.provisioners._pipes_pipe_create": "594577ac8ce97c62",
    "ministack.services.cloudformation.provisioners._pipes_pipe_update": "1b436f0e7647153f",
    "ministack.services.cloudformation.provisioners._sfn_definition": "e29ae22959e7b7cf",
    "ministack.services.cloudformation.provisioners._sfn_state_machine_create": "d2ffde42cb0e8dbd",
    "ministack.services.cloudwatch._alarms": "AccountRegionScopedDict",
    "ministack.services.cloudwatch._calc_stats": "889e1bfc89dc8f3a",
    "ministack.services.cloudwatch._dims_key": "a304eb3ef986fb56",
    "ministack.services.cloudwatch._dispatch_alarm_actions": "fcf47c0d1e6ec4a0",
    "ministack.services.cloudwatch._evaluate_alarm": "a0b0acd3d432b711",
    "ministack.services.cloudwatch._metrics": "AccountRegionScopedDict",
    "ministack.services.cloudwatch._record_history": "c5890b06e5c82d3d",
    "ministack.services.cloudwatch._stat_value": "cfaad95982333379",
    "ministack.services.cloudwatch._store_datum": "e0194e701d568f0d",
    "ministack.services.cloudwatch_logs._create_log_group": "ce6fd1931ae9eb64",
    "ministack.services.cloudwatch_logs._create_log_stream": "99fc231b967774aa",
    "ministack.services.cloudwatch_logs._filter_log_events": "9b3d13c713b5d3cb",
    "ministack.services.cloudwatch_logs._log_groups": "AccountRegionScopedDict",
    "ministack.services.cloudwatch_logs._put_log_events": "acd4fda33a3857d7",
    "ministack.services.cloudwatch_logs._resolve_log_group_name": "e4ca3d9dcf22e065",
    "ministack.services.dynamodb._stream_records": "AccountRegionScopedDict",
    "ministack.services.dynamodb._stream_seq_counter": "int",
    "ministack.services.dynamodb._stream_trimmed": "AccountRegionScopedDict",
    "ministack.services.eventbridge._SCHEDULER_TICK_INTERVAL": "int",
    "ministack.services.eventbridge._compiled_pattern": "b60025e1a2310052",
    "ministack.services.eventbridge._dispatch_event": "d1bfe064f602d11c",
    "ministack.services.eventbridge._dispatch_to_event_bus": "fef5c8d488f10ba4",
    "ministack.services.eventbridge._dispatch_to_lambda": "1f95adbaed3a966a",
    "ministack.services.eventbridge._dispatch_to_sns": "72c921fe20b631e3",
    "ministack.services.eventbridge._dispatch_to_sqs": "eb75981283a29783",
    "ministack.services.eventbridge._dispatch_to_stepfunctions": "d36195e1c480b1ab",
    "ministack.services.eventbridge._event_buses": "AccountRegionScopedDict",
    "ministack.services.eventbridge._invoke_target": "550e304af0809563",
    "ministack.services.eventbridge._matches_detail": "4278d284fbea982b",
    "ministack.services.eventbridge._parse_rate_seconds": "0184f31e965ea481",
    "ministack.services.eventbridge._pattern_event_view": "a472224bb7b0d436",
    "ministack.services.eventbridge._put_events": "ebcda0f38061fc62",
    "ministack.services.iam._roles": "AccountScopedDict",
    "ministack.services.lambda_svc._acquire_execution_slot": "ed3b38149e2e14aa",
    "ministack.services.lambda_svc._delete_function_concurrency": "a7f3cfa7e3775025",
    "ministack.services.lambda_svc._emit_lambda_metrics": "3b6689d77cf6f1e4",
    "ministack.services.lambda_svc._event_invoke_config": "aeeb62079ef21907",
    "ministack.services.lambda_svc._execute_function": "3ceb16d6480a2161",
    "ministack.services.lambda_svc._execution_record_for_config": "632acaa44892bdae",
    "ministack.services.lambda_svc._get_func_record_for_ref": "492b4efe8f903a0f",
    "ministack.services.lambda_svc._put_function_concurrency": "172358f9cb8292ef",
    "ministack.services.lambda_svc._release_execution_slot": "b35708f638af726e",
    "ministack.services.lambda_svc._resolve_layer_zip": "447d3c3ec42c50ad",
    "ministack.services.lambda_svc._throttle_response": "647221d5b0775feb",
    "ministack.services.lambda_svc.invoke_async_with_retry": "289fe4d3cbd4089b",
    "ministack.services.pipes._ensure_poller": "a21371869881be44",
    "ministack.services.pipes._iter_all_pipes": "a4d776f4d2fd5ba9",
    "ministack.services.pipes._pipes": "AccountRegionScopedDict",
    "ministack.services.pipes._positions": "AccountRegionScopedDict",
    "ministack.services.pipes._table_name_from_stream_arn": "fd1d8c3461e962c2",
    "ministack.services.s3._fire_s3_event": "2ab38cfade76bf2e",
    "ministack.services.s3._fire_s3_event_async": "d42619f0eb8691d5",
    "ministack.services.s3._get_object": "64ad7071ef0ec45a",
    "ministack.services.s3._next_event_sequencer": "e7f430202d191d70",
    "ministack.services.s3._parse_range": "0631595e6e00e40f",
    "ministack.services.s3._range_error_xml": "7bf593fed84faa60",
    "ministack.services.s3._xml_body": "a66f9c18121c2a57",
    "ministack.services.scheduler._SCHEDULE_TICK_INTERVAL": "int",
    "ministack.services.sns._topic_by_arn_any_scope": "419963ad2e7d9a6b",
    "ministack.services.sqs._Err": "7448c646892c67fa",
    "ministack.services.sqs._act_send_message": "3abd766508c885c6",
    "ministack.services.sqs._queue_by_arn": "b4981875c8186c19",
    "ministack.services.sqs._queue_name_to_url": "AccountRegionScopedDict",
    "ministack.services.stepfunctions._ExecutionError": "82f3c23a59f9bf3c",
    "ministack.services.stepfunctions._add_event": "b1db143ccd21809d",
    "ministack.services.stepfunctions._apply_output_path": "e9cfd00672448961",
    "ministack.services.stepfunctions._apply_result_path": "829ba9afcde96ada",
    "ministack.services.stepfunctions._apply_result_selector": "2c9e674e99b411de",
    "ministack.services.stepfunctions._create_state_machine": "4bc1231dda6925d2",
    "ministack.services.stepfunctions._emit_execution_status_event": "9c89e45693e353eb",
    "ministack.services.stepfunctions._executions": "AccountRegionScopedDict",
    "ministack.services.stepfunctions._fail_execution": "e6da895fa0b74cdd",
    "ministack.services.stepfunctions._invoke_resource": "a85d2be9a8584ce0",
    "ministack.services.stepfunctions._invoke_with_callback": "bbb38423156a0d3d",
    "ministack.services.stepfunctions._iso_to_epoch_ms": "7feda6fbce176e78",
    "ministack.services.stepfunctions._map_runs": "AccountRegionScopedDict",
    "ministack.services.stepfunctions._next_or_end": "71350d3777213acc",
    "ministack.services.stepfunctions._parse_reader_items": "80954bad8e260c9b",
    "ministack.services.stepfunctions._resolve_params_obj": "d41c2e27dd1b00a5",
    "ministack.services.stepfunctions._resolve_path_or_ctx": "39841ce14aefd1c1",
    "ministack.services.stepfunctions._resolve_state_machine_arn": "e054a309ee54fa0f",
    "ministack.services.stepfunctions._restore_state": "b94c49c3dd97e93d",
    "ministack.services.stepfunctions._run_distributed_map": "2b77d3ec0e04f8f1",
    "ministack.services.stepfunctions._run_execution": "996dff84e0e0605a",
    "ministack.services.stepfunctions._run_sub_machine": "f8d844168b1459f8",
    "ministack.services.stepfunctions._scaled_sleep": "5ed19df2efa98412",
    "ministack.services.stepfunctions._start_execution": "9923282fc76c57b9",
    "ministack.services.stepfunctions._state_machines": "AccountRegionScopedDict",
    "ministack.services.stepfunctions._state_query_language": "b9b846fa668c8400",
    "ministack.services.stepfunctions._stop_execution": "44d2d84ccd5c9702",
    "ministack.services.stepfunctions._update_state_machine": "476e0deee6a3d66b",
    "ministack.services.sts._evict_expired_sessions": "67ddc890eea7c1fa",
    "ministack.services.sts._session_expired": "fcc24677eafc74a8",
    "ministack.services.sts._sessions": "dict",
}


def private_parts() -> list[str]:
    """Find each ``module._name`` of ministack in the engine's source, and public names that are assigned to."""
    found = set()
    for path in sorted(ENGINE.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ministack"):
                modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                patched = isinstance(node.ctx, ast.Store)
                if node.attr.startswith("_") or patched:
                    found.add(f"{modules[node.value.id]}.{node.attr}")
    return sorted(found)


def digest(part: str) -> str:
    """Return the digest of a function's or class's source, or the type of anything else."""
    module, _, name = part.rpartition(".")
    thing = getattr(importlib.import_module(module), name)
    if inspect.isfunction(thing) or inspect.isclass(thing) or hasattr(thing, "__wrapped__"):
        return hashlib.sha256(inspect.getsource(inspect.unwrap(thing)).encode()).hexdigest()[:16]
    return type(thing).__name__


def test_ministack_is_the_version_that_the_digests_are_of() -> None:
    assert importlib.metadata.version("ministack") == MINISTACK
    assert f"ministack=={MINISTACK}\n" in (ENGINE.parent / "requirements.txt").read_text(encoding="utf-8")


def test_every_private_part_that_the_engine_uses_is_named_here() -> None:
    assert private_parts() == sorted(PARTS)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_is_what_it_was(part: str) -> None:
    assert digest(part) == PARTS[part], f"{part} of ministack changed: read it, and mend the plug-in"


if __name__ == "__main__":
    for name in private_parts():
        sys.stdout.write(f'    "{name}": "{digest(name)}",\n')
