"""Text, or other people's shards, becomes the parts of the experiment: what `python cli.py prepare` does."""
