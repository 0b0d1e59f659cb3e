"""LLaMA-Factory as its users start it: a YAML file, `save_steps`, one process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.resume.judge import hashes

LOGGED = re.compile(r"\{'loss'")
TIMEOUT_S = 300.0


@dataclass(slots=True)
class Plain:
    """One process of LLaMA-Factory, read line by line."""

    config: dict[str, Any]
    ends: list[float] = field(default_factory=list)
    """`time.time()` of each logged step."""
    tail: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] = field(init=False)
    reader: threading.Thread = field(init=False)

    @property
    def output(self) -> Path:
        """Its output folder."""
        return Path(self.config["output_dir"])

    def start(self) -> None:
        """Start it and read it in the background. Starting it again resumes, as LLaMA-Factory does by itself."""
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.output / "train.yaml"
        path.write_text(json.dumps(self.config), "utf-8")  # JSON is YAML
        self.ends.clear()
        argv = [sys.executable, "-m", "llamafactory.launcher", str(path)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def wait(self) -> int:
        """Its exit code."""
        code = self.process.wait(TIMEOUT_S)
        self.reader.join()
        return code

    def signal_at(self, step: int, number: signal.Signals) -> int:
        """Send a signal once so many steps are logged; the exit code."""
        while len(self.ends) < step and self.process.poll() is None:
            time.sleep(0.002)
        self.process.send_signal(number)
        return self.wait()

    @property
    def saved_step(self) -> int:
        """Step of the newest checkpoint; 0 without one."""
        return max((int(path.name.rpartition("-")[2]) for path in self.output.glob("checkpoint-*")), default=0)

    @property
    def weights(self) -> dict[str, str]:
        """SHA-256 of the weights in the output folder."""
        return hashes({path.name: path.read_bytes() for path in self.output.glob("*.safetensors")})

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.tail = [*self.tail[-20:], line]
            if LOGGED.search(line):
                self.ends.append(time.time())
