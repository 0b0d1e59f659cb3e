"""Shows rows as a training will see them: tokens, their meaning, and which of them are learned."""

from ftsdk.preview.preview import Preview, preview

__all__ = ["Preview", "preview"]
