"""The HTTP edge of accounts, money and preferences: REST and pages."""
