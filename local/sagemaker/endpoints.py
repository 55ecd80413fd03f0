"""Keep what serves trained models: models, endpoint configurations, endpoints and their inference components."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.bedrock.model_server import ModelFailedError, ModelServer
from local.bedrock.settings import Settings as ServerSettings
from local.engine.host import AwsError, Host
from local.s3_prefix import S3Prefix, UnsafeKeyError, cause, download
from local.sagemaker.account import Account
from local.sagemaker.settings import Settings

EVENT = "SageMaker Endpoint State Change"
_PRINCIPAL = "sagemaker.amazonaws.com"
_LOADED_MODELS = 8
_KINDS = {
    "Model": ("model", "model"),
    "EndpointConfig": ("endpoint-config", "endpoint configuration"),
    "Endpoint": ("endpoint", "endpoint"),
    "InferenceComponent": ("inference-component", "inference component"),
}
# How EventBridge spells a status: https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
_SPELT = {"InService": "IN_SERVICE", "Creating": "CREATING", "Deleting": "DELETING", "Failed": "FAILED"}
_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a "
    "different ML instance type or after some time."
)
_PING = (
    "The container for the inference component {name} did not pass the ping health check. Please check CloudWatch logs "
    "for this inference component: {reason}"
)

Operation = Callable[[dict[str, Any]], dict[str, Any] | None]


class Endpoints:
    """Create, describe and delete them; a component with a copy holds the weights of its model in memory.

    Args:
        host: the engine.
        folder: where records and weights lie.
        settings: quotas and times.
    """

    def __init__(self, host: Host, folder: Path, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._path, self._weights = folder / "endpoints.json", folder / "hosted"
        self._weights.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._used: dict[str, float] = {}
        self._records: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _KINDS}
        if self._path.exists():
            self._records |= json.loads(self._path.read_text(encoding="utf-8"))
        limits = ServerSettings(loaded_models=_LOADED_MODELS, idle_seconds=float("inf"))
        self.server = ModelServer(limits, folder / "hosting.log")
        for name, endpoint in self._records["Endpoint"].items():
            if endpoint["EndpointStatus"] == "Creating":
                self._start(self._provision, name)
        for name, component in self._records["InferenceComponent"].items():
            if component["InferenceComponentStatus"] in ("Creating", "Updating"):
                self._start(self._place, name)
        self._start(self._scale_in)

    def stop(self) -> None:
        """Unload every model; records stay."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.server.stop()

    def operations(self) -> dict[str, Operation]:
        """Return what answers each operation of the API."""
        return {
            "CreateModel": self._create_model,
            "CreateEndpointConfig": self._create_config,
            "CreateEndpoint": self._create_endpoint,
            "CreateInferenceComponent": self._create_component,
            "UpdateInferenceComponentRuntimeConfig": self._update_copies,
            "DeleteModel": lambda parameters: self._delete("Model", parameters),
            "DeleteEndpointConfig": lambda parameters: self._delete("EndpointConfig", parameters),
            "DeleteEndpoint": self._delete_endpoint,
            "DeleteInferenceComponent": self._delete_component,
            **{f"Describe{kind}": self._describe(kind) for kind in _KINDS},
        }

    def summaries(self, kind: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the records of a kind whose name contains what is asked for, the newest first."""
        part = parameters.get("NameContains", "").lower()
        with self._lock:
            found = [dict(each) for name, each in self._records[kind].items() if part in name.lower()]
        return sorted(found, key=lambda each: each["CreationTime"], reverse=True)

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource; none for one that does not exist."""
        for kind in _KINDS:
            for record in self._records[kind].values():
                if record[f"{kind}Arn"] == arn:
                    return {tag["Key"]: tag["Value"] for tag in record.get("Tags", ())}
        return {}

    def asked(self, endpoint: str, component: str | None) -> dict[str, Any]:
        """Return the component that an invocation is for, with the folder of its weights.

        Raises:
            AwsError: ValidationError, in the words of SageMaker's runtime.
        """
        with self._lock:
            if endpoint not in self._records["Endpoint"]:
                raise _invalid(f"Endpoint {endpoint} of account {self._host.account_id} not found.")
            if component is None:
                raise _invalid(
                    "Inference Component Name header is required for endpoints to which you plan to deploy inference "
                    "components. Please include Inference Component Name header or consider using SageMaker models."
                )
            record = self._records["InferenceComponent"].get(component)
            if record is None or record["EndpointName"] != endpoint:
                raise _invalid(f"Inference Component {component} not found on endpoint {endpoint}.")
            self._used[component] = time.monotonic()
            if not record["RuntimeConfig"]["CurrentCopyCount"]:
                raise NoCapacityError(component)
            return {**record, "folder": self._folder(component)}

    def scale_out(self, component: str, copies: int) -> None:
        """Give a component that has none so many copies; one that has some, or is about to, keeps them."""
        with self._lock:
            record = self._records["InferenceComponent"].get(component)
            if (
                record
                and record["InferenceComponentStatus"] == "InService"
                and not record["RuntimeConfig"]["CurrentCopyCount"]
            ):
                wanted = {"CopyCount": copies}
                self._update_copies({"InferenceComponentName": component, "DesiredRuntimeConfig": wanted})

    # ------------------------------------------------------------------ creating

    def _create_model(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._host.pass_role(parameters["ExecutionRoleArn"], _PRINCIPAL)
        container = parameters.get("PrimaryContainer", {})
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        if not container.get("Image") or source.get("S3DataType") != "S3Prefix":
            raise AwsError(
                "ValidationException",
                "The local SageMaker hosts one PrimaryContainer with an Image and a ModelDataSource of S3Prefix.",
            )
        if not source["S3Uri"].endswith("/"):
            raise AwsError("ValidationException", "S3Uri of an S3Prefix must end with a forward slash (/).")
        return self._add("Model", parameters)

    def _create_config(self, parameters: dict[str, Any]) -> dict[str, Any]:
        [variant] = parameters["ProductionVariants"]
        if "ModelName" in variant or "ExecutionRoleArn" not in parameters:
            raise AwsError(
                "ValidationException",
                "The local SageMaker hosts inference components: the variant names no model, and the configuration "
                "has an ExecutionRoleArn.",
            )
        self._host.pass_role(parameters["ExecutionRoleArn"], _PRINCIPAL)
        return self._add("EndpointConfig", parameters)

    def _create_endpoint(self, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            config = self._existing("EndpointConfig", parameters["EndpointConfigName"])
            [variant] = config["ProductionVariants"]
            self._refuse_duplicate("Endpoint", parameters["EndpointName"])
            self._check_quota(variant["InstanceType"])
            instances = {"VariantName": variant["VariantName"], "DesiredInstanceCount": 1, "CurrentInstanceCount": 0}
            answer = self._add(
                "Endpoint", {**parameters, "EndpointStatus": "Creating", "ProductionVariants": [instances]}
            )
        self._announce(parameters["EndpointName"])
        self._start(self._provision, parameters["EndpointName"])
        return answer

    def _create_component(self, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._existing("Endpoint", parameters["EndpointName"])
            if endpoint["EndpointStatus"] != "InService":
                raise AwsError(
                    "ValidationException",
                    f"Endpoint {parameters['EndpointName']} is not in service: it cannot take it.",
                )
            specification = parameters["Specification"]
            self._existing("Model", specification["ModelName"])
            copies = parameters["RuntimeConfig"]["CopyCount"]
            answer = self._add(
                "InferenceComponent",
                {
                    **parameters,
                    "EndpointArn": endpoint["EndpointArn"],
                    "InferenceComponentStatus": "Creating",
                    "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": 0},
                },
            )
        self._start(self._place, parameters["InferenceComponentName"])
        return answer

    def _update_copies(self, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["InferenceComponentName"]
        with self._lock:
            component = self._existing("InferenceComponent", name)
            if component["InferenceComponentStatus"] != "InService":
                raise AwsError("ValidationException", f"Cannot update in-progress inference component {name}.")
            component["InferenceComponentStatus"] = "Updating"
            component["RuntimeConfig"]["DesiredCopyCount"] = parameters["DesiredRuntimeConfig"]["CopyCount"]
            self._save()
        self._start(self._place, name)
        return {"InferenceComponentArn": component["InferenceComponentArn"]}

    def _check_quota(self, instance_type: str) -> None:
        used = sum(
            self._records["EndpointConfig"][each["EndpointConfigName"]]["ProductionVariants"][0]["InstanceType"]
            == instance_type
            for each in self._records["Endpoint"].values()
        )
        name = f"{instance_type} for endpoint usage"
        quota = Account.read(self._host.data_dir).quotas.get(name, self._settings.endpoint_quota)
        if used >= quota:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{name}' is {quota} Instances, with current utilization of {used} "
                "Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase "
                "for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase "
                "for this quota.",
            )

    # ------------------------------------------------------------------ deleting

    def _delete(self, kind: str, parameters: dict[str, Any]) -> None:
        with self._lock:
            self._existing(kind, parameters[f"{kind}Name"])
            del self._records[kind][parameters[f"{kind}Name"]]
            self._save()

    def _delete_endpoint(self, parameters: dict[str, Any]) -> None:
        name = parameters["EndpointName"]
        with self._lock:
            endpoint = self._existing("Endpoint", name)
            if endpoint["EndpointStatus"] == "Creating":
                raise AwsError("ValidationException", f"Cannot update in-progress endpoint {endpoint['EndpointArn']}.")
            if any(each["EndpointName"] == name for each in self._records["InferenceComponent"].values()):
                raise AwsError(
                    "ValidationException", f"Endpoint {name} has inference components: delete those before it."
                )
            endpoint["EndpointStatus"] = "Deleting"
            self._announce(name)
            del self._records["Endpoint"][name]
            self._save()

    def _delete_component(self, parameters: dict[str, Any]) -> None:
        name = parameters["InferenceComponentName"]
        with self._lock:
            component = self._existing("InferenceComponent", name)
            if component["InferenceComponentStatus"] in ("Creating", "Updating"):
                raise AwsError("ValidationException", f"Cannot delete in-progress inference component {name}.")
            del self._records["InferenceComponent"][name]
            self._save()
        self.server.unload(self._folder(name))
        shutil.rmtree(self._folder(name), ignore_errors=True)

    # ------------------------------------------------------------------ what takes time

    def _start(self, work: Callable[..., None], *arguments: str) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def _provision(self, name: str) -> None:
        """Bring an endpoint into service; instances themselves are nothing here."""
        with self._lock:
            endpoint = self._records["Endpoint"][name]
            [variant] = self._records["EndpointConfig"][endpoint["EndpointConfigName"]]["ProductionVariants"]
            short = variant["InstanceType"] in Account.read(self._host.data_dir).no_capacity
            endpoint["EndpointStatus"] = "Failed" if short else "InService"
            if short:
                endpoint["FailureReason"] = _CAPACITY
            else:
                endpoint["ProductionVariants"][0]["CurrentInstanceCount"] = 1
            endpoint["LastModifiedTime"] = time.time()
            self._save()
        self._announce(name)

    def _place(self, name: str) -> None:
        """Load a component's model, or unload it, as its copies are wanted."""
        with self._lock:
            component = json.loads(json.dumps(self._records["InferenceComponent"][name]))
        copies, reason = component["RuntimeConfig"]["DesiredCopyCount"], ""
        if copies:
            reason = self._load(component)
        else:
            self.server.unload(self._folder(name))
        if self._stopping.is_set():
            return
        with self._lock:
            stored = self._records["InferenceComponent"][name]
            stored["InferenceComponentStatus"] = "Failed" if reason else "InService"
            stored["RuntimeConfig"]["CurrentCopyCount"] = 0 if reason else copies
            stored["LastModifiedTime"] = time.time()
            if reason:
                stored["FailureReason"] = reason[:1024]
            self._used[name] = time.monotonic()
            endpoint = self._records["Endpoint"][stored["EndpointName"]]
            endpoint["ProductionVariants"][0]["CurrentInstanceCount"] = min(
                1, stored["RuntimeConfig"]["CurrentCopyCount"]
            )
            self._save()

    def _load(self, component: Mapping[str, Any]) -> str:
        """Copy the weights with the model's own role and start its server; return why that failed."""
        name, folder = component["InferenceComponentName"], self._folder(component["InferenceComponentName"])
        model = self._records["Model"][component["Specification"]["ModelName"]]
        uri = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"]
        s3 = self._host.client("s3", model["ExecutionRoleArn"])
        try:
            objects = S3Prefix.of(uri).objects(s3)
            for each in objects:
                if self._stopping.is_set():
                    return ""
                if not (folder / each.path).exists():
                    download(s3, each, folder / each.path)
            if not objects:
                return f"Could not find model data at {uri}."
            self.server.load(folder)
        except (ClientError, BotoCoreError, UnsafeKeyError, OSError) as error:
            return f"Failed to download model data from {uri}: {cause(error)}"
        except (ModelFailedError, TimeoutError) as error:
            return _PING.format(name=name, reason=error)
        return ""

    def _scale_in(self) -> None:
        """Take the copies of a component that nobody calls away, where its scaling target and policy let one."""
        while not self._stopping.wait(min(1.0, self._settings.scale_in_seconds)):
            for name, idle in self._idle():
                if idle and self._may_be_zero(name):
                    self._update_copies({"InferenceComponentName": name, "DesiredRuntimeConfig": {"CopyCount": 0}})

    def _idle(self) -> Iterator[tuple[str, bool]]:
        now = time.monotonic()
        with self._lock:
            placed = [
                name
                for name, each in self._records["InferenceComponent"].items()
                if each["RuntimeConfig"]["CurrentCopyCount"] and each["InferenceComponentStatus"] == "InService"
            ]
        for name in placed:
            yield name, now - self._used.setdefault(name, now) >= self._settings.scale_in_seconds

    def _may_be_zero(self, name: str) -> bool:
        scaling: Any = self._host.client("application-autoscaling")
        resource = f"inference-component/{name}"
        targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
        policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
        tracked = any(each["PolicyType"] == "TargetTrackingScaling" for each in policies["ScalingPolicies"])
        return tracked and any(each["MinCapacity"] == 0 for each in targets["ScalableTargets"])

    # ------------------------------------------------------------------ records

    def _add(self, kind: str, record: Mapping[str, Any]) -> dict[str, Any]:
        name, now = record[f"{kind}Name"], time.time()
        with self._lock:
            self._refuse_duplicate(kind, name)
            self._records[kind][name] = {
                **record,
                f"{kind}Arn": self._arn(kind, name),
                "CreationTime": now,
                "LastModifiedTime": now,
            }
            self._save()
        return {f"{kind}Arn": self._arn(kind, name)}

    def _refuse_duplicate(self, kind: str, name: str) -> None:
        if name in self._records[kind]:
            raise AwsError(
                "ValidationException", f'Cannot create already existing {_KINDS[kind][1]} "{self._arn(kind, name)}".'
            )

    def _describe(self, kind: str) -> Operation:
        def describe(parameters: dict[str, Any]) -> dict[str, Any]:
            with self._lock:
                record = self._existing(kind, parameters[f"{kind}Name"])
                return {name: value for name, value in record.items() if name != "Tags"}

        return describe

    def _existing(self, kind: str, name: str) -> dict[str, Any]:
        if name not in self._records[kind]:
            raise AwsError("ValidationException", f'Could not find {_KINDS[kind][1]} "{self._arn(kind, name)}".')
        return self._records[kind][name]

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self._host.region}:{self._host.account_id}:{_KINDS[kind][0]}/{name}"

    def _folder(self, component: str) -> Path:
        return self._weights / component

    def _save(self) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(self._records), encoding="utf-8")
        draft.replace(self._path)

    def _announce(self, name: str) -> None:
        endpoint = self._records["Endpoint"][name]
        detail = {
            "EndpointName": name,
            "EndpointArn": endpoint["EndpointArn"],
            "EndpointConfigName": endpoint["EndpointConfigName"],
            "ProductionVariants": [],
            "EndpointStatus": _SPELT[endpoint["EndpointStatus"]],
            "CreationTime": round(endpoint["CreationTime"] * 1000),
            "LastModifiedTime": round(endpoint["LastModifiedTime"] * 1000),
            "Tags": self.tags(endpoint["EndpointArn"]),
        }
        for _ in range(self._settings.event_copies):
            self._host.emit("aws.sagemaker", EVENT, detail, [endpoint["EndpointArn"]])


class NoCapacityError(AwsError):
    """Report a call of a component that has no copy."""

    def __init__(self, component: str) -> None:
        super().__init__(
            "ValidationError",
            "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress "
            "(if configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API.",
        )
        self.component = component


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)
