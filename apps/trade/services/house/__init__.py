"""What the house has at stake: exposure, results and liquidations over all accounts, each summed up by one statement of the database.

Only read models are read, so a page costs no question to the engine; they are as late as the projector is. The clients' side is told:
the house holds the opposite of it.
"""
