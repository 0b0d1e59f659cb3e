"""Deployments as SageMaker endpoints: a model and a variant for each of one or two models, behind one address.

The service starts the image with the word `serve`, puts the model at /opt/ml/model and what else it is told below
/opt/ml/additional-model-data-sources, and asks the container at /ping and /invocations (developer guide, "Custom
Inference Code with Hosting Services"; API reference, `AdditionalModelDataSource`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from ftsdk import contract
from ftsdk.backends.base import Capabilities, DeploymentInfo, DeploymentState, require
from ftsdk.backends.sagemaker import addresses, disks, machines
from ftsdk.backends.sagemaker import request as requests
from ftsdk.backends.sagemaker.request import Channel, SageMakerContext
from ftsdk.backends.sagemaker.service import AwsRefusedError, AwsServices, says_not_found
from ftsdk.backends.sagemaker.shapes import (
    CreateEndpointConfig,
    CreateModel,
    Endpoint,
    EndpointRequests,
    ModelContainer,
    ProductionVariant,
    S3Folder,
    Tag,
)
from ftsdk.backends.shared import file_name
from ftsdk.contract.programs import Completion
from ftsdk.engines.base import Layout
from ftsdk.errors import BackendError
from ftsdk.facts import Facts
from ftsdk.plan import deployment
from ftsdk.plan.deployment import DeploymentPlan
from ftsdk.spec import JobSpec
from ftsdk.storage.fingerprints import Fingerprint

MODEL: Final = "/opt/ml/model"
MORE: Final = "/opt/ml/additional-model-data-sources"
RUNTIME: Final = "runtime"
ENV_RUNTIME: Final = "FTSDK_RUNTIME"
"""Read by the image's entry point (`containers/entrypoint.py`)."""
START_S: Final = 3600
"""The longest that the service allows for fetching a model, and for loading it."""
LOG_GROUP: Final = "/aws/sagemaker/Endpoints/"
DIGEST_TAG: Final = "ftsdk:digest"
BESIDE: Final = "beside"
STATES: Final = {"InService": DeploymentState.READY, "Failed": DeploymentState.FAILED,
                 "Deleting": DeploymentState.DELETING}  # fmt: skip
"""EndpointStatus -> state; every other one is STARTING."""
AMI: Final = {"cuda": "al2023-ami-sagemaker-inference-gpu-4-1", "cuda12": "al2-ami-sagemaker-inference-gpu-3-1"}
"""Build of torch -> the hosting machine's system with a driver for it, R580 and R550 (API reference,
`ProductionVariant`)."""
PRICE_NOTE: Final = "price: that of a training instance of the type, which ftsdk's table has; hosting's may differ"
Contexts = Callable[[JobSpec, Facts], SageMakerContext]


class SageMakerDeployments:
    """Endpoints of one account and region."""

    def __init__(self, services: AwsServices, capabilities: Capabilities, contexts: Contexts) -> None:
        self._services, self._capabilities, self._contexts = services, capabilities, contexts

    def plan(self, spec: JobSpec, facts: Facts) -> DeploymentPlan:
        """The arguments of `create_model`, `create_endpoint_config` and `create_endpoint`."""
        require("sagemaker", self._capabilities, spec)
        zero = "an endpoint has at least one machine; -b pai and -b skypilot can"
        deployment.refuse("sagemaker", spec, zero=zero, scaling="ftsdk sets no autoscaling there; name one number")
        context = self._contexts(spec, replace(facts, machine=replace(facts.machine, accelerators=())))
        variants = {"main": facts.model, **({BESIDE: facts.against} if facts.against else {})}
        parts = {name: replace(facts, model=model, against=None) for name, model in variants.items()}
        sources = [source for part in parts.values() for source in _sources(part, context)]
        digest = deployment.deployment_digest(spec, facts)
        price = machines.usd_per_hour(context.types[0], context.region, spec.resources, facts.prices)
        return deployment.deployment(
            context.spec,
            facts,
            backend="sagemaker",
            scope=context.region,
            request=_request(context, parts, digest),
            options=context.options.model_dump(mode="json"),
            machine_usd_per_hour=price,
            uploads=tuple(dict.fromkeys(upload for source in sources for upload in source.uploads)),
            copies=tuple(requests.copies_of(facts, context.root)),
            storage=addresses.storage(context.options),
            warnings=(PRICE_NOTE,) if price is not None else (),
        )

    def create(self, plan: DeploymentPlan) -> None:
        """Create the models, the configuration and the endpoint; after a refusal, what was created is deleted."""
        try:
            for model in plan.request["models"]:
                self._services.call("sagemaker", "create_model", **model)
            self._services.call("sagemaker", "create_endpoint_config", **plan.request["config"])
            self._services.call("sagemaker", "create_endpoint", **plan.request["endpoint"])
        except BackendError:
            self.delete(plan.name)
            raise

    def describe(self, name: str) -> DeploymentInfo | None:
        """The endpoint's status."""
        response: Endpoint | None = self._maybe("describe_endpoint", EndpointName=name)
        if response is None:
            return None
        tags = self._services.call("sagemaker", "list_tags", ResourceArn=response["EndpointArn"])["Tags"]
        host = self._services.client("sagemaker-runtime").meta.endpoint_url
        return DeploymentInfo(
            name=name,
            state=STATES.get(response["EndpointStatus"], DeploymentState.STARTING),
            digest=next((tag["Value"] for tag in tags if tag["Key"] == DIGEST_TAG), ""),
            address=f"{host}/endpoints/{name}/invocations",
            message=response.get("FailureReason", ""),
        )

    def logs(self, name: str) -> Iterator[str]:
        """The containers' lines in CloudWatch."""
        try:
            for page in self._services.pages("logs", "filter_log_events", logGroupName=f"{LOG_GROUP}{name}"):
                yield from (event["message"] for event in page["events"])
        except AwsRefusedError as problem:
            if not says_not_found(problem):
                raise  # else no container has started yet

    def delete(self, name: str) -> None:
        """Delete the endpoint, its configuration and its models."""
        self._maybe("delete_endpoint", EndpointName=name)
        self._maybe("delete_endpoint_config", EndpointConfigName=name)
        for model in (name, f"{name}-{BESIDE}"):
            self._maybe("delete_model", ModelName=model)

    def ask(self, name: str, request: Mapping[str, object]) -> Completion:
        """The answer of one of the variants."""
        body = json.dumps(request).encode()
        arguments = {"EndpointName": name, "ContentType": "application/json", "Body": body}
        response = self._services.call("sagemaker-runtime", "invoke_endpoint", **arguments)
        answer: Completion = json.loads(response["Body"].read())
        return answer

    def _maybe(self, operation: str, **arguments: str) -> Any:
        """The response to one call; None if there is no such thing."""
        try:
            return self._services.call("sagemaker", operation, **arguments)
        except AwsRefusedError as problem:
            if not says_not_found(problem):
                raise
            return None


