"""The texts of a model's chat template on the probe conversations, rendered in a process with limits."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from ftsdk.data.tokens.tokenizer import TokenizerFacts
from ftsdk.runtime.chat_templates import rendering
from ftsdk.runtime.chat_templates.comparing import OwnTemplate
from ftsdk.runtime.chat_templates.probes import PARSER_PROBES, PROBES
from ftsdk.runtime.chat_templates.rendering import Texts
from ftsdk.storage.cache import cached

TIMEOUT_S = 20


def own_template(tokenizer: TokenizerFacts) -> OwnTemplate | None:
    """The model's chat template on the probes; None if it has none. Cached by its content."""
    if not tokenizer.chat_template:
        return None
    request = json.dumps({"template": tokenizer.chat_template, "tokens": tokenizer.names})
    sources = [PROBES, PARSER_PROBES, Path(rendering.__file__).read_text("utf-8")]
    digest = hashlib.sha256(repr([request, sources]).encode()).hexdigest()
    return OwnTemplate(
        texts=cached(f"chat-template-{digest}", lambda: _render(request)),
        bos=tokenizer.names.get("bos_token", ""),
        eos=tokenizer.names.get("eos_token", ""),
        prefix=tokenizer.prefix,
        reads_clock="strftime_now" in tokenizer.chat_template,
        special=tokenizer.special,
    )


def _render(request: str) -> Texts:
    """The texts; all None for a template that is no Jinja or exceeds the limits."""
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", rendering.__name__],
            input=request,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return dict.fromkeys((*PROBES, *PARSER_PROBES))
    texts: Texts = json.loads(done.stdout)
    return texts
