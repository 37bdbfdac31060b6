"""Transformers, adapters and heads.  `transformers` and `peft` are imported on this floor only."""
