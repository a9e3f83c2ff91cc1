"""What gradest uses of the operating system and some systems lack: asked for here and nowhere else."""
