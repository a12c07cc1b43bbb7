"""What the engine hears and says: commands, events, replies, refusals, views, and their wire form.

Everything here is a contract with logs that already exist: fields are added with defaults, never renamed or renumbered.
"""
