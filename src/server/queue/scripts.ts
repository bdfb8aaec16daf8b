// The operations on the replicas' shared state, as Lua scripts that Redis runs atomically. P is the prefix of all keys:
//   r:ID      a request: payload, kind, key, front, keep, deadline, ttl, state (waiting, running, over), owner, ticket, attempts, failed
//   e:ID      its events, numbered from 0: e is an event, x an error, c the code of an error
//   turns:K   for a kind K (text, draw) API keys with waiting requests, in the order of their turns;  w:K:KEY  their requests in order
//   tickets   the request of each BullMQ job
//   open      open requests by deadline
//   answered  total answered requests by kind
//   replicas  by the time when they count as dead;  slots  concurrent requests of each
//   a:NAME    the answer for an Idempotency-Key: fingerprint, state (writing, kept), front, token;  p:TOKEN  its parts
//   kept, sizes, keptBytes   kept answers by expiry time, and their sizes

const common = `
local P = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function get(id, ...) return redis.call('HMGET', P .. 'r:' .. id, ...) end
local function alive(name)
  local expires = redis.call('ZSCORE', P .. 'replicas', name)
  return expires and tonumber(expires) > now
end
-- Nothing is left of a request but its events, for a while.
local function over(id)
  local h = get(id, 'ticket', 'ttl')
  if h[1] then redis.call('HDEL', P .. 'tickets', h[1]) end
  redis.call('ZREM', P .. 'open', id)
  redis.call('HSET', P .. 'r:' .. id, 'state', 'over')
  redis.call('HDEL', P .. 'r:' .. id, 'payload')
  redis.call('PEXPIRE', P .. 'r:' .. id, h[2])
  redis.call('PEXPIRE', P .. 'e:' .. id, h[2])
end
local function add(id, field, value)
  local h = get(id, 'deadline', 'ttl')
  redis.call('XADD', P .. 'e:' .. id, '*', 'i', redis.call('XLEN', P .. 'e:' .. id), field, value)
  redis.call('PEXPIREAT', P .. 'e:' .. id, h[1] + h[2])
end
local function fail(id, field, value)
  add(id, field, value)
  redis.call('HSET', P .. 'r:' .. id, 'failed', 1)
  over(id)
end
-- Takes a request out of those that wait. Whether it was there.
local function withdraw(id)
  local h = get(id, 'kind', 'key')
  if not h[1] then return false end
  local list = P .. 'w:' .. h[1] .. ':' .. h[2]
  if redis.call('LREM', list, 1, id) == 0 then return false end
  if redis.call('LLEN', list) == 0 then redis.call('LREM', P .. 'turns:' .. h[1], 1, h[2]) end
  return true
end
local function slots()
  local sum = 0
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'replicas', now, '+inf')) do
    sum = sum + tonumber(redis.call('HGET', P .. 'slots', name) or 0)
  end
  return sum
end
local function waiting()
  local sum = 0
  for _, kind in ipairs({'text', 'draw'}) do
    for _, key in ipairs(redis.call('LRANGE', P .. 'turns:' .. kind, 0, -1)) do
      sum = sum + redis.call('LLEN', P .. 'w:' .. kind .. ':' .. key)
    end
  end
  return sum
end
-- Whether somebody may still read what comes of a request.
local function wanted(id)
  local h = get(id, 'keep', 'front', 'state')
  return h[3] ~= 'over' and (h[1] == '1' or alive(h[2]))
end
`;

