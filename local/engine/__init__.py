"""ministack in one process, with what it lacks of AWS plugged in."""
