"""The release of ftsdk: stated here only, read by the build."""

__version__ = "0.1.0"
