"""What a job reaches through the user's VPC: file systems, and registries outside ECR. Pure."""

from __future__ import annotations

import re
from typing import Final

from ftsdk.backends.sagemaker.shapes import InputChannel, TrainingImageConfig

FILE_SYSTEM: Final = re.compile(r"(?P<kind>fsx|efs)://(?P<id>fs-[0-9a-f]+)(?P<path>/[^/].*)")
TYPES: Final = {"fsx": "FSxLustre", "efs": "EFS"}
ECR: Final = ".dkr.ecr."


def mounted(name: str, address: str) -> InputChannel:
    """A folder of a file system as a channel, mounted read-only. `address` has the form of `FILE_SYSTEM`."""
    parts = FILE_SYSTEM.fullmatch(address)
    assert parts is not None  # the option was checked
    source = {
        "FileSystemId": parts["id"],
        "FileSystemType": TYPES[parts["kind"]],
        "FileSystemAccessMode": "ro",
        "DirectoryPath": parts["path"],
    }
    return {"ChannelName": name, "DataSource": {"FileSystemDataSource": source}, "InputMode": "File"}


def registry(image: str, login: str | None) -> TrainingImageConfig | None:
    """How an image outside ECR is pulled, `login` being the ARN of a Lambda function; None for one in ECR."""
    if ECR in image.partition("/")[0]:
        return None
    if login is None:
        return {"TrainingRepositoryAccessMode": "Vpc"}
    given = {"TrainingRepositoryCredentialsProviderArn": login}
    return {"TrainingRepositoryAccessMode": "Vpc", "TrainingRepositoryAuthConfig": given}
