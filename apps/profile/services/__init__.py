"""Use cases of trading accounts and of the money on its way to them."""
