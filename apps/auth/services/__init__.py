"""What changes the state of accounts: sign-in links, sessions, tokens and the users themselves."""
