-- Merges entries into what is stored, or removes them, and tells the feed of it.
-- Running it again with the same arguments changes nothing but the feed.
--
-- KEYS[1] is the feed, KEYS[2] and on the names of the entries.
-- ARGV[1] is how many changes the feed keeps, ARGV[2] a nonce. Then four for each entry:
--   "e" to merge it, "r" to remove it;
--   its record (see record.go), or its key;
--   its expiry in Unix seconds;
--   the seconds until then by the clock of the writer.
--
-- Strings are compared byte by byte: Lua's own < follows the server's locale.

local function greater(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x > y
    end
  end
  return #a > #b
end

local function tell(kind, content)
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'c', kind .. ARGV[2] .. content)
end

-- The clock is read once. An entry stays until it has expired by this clock and by
-- the writer's, whichever is later.
local now = tonumber(redis.call('TIME')[1])

if redis.call('EXISTS', KEYS[1]) == 0 then
  tell('b', '')
end

for i = 2, #KEYS do
  local at = 4 * (i - 2) + 2
  local kind, content = ARGV[at + 1], ARGV[at + 2]
  if kind == 'r' then
    redis.call('DEL', KEYS[i])
  else
    local life = math.max(1, tonumber(ARGV[at + 3]) - now, tonumber(ARGV[at + 4]))
    local stored = redis.call('GET', KEYS[i])
    if stored and stored ~= content then
      if string.byte(stored, 1) ~= string.byte(content, 1) then
        return redis.error_reply('ERR the stored record is of another version')
      end
      local expiry, rank = string.sub(stored, 2, 5), string.sub(stored, 6)
      if greater(string.sub(content, 2, 5), expiry) then
        expiry = string.sub(content, 2, 5)
      end
      if greater(string.sub(content, 6), rank) then
        rank = string.sub(content, 6)
      end
      content = string.sub(content, 1, 1) .. expiry .. rank
    end
    if stored and redis.call('PTTL', KEYS[i]) >= life * 1000 then
      redis.call('SET', KEYS[i], content, 'KEEPTTL')
    else
      redis.call('SET', KEYS[i], content, 'EX', life)
    end
  end
  tell(kind, content)
end

return redis.status_reply('OK')
