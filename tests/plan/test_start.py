"""Another training's checkpoint is taken over where it is whole and fits, and refused in one sentence where not."""

import json
import struct
import zipfile

import pytest

from ftsdk.backends.local import Local
from ftsdk.errors import FtsdkError
from ftsdk.facts import inspect
from ftsdk.recipes import specfile

FILE = {
    "model_name_or_path": "model", "dataset": "rows", "dataset_dir": ".", "do_train": True, "finetuning_type": "lora",
    "lora_rank": 8, "lora_target": "all", "resume_from_checkpoint": "saves/old/checkpoint-500", "num_train_epochs": 3,
}  # fmt: skip


@pytest.fixture
def checkpoint(spec_folder):
    """A checkpoint as LLaMA-Factory leaves it: step 500 of 1,000, epoch 1.5."""
    folder = spec_folder / "saves" / "old" / "checkpoint-500"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 500, "max_steps": 1000, "epoch": 1.5}))
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, "peft_type": "LORA"}))
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    for name in ("optimizer.pt", "scheduler.pt"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data", b"x")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (spec_folder / "dataset_info.json").write_text('{"rows": {"file_name": "train.jsonl"}}')
    return folder


@pytest.fixture
def plan(spec_folder):
    def make(**keys):
        loaded = specfile.from_data({**FILE, **keys}, where="a.yaml", folder=spec_folder)
        return Local().plan(loaded.spec, inspect(loaded.spec, folder=loaded.folder))

    return make


def test_a_complete_checkpoint_is_planned_with_a_note(checkpoint, plan):
    made = plan()
    assert made.document["start_from"] == {"path": str(checkpoint), "step": 500}
    sent = {item["path"].rpartition("/")[2] for item in made.document["inputs"] if str(checkpoint) in item["path"]}
    assert sent == {"trainer_state.json", "adapter_config.json", "adapter_model.safetensors", "optimizer.pt",
                    "scheduler.pt"}  # fmt: skip
    said = " ".join(made.warnings)
    assert "step 500 of 1,000 (epoch 1.5)" in said and "the schedule (warm-up, decay) is computed" in said


def test_the_start_checkpoint_is_part_of_the_digest(checkpoint, plan):
    first = plan().digest
    state = {"global_step": 400, "max_steps": 1000, "epoch": 1.5}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    assert len({first, plan().digest, plan(resume_from_checkpoint=None).digest}) == 3


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"resume_from_checkpoint": "saves/old"}, r"give one of the checkpoints in it \(checkpoint-500\)"),
        ({"resume_from_checkpoint": "saves/none"}, "give the folder of a checkpoint on this machine"),
        ({"resume_from_checkpoint": "s3://bucket/checkpoint-500"}, "give the folder of a checkpoint on this machine"),
        ({"lora_rank": 16}, "the checkpoint's adapter has rank 8; set tuning.rank"),
        ({"finetuning_type": "full"}, "the checkpoint holds an adapter, and tuning is full"),
        ({"num_train_epochs": 1}, "the checkpoint is at epoch 1.5, and num_train_epochs is 1; raise it"),
        ({"max_steps": 500}, "the checkpoint is at step 500 and max_steps is 500; raise it"),
        ({"stage": "rm", "dataset": "pairs"}, "no value_head.safetensors"),
    ],
)
def test_a_checkpoint_that_does_not_match_the_spec_is_refused(spec_folder, checkpoint, plan, keys, says):
    info = {"rows": {"file_name": "train.jsonl"}, "pairs": {"file_name": "pairs.jsonl", "ranking": True}}
    (spec_folder / "pairs.jsonl").write_text('{"instruction": "q", "chosen": "a", "rejected": "b"}\n')
    info["pairs"]["columns"] = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    (spec_folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(FtsdkError, match=says):
        plan(**keys)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("optimizer.pt", "lacks optimizer.pt; give the folder as `model`"),
        ("trainer_state.json", "lacks trainer_state.json"),
        ("adapter_model.safetensors", "has no weights as safetensors"),
    ],
)
def test_a_checkpoint_that_lacks_a_part_is_refused(checkpoint, plan, file, says):
    (checkpoint / file).unlink()
    with pytest.raises(FtsdkError, match=says):
        plan()


@pytest.mark.parametrize("file", ["optimizer.pt", "adapter_model.safetensors"])
def test_a_file_that_was_cut_off_is_named(checkpoint, plan, file):
    whole = (checkpoint / file).read_bytes()
    (checkpoint / file).write_bytes(whole[:-4])
    with pytest.raises(FtsdkError, match=rf"{file} is incomplete; copy the checkpoint again"):
        plan()


def test_a_checkpoint_in_parts_is_refused(checkpoint, plan):
    (checkpoint / "global_step500").mkdir()
    with pytest.raises(FtsdkError, match="in parts of DeepSpeed or FSDP"):
        plan()
