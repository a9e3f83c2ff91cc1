"""Where and how a measurement runs: devices, modes, random numbers, process state."""
