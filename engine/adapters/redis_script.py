"""The script that commits outputs and position together, and how a batch becomes its arguments."""

from typing import Final

from engine.adapters.resp import Argument
from engine.messages import output_entry, streams
from engine.runtime.ports import Batch, Published
from engine.values import text_from_entry_id

_FIELDS: Final = {
    "output": output_entry.OUTPUT_FIELD,
    "at_in": streams.CHECKPOINT_IN,
    "at_number": streams.CHECKPOINT_NUMBER,
    "at_hash": streams.CHECKPOINT_HASH,
    "at_count": streams.CHECKPOINT_COUNT,
    "at_epoch": streams.CHECKPOINT_EPOCH,
    "at_build": streams.CHECKPOINT_BUILD,
}

# KEYS: 1 output stream, 2 checkpoint, 3 epoch, 4 input stream.
# ARGV: 1 epoch, 2 `in` before, 3 count before; afterwards: 4 `in`, 5 n, 6 h, 7 count, 8 build; then id and entry of
# each output.
#
# Lua runs alone, and the append-only file gets what it wrote as one transaction: all or nothing, at any kill. But a
# script is not rolled back when one of its commands fails, so everything is checked before the first write; the ids
# of a batch rise, so if the first can be added, all can.
#
# The input is whole if nothing was removed that was not applied (trimming removes from the head), and if the count is
# exact whenever the new position is the stream's end.
PUBLISH: Final = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 'FENCED' end
if (redis.call('HGET', KEYS[2], '%(at_in)s') or '0-0') ~= ARGV[2] then return 'MOVED' end

local input = {['length'] = 0, ['entries-added'] = 0, ['last-generated-id'] = '0-0'}
local facts = redis.pcall('XINFO', 'STREAM', KEYS[4])
if not facts.err then
  for i = 1, #facts, 2 do input[facts[i]] = facts[i + 1] end
end
local added, count = input['entries-added'], tonumber(ARGV[7])
if added - input['length'] > tonumber(ARGV[3]) or added < count
    or (input['last-generated-id'] == ARGV[4] and added ~= count) then
  return 'INPUT_GAP'
end

for i = 9, #ARGV, 2 do
  local added_id = redis.pcall('XADD', KEYS[1], ARGV[i], '%(output)s', ARGV[i + 1])
  if type(added_id) == 'table' and added_id.err then
    if string.find(added_id.err, 'equal or smaller', 1, true) then return 'OUTPUT_AHEAD' end
    return redis.error_reply(added_id.err)
  end
end

redis.call('HSET', KEYS[2], '%(at_in)s', ARGV[4], '%(at_number)s', ARGV[5], '%(at_hash)s', ARGV[6],
  '%(at_count)s', ARGV[7], '%(at_epoch)s', ARGV[1], '%(at_build)s', ARGV[8])
return 'DONE'
""" % {name: field.decode() for name, field in _FIELDS.items()}


def publish_arguments(batch: Batch) -> list[Argument]:
    """Return the script's arguments for a batch."""
    before, after = batch.before, batch.after
    arguments: list[Argument] = [
        batch.epoch,
        text_from_entry_id(before.entry_id),
        before.applied,
        text_from_entry_id(after.entry_id),
        after.number,
        after.chain,
        after.applied,
        batch.build,
    ]
    for output in batch.outputs:
        arguments += (text_from_entry_id(output.entry_id), output_entry.pack(output.entry()))
    return arguments


def published_from(reply: object) -> Published:
    """Return what the script's answer means."""
    if not isinstance(reply, bytes):
        raise TypeError(f"expected a name from the publish script, found {reply!r}")
    return Published[reply.decode()]
