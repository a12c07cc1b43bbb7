"""History as a whole: proved again, decided again, restored from the journal, and divided into another number of shards.

Tools of an operator, run beside the platform or while it rests; nothing here is needed to trade.
"""
