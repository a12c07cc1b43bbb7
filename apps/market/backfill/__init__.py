"""History from elsewhere: what is missing, where it comes from, and how it gets into the store."""
