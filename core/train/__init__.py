"""The training: the only room that loads torch, transformers, peft and bitsandbytes."""
