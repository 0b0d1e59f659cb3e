"""Runs a CreateTrainingJob request as the SageMaker SDK's local mode does. For the SDK's interpreter.

`python sdk_local_mode.py JSON`: `request`, `image`, `channels` (name -> folder here), `root` (an empty folder).
"""

import json
import sys

from sagemaker.core.shapes import Channel, DataSource, FileSystemDataSource
from sagemaker.train.local.local_container import _LocalContainer

asked = json.loads(sys.argv[1])
request = asked["request"]


def channel(name: str) -> Channel:
    """A channel of the request, its objects from a folder of this machine."""
    source = FileSystemDataSource(
        file_system_id="here",
        file_system_access_mode="rw",
        file_system_type="EFS",
        directory_path=asked["channels"][name],
    )
    return Channel(channel_name=name, data_source=DataSource(file_system_data_source=source))


container = _LocalContainer(
    training_job_name=request["TrainingJobName"],
    instance_type="local_cpu",
    instance_count=request["ResourceConfig"]["InstanceCount"],
    image=asked["image"],
    container_root=asked["root"],
    input_data_config=[channel(item["ChannelName"]) for item in request["InputDataConfig"]],
    environment=request["Environment"],
    hyper_parameters=request.get("HyperParameters", {}),
    container_entrypoint=request["AlgorithmSpecification"]["ContainerEntrypoint"],
    container_arguments=request["AlgorithmSpecification"].get("ContainerArguments", []),
)
print("ARTIFACTS", container.train(wait=True))
