"""Runs a container as alipai's local training does. For an interpreter that has alipai: `python alipai_local.py JSON`.

JSON has `image`, `command`, `source` (a folder), `inputs` (name -> folder). Prints the folder of the output, or fails.
"""

import json
import sys

from pai.estimator import Estimator
from pai.session import Session

asked = json.loads(sys.argv[1])
estimator = Estimator(
    image_uri=asked["image"],
    command=asked["command"],
    source_dir=asked["source"],
    instance_type="local",
    session=Session(region_id="cn-hangzhou", workspace_id="46099", oss_bucket_name="ours"),
)
job = estimator.fit(inputs=asked["inputs"], wait=True)
has_succeeded = job.is_succeeded()
job._container_run.container.remove()
print("OUTPUT", job.output_path())
sys.exit(not has_succeeded)
