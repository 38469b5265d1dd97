"""Files of tensors: safetensors, torch, numpy and pickles, a stranger's read without running it."""
