"""Models into other people's tools: transformers, the Hugging Face Hub, lm-evaluation-harness."""
