"""The HTTP edge of sign-in: the pages, the public contract, and how a request proves who sends it."""
