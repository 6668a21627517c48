"""Bytes on disk -> batches. Each DataModule knows files, tokenisation and prompts, nothing of models."""
