"""Instruments, price feeds, candles and the fan-out of prices."""
