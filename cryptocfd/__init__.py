"""The composition root: settings, URLs, and what starts which part. It imports everybody; nobody imports it."""
