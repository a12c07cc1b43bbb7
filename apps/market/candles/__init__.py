"""Candles: made of the quotes in the log, stored, kept hot in memory, and answered from there."""
