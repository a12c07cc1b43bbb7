"""One service per operation on orders and positions, behind REST and WebSocket alike; coroutines of the gateway's loop.

They answer in the shapes of the public contract, with exact numbers, and raise ServiceError with the contract's codes.
"""
