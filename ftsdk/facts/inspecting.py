"""inspect(spec): files, models and this machine, as facts."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from ftsdk.data.tokens.tokenizer import tokenizer_facts
from ftsdk.errors import unreadable
from ftsdk.facts import platforms, runtime_archive
from ftsdk.facts.chat_template import own_template
from ftsdk.facts.facts import Facts
from ftsdk.facts.git import git_state
from ftsdk.facts.machine import inspect_machine
from ftsdk.facts.model import inspect_model
from ftsdk.facts.remote_model import BucketAccess
from ftsdk.facts.reward_files import inspect_imports, inspect_rewards
from ftsdk.facts.sources import arguments_of, inspect_sources
from ftsdk.facts.start import inspect_start
from ftsdk.facts.weights import read_modules
from ftsdk.home import home_dir
from ftsdk.sizing.price.price_file import own_prices
from ftsdk.spec import JobSpec
from ftsdk.spec.program import other_model


def inspect(
    spec: JobSpec, *, folder: Path | str = ".", again: bool = False, access: BucketAccess | None = None
) -> Facts:
    """Inspect what the spec names: files and their hashes, the model's config, this machine.

    Relative paths are resolved against `folder`; `again` requests one more job of the same spec and data. Works
    offline; hashes are cached by path, size and mtime. `access` is how a backend reaches its buckets, by their scheme.
    Raises SpecError for what does not exist and DataError for data that cannot be read.
    """
    try:
        return _inspect(spec, folder, again=again, access=access)
    except OSError as problem:  # such as a name that is too long for the file system
        raise unreadable(problem, folder) from problem


def _inspect(spec: JobSpec, folder: Path | str, *, again: bool, access: BucketAccess | None) -> Facts:
    root, home = Path(folder).absolute(), home_dir()
    model = inspect_model(spec.model, root, access)
    if model.kind in ("path", "hub"):
        tokens = tokenizer_facts(model.address) or tokenizer_facts(model.base)  # an adapter may have added tokens
        template = own_template(tokens) if tokens else None
        modules = read_modules(Path(model.base))
        model = replace(model, tokenizer=tokens, chat_template=template, modules=modules)
    tokenizer = None if "://" in model.base else model.base.removeprefix("modelscope:")
    train, lengths = inspect_sources(spec.dataset.train, spec, root, tokenizer=tokenizer, measure_lengths=True)
    held_out, _ = inspect_sources(spec.dataset.eval, spec, root, tokenizer=tokenizer, measure_lengths=False)
    judge, against = spec.method.reward_model, other_model(spec.program)
    reward_files = inspect_rewards(spec.method, root)
    unknown = [f"rows of {s.address} (not on this machine)" for s in (*train, *held_out) if s.num_rows is None]
    if model.config is None:
        unknown.append(f"shape of {model.address} (its config.json is not on this machine)")
    return Facts(
        home=str(home),
        folder=str(root),
        model=model,
        train=train,
        eval=held_out,
        runtime=runtime_archive.build(home / "cache"),
        machine=inspect_machine(),
        unknown=tuple(unknown),
        lengths=lengths,
        prices=own_prices(home),
        reward_model=inspect_model(judge, root, access) if judge else None,
        against=inspect_model(against, root, access) if against else None,
        reward_files=reward_files,
        reward_imports=inspect_imports(reward_files.values()),
        git=git_state(root),
        nonce=secrets.token_hex(8) if again else "",
        start=inspect_start(spec.checkpoint.start_from, root),
        arguments=arguments_of(spec, root),
        platforms=platforms.kept(home),
    )
