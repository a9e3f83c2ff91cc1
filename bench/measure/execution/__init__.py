"""How a measurement is executed: devices, modes, random numbers, process state."""
