"""Transformers, adapters and heads.  `transformers` and `peft` are imported on this floor only."""

import logging

# peft imports bitsandbytes where it is installed, which then advises a kernel for CPUs, every time
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
