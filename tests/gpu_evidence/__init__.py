"""The first eight minutes on a GPU: one command, one folder of results (`make gpu-evidence`)."""
