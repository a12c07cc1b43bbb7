"""The servers that come with the program: PostgreSQL and two Valkeys, started, adopted and stopped by `serve`.

They listen on Unix sockets in a private directory and never on TCP. servers.py is the door; layout.py names the places.
"""
