"""REST of trading: operations on orders, and files of what is on record."""
