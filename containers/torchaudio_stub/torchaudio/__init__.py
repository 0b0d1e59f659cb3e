"""Stands in for torchaudio, which ftsdk's environments do not have.

LLaMA-Factory 0.9.5 imports torchaudio unconditionally (data/mm_plugin.py) but uses it for audio inputs only, and the
wheel on PyPI is built for CUDA: beside a CPU torch it does not import. Delete this folder to install the real one.
"""

__version__ = "0.0.0+ftsdk"


def __getattr__(name: str) -> object:
    if name.startswith("__"):  # what inspect and pickle look for must look absent, not broken
        raise AttributeError(name)
    raise ImportError(f"torchaudio.{name} is not here: this environment trains on text and has a stub for torchaudio")
