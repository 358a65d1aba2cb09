"""Where a trial computes: device, memory, FLOPs, and the workers that share a batch."""
