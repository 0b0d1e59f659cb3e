"""The contract between launcher and job: names, keys, line formats, exit codes, and JSON (`documents`).

This package travels inside the job (see `ftsdk.runtime`), so it imports the standard library only.
Everything here is versioned by `VERSION`: a supervisor refuses a job document of another version.
"""

from __future__ import annotations

from typing import Final

from ftsdk.contract.environment import DESCRIPTORS as DESCRIPTORS
from ftsdk.contract.environment import ENV_JOB as ENV_JOB
from ftsdk.contract.environment import ENV_MASTER_ADDR as ENV_MASTER_ADDR
from ftsdk.contract.environment import ENV_MASTER_PORT as ENV_MASTER_PORT
from ftsdk.contract.environment import ENV_MODEL_ARTIFACTS as ENV_MODEL_ARTIFACTS
from ftsdk.contract.environment import ENV_NATIVE_NAME as ENV_NATIVE_NAME
from ftsdk.contract.environment import ENV_NODE_RANK as ENV_NODE_RANK
from ftsdk.contract.environment import ENV_NUM_NODES as ENV_NUM_NODES
from ftsdk.contract.environment import ENV_SECRETS as ENV_SECRETS
from ftsdk.contract.environment import ENV_SECRETS_FILE as ENV_SECRETS_FILE
from ftsdk.contract.environment import ENV_SECRETS_FROM as ENV_SECRETS_FROM
from ftsdk.contract.environment import ENV_SERVE as ENV_SERVE
from ftsdk.contract.environment import SERVER_READY as SERVER_READY
from ftsdk.contract.keys import ATTEMPTS_DIR as ATTEMPTS_DIR
from ftsdk.contract.keys import CHECKPOINTS_DIR as CHECKPOINTS_DIR
from ftsdk.contract.keys import COMMIT_FILE as COMMIT_FILE
from ftsdk.contract.keys import EVALUATIONS_DIR as EVALUATIONS_DIR
from ftsdk.contract.keys import EVENTS_DIR as EVENTS_DIR
from ftsdk.contract.keys import JOB_FILE as JOB_FILE
from ftsdk.contract.keys import LOGS_DIR as LOGS_DIR
from ftsdk.contract.keys import MODEL_DIR as MODEL_DIR
from ftsdk.contract.keys import NATIVE_NAME as NATIVE_NAME
from ftsdk.contract.keys import PROBE_KEY as PROBE_KEY
from ftsdk.contract.keys import PROBE_SIGNAL_KEY as PROBE_SIGNAL_KEY
from ftsdk.contract.keys import TAKEN_OVER_FILE as TAKEN_OVER_FILE
from ftsdk.contract.keys import cancel_key as cancel_key
from ftsdk.contract.keys import checkpoint_key as checkpoint_key
from ftsdk.contract.keys import claim_key as claim_key
from ftsdk.contract.keys import clock_key as clock_key
from ftsdk.contract.keys import events_key as events_key
from ftsdk.contract.keys import events_prefix as events_prefix
from ftsdk.contract.keys import leave_spot_key as leave_spot_key
from ftsdk.contract.keys import manifest_key as manifest_key
from ftsdk.contract.keys import native_name as native_name
from ftsdk.contract.keys import node_check_key as node_check_key
from ftsdk.contract.keys import outcome_key as outcome_key
from ftsdk.contract.keys import parse_segment_key as parse_segment_key
from ftsdk.contract.keys import process_key as process_key
from ftsdk.contract.keys import segment_key as segment_key
from ftsdk.contract.keys import segments_prefix as segments_prefix
from ftsdk.contract.keys import split_native_name as split_native_name
from ftsdk.contract.keys import stacks_key as stacks_key
from ftsdk.contract.keys import start_key as start_key
from ftsdk.contract.keys import supervisor_log_key as supervisor_log_key
from ftsdk.contract.lineage import LINEAGE_FILE as LINEAGE_FILE
from ftsdk.contract.lines import EVENT_CHECKPOINT as EVENT_CHECKPOINT
from ftsdk.contract.lines import EVENT_COMMIT as EVENT_COMMIT
from ftsdk.contract.lines import EVENT_HEARTBEAT as EVENT_HEARTBEAT
from ftsdk.contract.lines import EVENT_MARK as EVENT_MARK
from ftsdk.contract.lines import EVENT_METRICS as EVENT_METRICS
from ftsdk.contract.lines import EVENT_NODE_CHECK as EVENT_NODE_CHECK
from ftsdk.contract.lines import EVENT_OUTCOME as EVENT_OUTCOME
from ftsdk.contract.lines import EVENT_PHASE as EVENT_PHASE
from ftsdk.contract.lines import METRIC_FIELDS as METRIC_FIELDS
from ftsdk.contract.lines import STAMP_END as STAMP_END
from ftsdk.contract.lines import Event as Event
from ftsdk.contract.lines import Stamp as Stamp
from ftsdk.contract.lines import event_line as event_line
from ftsdk.contract.lines import metric_events as metric_events
from ftsdk.contract.lines import metrics_kind as metrics_kind
from ftsdk.contract.lines import parse_event as parse_event
from ftsdk.contract.lines import parse_event_json as parse_event_json
from ftsdk.contract.lines import parse_stamp as parse_stamp
from ftsdk.contract.lines import split_line as split_line
from ftsdk.contract.outcomes import AFTER_SAVE as AFTER_SAVE
from ftsdk.contract.outcomes import EXIT_CONTRACT as EXIT_CONTRACT
from ftsdk.contract.outcomes import EXIT_CRASHED as EXIT_CRASHED
from ftsdk.contract.outcomes import EXIT_FAILED as EXIT_FAILED
from ftsdk.contract.outcomes import EXIT_INTERRUPTED as EXIT_INTERRUPTED
from ftsdk.contract.outcomes import EXIT_SUCCEEDED as EXIT_SUCCEEDED
from ftsdk.contract.outcomes import INFRA_REASONS as INFRA_REASONS
from ftsdk.contract.outcomes import PREEMPTIONS as PREEMPTIONS
from ftsdk.contract.outcomes import REASONS as REASONS
from ftsdk.contract.outcomes import REPEATING_REASONS as REPEATING_REASONS
from ftsdk.contract.outcomes import RETRIED as RETRIED
from ftsdk.contract.outcomes import Reason as Reason

VERSION: Final = 1
