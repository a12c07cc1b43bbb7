"""Accounts of people: sign-in links, sessions, tokens."""