# --- the requests --------------------------------------------------------------------------------------------
def _request(context: SageMakerContext, parts: Mapping[str, Facts], digest: str) -> EndpointRequests:
    name, program = context.spec.name, deployment.serving(context.spec)
    named = {DIGEST_TAG: digest, "ftsdk:name": name}
    pairs = (*named.items(), *context.options.tags.items())
    tags: list[Tag] = [{"Key": key, "Value": value} for key, value in pairs]
    shares = {"main": 1 - program.beside_share if program.beside else 1.0, BESIDE: program.beside_share}
    variants = [_variant(context, part, model_name(name, part), shares[part], program.min_replicas) for part in parts]
    config: CreateEndpointConfig = {"EndpointConfigName": name, "ProductionVariants": variants, "Tags": tags}
    if context.options.kms_key:
        config["KmsKeyId"] = context.options.kms_key
    return {
        "models": [_model(context, part, model_name(name, key), tags) for key, part in parts.items()],
        "config": config,
        "endpoint": {"EndpointName": name, "EndpointConfigName": name, "Tags": tags},
    }


def model_name(name: str, variant: str) -> str:
    """The name of a variant's model."""
    return f"{name}-{BESIDE}" if variant == BESIDE else name


def _variant(context: SageMakerContext, variant: str, model: str, share: float, count: int) -> ProductionVariant:
    own_disk = disks.has_local_disk(context.types[0])
    volume = context.options.volume_gb or context.spec.resources.disk_gb
    system = None if context.options.image else AMI.get(machines.torch_of(context.types, context.options))
    body: ProductionVariant = {
        "VariantName": variant,
        "ModelName": model,
        "InstanceType": context.types[0],
        "InitialInstanceCount": count,
        "InitialVariantWeight": round(share, 6),
        "ModelDataDownloadTimeoutInSeconds": START_S,
        "ContainerStartupHealthCheckTimeoutInSeconds": START_S,
    }
    if volume and not own_disk:
        body["VolumeSizeInGB"] = volume
    if system:
        body["InferenceAmiVersion"] = system
    return body


def _model(context: SageMakerContext, facts: Facts, name: str, tags: list[Tag]) -> CreateModel:
    options = context.options
    sources = {channel.name: _s3_source(channel) for channel in _sources(facts, context)}
    more = [{"ChannelName": channel, "S3DataSource": sources[channel]} for channel in sources if channel != "model"]
    layout = Layout(durable="", scratch="", inputs=_inside(facts, context))
    container: ModelContainer = {
        "Image": context.image,
        "Environment": {
            ENV_RUNTIME: f"{MORE}/{RUNTIME}/{file_name(facts.runtime.path)}",
            contract.ENV_SERVE: deployment.server_environment(context.spec, facts.model, layout),
            "HF_HOME": f"{requests.HUB_CACHE}/huggingface",
            "MODELSCOPE_CACHE": f"{requests.HUB_CACHE}/modelscope",
        },
    }
    if "model" in sources:
        container["ModelDataSource"] = {"S3DataSource": sources["model"]}
    container["AdditionalModelDataSources"] = more
    body: CreateModel = {
        "ModelName": name,
        "ExecutionRoleArn": options.role,
        "PrimaryContainer": container,
        "EnableNetworkIsolation": options.network_isolation,
        "Tags": tags,
    }
    if options.subnets or options.security_groups:
        body["VpcConfig"] = requests.network(options)
    return body


def _sources(facts: Facts, context: SageMakerContext) -> list[Channel]:
    """The model, its base where that is no hub's, and the runtime: folders in S3."""
    runtime = Fingerprint(facts.runtime.path, facts.runtime.bytes, facts.runtime.sha256)
    staged = requests.staged(RUNTIME, [(file_name(facts.runtime.path), runtime)], context.root)
    return [*requests.model_channels(facts, context.root), staged]


def _inside(facts: Facts, context: SageMakerContext) -> dict[str, str]:
    """Address of a model -> its folder in the container."""
    names = requests.model_channel_names(facts)
    return {address: MODEL if name == "model" else f"{MORE}/{name}" for address, name in names.items()}


def _s3_source(channel: Channel) -> S3Folder:
    return {"S3Uri": channel.uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