/** The first argument is always the prefix; each script's first line names the others. */
export const scripts = {
  /** Adds a request unless it exists. If too many are open, evicts the newest waiting request of the key with the most. */
  admit: `${common}
local id, kind, key, front, keep, ms, ttl, limit, payload = unpack(ARGV, 2)
local h = get(id, 'state', 'failed')
if h[1] == 'over' and h[2] then
  redis.call('DEL', P .. 'r:' .. id, P .. 'e:' .. id)
elseif h[1] then
  return h[1]
end
for _, late in ipairs(redis.call('ZRANGEBYSCORE', P .. 'open', '-inf', now)) do
  if withdraw(late) then fail(late, 'c', 'deadline_exceeded') else redis.call('ZREM', P .. 'open', late) end
end
local deadline = now + ms
redis.call('HSET', P .. 'r:' .. id, 'payload', payload, 'kind', kind, 'key', key, 'front', front, 'keep', keep,
  'deadline', deadline, 'ttl', ttl, 'state', 'waiting', 'attempts', 0)
redis.call('PEXPIREAT', P .. 'r:' .. id, deadline + ttl)
redis.call('ZADD', P .. 'open', deadline, id)
local list = P .. 'w:' .. kind .. ':' .. key
if redis.call('RPUSH', list, id) == 1 then redis.call('RPUSH', P .. 'turns:' .. kind, key) end
if redis.call('ZCARD', P .. 'open') > limit + slots() then
  local largest, most = nil, 0
  for _, k in ipairs({'text', 'draw'}) do
    for _, other in ipairs(redis.call('LRANGE', P .. 'turns:' .. k, 0, -1)) do
      local length = redis.call('LLEN', P .. 'w:' .. k .. ':' .. other)
      if length > most or (length == most and other == key) then
        largest, most = P .. 'w:' .. k .. ':' .. other, length
      end
    end
  end
  local victim = redis.call('LINDEX', largest, -1)
  withdraw(victim)
  fail(victim, 'c', 'queue_full')
end
return 'waiting'`,

  /** Assigns a request to a ticket: the same one as before if its replica has died, otherwise the next in turn. */
  take: `${common}
local kind, ticket, owner, most = unpack(ARGV, 2)
local function refuse(id)
  if tonumber(get(id, 'deadline')[1] or 0) <= now then fail(id, 'c', 'deadline_exceeded') else fail(id, 'c', 'worker_died') end
end
local function isDue(id) return wanted(id) and tonumber(get(id, 'deadline')[1]) > now end
local id = redis.call('HGET', P .. 'tickets', ticket)
if id then
  if get(id, 'state')[1] ~= 'running' then redis.call('HDEL', P .. 'tickets', ticket) return false end
  if not isDue(id) then refuse(id) return false end
else
  while true do
    local key = redis.call('LPOP', P .. 'turns:' .. kind)
    if not key then return false end
    local list = P .. 'w:' .. kind .. ':' .. key
    id = redis.call('LPOP', list)
    if redis.call('LLEN', list) > 0 then redis.call('RPUSH', P .. 'turns:' .. kind, key) end
    if id and get(id, 'state')[1] == 'waiting' then
      if isDue(id) then break end
      refuse(id)
    end
  end
end
local attempts = redis.call('HINCRBY', P .. 'r:' .. id, 'attempts', 1)
if attempts > tonumber(most) then fail(id, 'c', 'worker_died') return false end
redis.call('HSET', P .. 'r:' .. id, 'state', 'running', 'owner', owner, 'ticket', ticket)
redis.call('HSET', P .. 'tickets', ticket, id)
local h = get(id, 'deadline', 'key', 'front', 'payload')
return {id, attempts, h[1] - now, h[2], h[3], h[4]}`,

  /** Publishes an event (e) or error (x) of the request's owner. Returns 0 if another replica owns it or it is over. */
  publish: `${common}
local id, owner, field, value, isLast = unpack(ARGV, 2)
local h = get(id, 'owner', 'state')
if h[1] ~= owner or h[2] ~= 'running' then return 0 end
if field == 'x' then fail(id, field, value) return 1 end
add(id, field, value)
if isLast == '1' then
  redis.call('HINCRBY', P .. 'answered', get(id, 'kind')[1], 1)
  over(id)
end
return 1`,

  /** Ends a request, waiting or running; a code is sent to its reader. */
  cancel: `${common}
local id, code, onlyWaiting = unpack(ARGV, 2)
local state = get(id, 'state')[1]
if not state or state == 'over' then return 0 end
local was = withdraw(id)
if not was and onlyWaiting == '1' then return 0 end
if code == '' then over(id) else fail(id, 'c', code) end
if not was then redis.call('PUBLISH', P .. 'cancel', id) end
return 1`,

  /** Heartbeat of a replica. Returns the numbers of replicas, slots, and waiting, open and answered requests. */
  beat: `${common}
local name, ms, own = unpack(ARGV, 2)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', P .. 'replicas', '-inf', now)) do
  redis.call('ZREM', P .. 'replicas', dead)
  redis.call('HDEL', P .. 'slots', dead)
end
redis.call('ZADD', P .. 'replicas', now + ms, name)
redis.call('HSET', P .. 'slots', name, own)
local answered = redis.call('HMGET', P .. 'answered', 'text', 'draw')
return {redis.call('ZCARD', P .. 'replicas'), slots(), waiting(), redis.call('ZCARD', P .. 'open'),
  tonumber(answered[1] or 0), tonumber(answered[2] or 0)}`,

  leave: `${common}
redis.call('ZREM', P .. 'replicas', ARGV[2])
return redis.call('HDEL', P .. 'slots', ARGV[2])`,

  /** Whether an owner should continue a request. */
  wanted: `${common}
local id, owner = unpack(ARGV, 2)
return get(id, 'owner')[1] == owner and get(id, 'state')[1] == 'running' and wanted(id) and 1 or 0`,

  /** Claims an answer: returns "first", "other", or the token under which it is or was written. */
  claim: `${common}
local name, fingerprint, front, token, ms = unpack(ARGV, 2)
local k = P .. 'a:' .. name
local h = redis.call('HMGET', k, 'fingerprint', 'state', 'front', 'token')
if h[1] then
  if h[1] ~= fingerprint then return 'other' end
  if h[2] == 'kept' or alive(h[3]) then return h[4] end
  redis.call('DEL', P .. 'p:' .. h[4])
end
redis.call('HSET', k, 'fingerprint', fingerprint, 'state', 'writing', 'front', front, 'token', token)
redis.call('PEXPIRE', k, ms)
return 'first'`,

  /** Whether an answer exists or is being written. */
  isWritten: `${common}
local name, token = unpack(ARGV, 2)
local h = redis.call('HMGET', P .. 'a:' .. name, 'token', 'state', 'front')
return h[1] == token and (h[2] == 'kept' or alive(h[3])) and 1 or 0`,

  /** Finishes an answer: keeps it for so many milliseconds, evicting the oldest, or forgets it if 0. */
  endAnswer: `${common}
local name, token, bytes, ms, most = unpack(ARGV, 2)
local k, p = P .. 'a:' .. name, P .. 'p:' .. token
redis.call('XADD', p, '*', 'end', 1)
local isOwn = redis.call('HGET', k, 'token') == token
if not isOwn or tonumber(ms) == 0 then
  if isOwn then redis.call('DEL', k) end
  redis.call('PEXPIRE', p, 60000)
  return 0
end
redis.call('HSET', k, 'state', 'kept')
redis.call('PEXPIRE', k, ms)
redis.call('PEXPIRE', p, ms)
redis.call('ZADD', P .. 'kept', now + ms, name)
redis.call('HSET', P .. 'sizes', name, bytes)
local total = redis.call('INCRBY', P .. 'keptBytes', bytes)
while true do
  local first = redis.call('ZRANGE', P .. 'kept', 0, 0, 'WITHSCORES')
  if not first[1] or (tonumber(first[2]) > now and total <= tonumber(most)) then return 1 end
  local old = redis.call('HGET', P .. 'a:' .. first[1], 'token')
  if old then redis.call('DEL', P .. 'a:' .. first[1], P .. 'p:' .. old) end
  total = redis.call('INCRBY', P .. 'keptBytes', -tonumber(redis.call('HGET', P .. 'sizes', first[1]) or 0))
  redis.call('ZREM', P .. 'kept', first[1])
  redis.call('HDEL', P .. 'sizes', first[1])
end`,
} as const;

export type ScriptName = keyof typeof scripts;
