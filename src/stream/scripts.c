#include "stream/scripts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "stream/redis_reply.h"
#include "stream/stream_monitor.h"
#include <openssl/evp.h>

#define GROUPS_LIMIT "16"
_Static_assert(STREAM_GROUPS_MAX == 16, "GROUPS_LIMIT says the same");
#define COUNT_LIMIT "10000" /* entries that one call counts one by one */

/*
 * What Redis says about the stream; false where the key is gone. A wrong type is passed on as an error.
 */
#define LUA_LAST_ID                                                                                \
    "local function last_id(key)\n"                                                                \
    "  local info = redis.pcall('XINFO', 'STREAM', key)\n"                                         \
    "  if info.err then\n"                                                                         \
    "    if string.find(info.err, 'no such key', 1, true) then return false end\n"                 \
    "    error(info.err)\n"                                                                        \
    "  end\n"                                                                                      \
    "  for i = 1, #info, 2 do\n"                                                                   \
    "    if info[i] == 'last-generated-id' then return info[i + 1] end\n"                          \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function same(found, expected) return (found or '') == expected end\n"

/* A group from the first entry on. ENTRIESREAD (Redis 7) keeps its lag known (docs/delivery.md);
 * REDIS_VERSION_NUM exists from 7.0 on. Someone else having created it is success, and is looked at
 * first: a full Redis refuses XGROUP CREATE before it sees that nothing is to be done, and the readers
 * that could empty it would wait for ever. */
#define LUA_CREATE_GROUP                                                                           \
    "local function create_group(key, group)\n"                                                    \
    "  local groups = redis.pcall('XINFO', 'GROUPS', key)\n"                                       \
    "  for i = 1, #groups do\n"                                                                    \
    "    for j = 1, #groups[i], 2 do\n"                                                            \
    "      if groups[i][j] == 'name' and groups[i][j + 1] == group then return nil, false end\n"   \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  local made\n"                                                                               \
    "  if redis.REDIS_VERSION_NUM and redis.REDIS_VERSION_NUM >= 0x00070000 then\n"                \
    "    made = redis.pcall('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM', 'ENTRIESREAD', "      \
    "'0')\n"                                                                                       \
    "  else\n"                                                                                     \
    "    made = redis.pcall('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM')\n"                    \
    "  end\n"                                                                                      \
    "  if not made.err then return nil, true end\n"                                                \
    "  if string.find(made.err, 'BUSYGROUP', 1, true) then return nil, false end\n"                \
    "  return made\n"                                                                              \
    "end\n"

/* Order of two entry IDs. Their parts exceed what a Lua number holds exactly: compared as text. */
#define LUA_COMPARE                                                                                \
    "local function less_number(a, b)\n"                                                           \
    "  if #a ~= #b then return #a < #b end\n"                                                      \
    "  return a < b\n"                                                                             \
    "end\n"                                                                                        \
    "local function less(a, b)\n"                                                                  \
    "  local am, as = string.match(a, '^(%d+)-(%d+)$')\n"                                          \
    "  local bm, bs = string.match(b, '^(%d+)-(%d+)$')\n"                                          \
    "  if am ~= bm then return less_number(am, bm) end\n"                                          \
    "  return less_number(as, bs)\n"                                                               \
    "end\n"

/* A reply of names and values by name. */
#define LUA_FIELDS                                                                                 \
    "local function fields(list)\n"                                                                \
    "  local map = {}\n"                                                                           \
    "  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end\n"                                    \
    "  return map\n"                                                                               \
    "end\n"

/*
 * What a group has not been given yet. Lag can be null, or 0 and wrong (docs/delivery.md), so it is believed only where it
 * can be true; else entries after the last delivered are counted, up to `limit`.
 *   ->  count, lag is known, count is exact
 */
#define LUA_UNDELIVERED                                                                            \
    "local function undelivered_of(key, group, length, first, last, limit)\n"                      \
    "  local delivered, lag = group['last-delivered-id'], tonumber(group.lag or -1)\n"             \
    "  if not less(delivered, last) then return 0, lag == 0, true end\n"                           \
    "  if less(delivered, first) then return length, lag == length, true end\n"                    \
    "  if lag > limit and lag <= length then return lag, true, true end\n"                         \
    "  local after = #redis.call('XRANGE', key, '(' .. delivered, '+', 'COUNT', limit)\n"          \
    "  return after, lag == after, after < limit\n"                                                \
    "end\n"

/*
 * The committed mark of the groups that count (all, or the wanted ones), all in one moment: read one by one,
 * an entry delivered in between is under no mark at all (docs/delivery.md).
 *   mark: the lowest of (first pending, excluded) and (last delivered, included) -> {id, is_excluded}
 *   nil where no group is there, or a wanted one is missing: then nothing is known to be committed.
 */
#define LUA_MARK                                                                                   \
    "local function committed(key, first_wanted)\n"                                                \
    "  local groups = redis.pcall('XINFO', 'GROUPS', key)\n"                                       \
    "  if groups.err then return nil, {} end\n"                                                    \
    "  local by_name = {}\n"                                                                       \
    "  for i = 1, #groups do\n"                                                                    \
    "    local group = fields(groups[i])\n"                                                        \
    "    by_name[group.name] = group\n"                                                            \
    "  end\n"                                                                                      \
    "  local names = {}\n"                                                                         \
    "  for i = first_wanted, #ARGV do names[#names + 1] = ARGV[i] end\n"                           \
    "  if #names == 0 then for name in pairs(by_name) do names[#names + 1] = name end end\n"       \
    "  local mark, excluded\n"                                                                     \
    "  for i = 1, #names do\n"                                                                     \
    "    local group = by_name[names[i]]\n"                                                        \
    "    if not group then return nil, by_name end\n"                                              \
    "    local id, is_first = group['last-delivered-id'], false\n"                                 \
    "    if tonumber(group.pending) > 0 then\n"                                                    \
    "      local first = redis.call('XPENDING', key, names[i])[2]\n"                               \
    "      if first and not less(id, first) then id, is_first = first, true end\n"                 \
    "    end\n"                                                                                    \
    "    if not mark or less(id, mark) or (id == mark and is_first) then\n"                        \
    "      mark, excluded = id, is_first\n"                                                        \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  if not mark then return nil, by_name end\n"                                                 \
    "  return {mark, excluded}, by_name\n"                                                         \
    "end\n"

/*
 * find: where does the stream stand?
 *   KEYS stream, meta    ->  {last-generated-id | nil, host | nil, epoch | nil, queued | nil, saved | nil,
 *                             postgres_started | nil, rewinds | nil}
 */
static const char find_text[] =
    LUA_LAST_ID "local meta = redis.call('HMGET', KEYS[2], 'host', 'epoch', 'queued', 'saved',\n"
                "                        'postgres_started', 'rewinds')\n"
                "return {last_id(KEYS[1]), unpack(meta)}\n";

/*
 * begin: fixes host, epoch and first mark, only where all is as it was found (docs/delivery.md).
 *   KEYS stream, meta, ledger
 *   ARGV token, found last, found host, found epoch, found queued ('' where nil),
 *        host, epoch, queued, group, start of the PostgreSQL that the mark is from ('': not known)
 *   ->   {1} done (also where this very call had been done before: the token says so)
 *        {0} something else is there by now; nothing written
 *        {-1, why} the epoch or mark would run backwards; nothing written
 * A PostgreSQL that is remembered already stays so: only a rewind puts another in its place.
 * A new epoch is what a refetch (see rewind) asks for, and settles it. `filled_from`: all above it is in the
 * stream, until trimming takes the first of that.
 * What another program had appended before the first epoch was never counted: it counts as received and appended from
 * now on, so that the ledger balances when it is committed. Where more than can be counted is unread, and Redis does not
 * say how much (6.2), the ledger stays as it is.
 * The group comes first: a full Redis refuses it before anything is written. A reader may have created
 * stream and group since it was found missing: nothing was generated in either case.
 */
static const char begin_text[] = LUA_LAST_ID LUA_CREATE_GROUP LUA_COMPARE LUA_FIELDS LUA_UNDELIVERED
    "local meta = redis.call('HMGET', KEYS[2], 'host', 'epoch', 'queued', 'batch', "
    "'postgres_started')\n"
    "local last = last_id(KEYS[1])\n"
    "if meta[4] == ARGV[1] and last then return {1} end\n"
    "local function generated(id) return id and id ~= '' and id ~= '0-0' and id or false end\n"
    "if not (generated(last) == generated(ARGV[2]) and same(meta[1], ARGV[3]) and same(meta[2], "
    "ARGV[4])\n"
    "        and same(meta[3], ARGV[5])) then return {0} end\n"
    "local known = meta[2]\n"
    "if known and less_number(ARGV[7], known) then\n"
    "  return {-1, 'epoch ' .. ARGV[7] .. ' is below the known ' .. known}\n"
    "end\n"
    "if known == ARGV[7] and meta[1] ~= ARGV[6] then\n"
    "  return {-1, 'epoch ' .. known .. ' belongs to ' .. tostring(meta[1])}\n"
    "end\n"
    "if last and less(ARGV[7] .. '-' .. ARGV[8], last) then\n"
    "  return {-1, 'the stream stands at ' .. last .. ', after ' .. ARGV[7] .. '-' .. ARGV[8]}\n"
    "end\n"
    "local refused = create_group(KEYS[1], ARGV[9])\n"
    "if refused then return refused end\n"
    "local function take_over()\n"
    "  local stream, group = fields(redis.call('XINFO', 'STREAM', KEYS[1])), nil\n"
    "  for _, other in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n"
    "    other = fields(other)\n"
    "    if other.name == ARGV[9] then group = other end\n"
    "  end\n"
    "  local first = stream['first-entry'] and stream['first-entry'][1] or '0-0'\n"
    "  local undelivered, _, is_exact = undelivered_of(KEYS[1], group, stream.length, first,\n"
    "                                                  stream['last-generated-id'], " COUNT_LIMIT
    ")\n"
    "  local ledger = redis.pcall('HMGET', KEYS[3], 'appended', 'committed', 'dead')\n"
    "  if ledger.err or not is_exact then return end\n"
    "  local found = undelivered + group.pending + tonumber(ledger[2] or 0)\n"
    "                + tonumber(ledger[3] or 0) - tonumber(ledger[1] or 0)\n"
    "  if found > 0 then\n"
    "    redis.call('HINCRBY', KEYS[3], 'received', found)\n"
    "    redis.call('HINCRBY', KEYS[3], 'appended', found)\n"
    "  end\n"
    "end\n"
    "if not known then take_over() end\n"
    "if ARGV[10] ~= '' and not meta[5] then\n"
    "  redis.call('HSET', KEYS[2], 'postgres_started', ARGV[10])\n"
    "end\n"
    "redis.call('HSET', KEYS[2], 'host', ARGV[6], 'epoch', ARGV[7], 'queued', ARGV[8],\n"
    "           'batch', ARGV[1])\n"
    "if known ~= ARGV[7] then redis.call('HDEL', KEYS[2], 'refetch') end\n"
    "if redis.call('XLEN', KEYS[1]) == 0 then\n"
    "  redis.call('HSET', KEYS[2], 'filled_from', ARGV[7] .. '-' .. ARGV[8])\n"
    "end\n"
    "return {1}\n";

/*
 * append: compare-and-append (docs/delivery.md), all or nothing.
 *   KEYS stream, meta, ledger, dead letters, dead frames, metrics
 *   ARGV 1 token, 2 expected last, 3 host, 4 epoch, 5 expected queued, 6 new queued,
 *        7 duplicate, 8 filtered, 9 ignored, 10 events, 11 dead frames, 12 now (ms), 13 hashes kept,
 *        then per event   type data seq time rev              -> XADD <epoch>-<seq>
 *        then per frame   hash seq origId reason error frame time -> dead letter, once by its hash
 *   ->   {1} stored (also where this very batch was stored before: the token says so)
 *        {0, last, host, epoch, queued} something else is there; nothing written
 * The token outlives a lost reply, so a batch that is sent again counts once. Order matters: a full Redis
 * refuses the first write and nothing after it, and a ledger of a wrong type must not undo the rest.
 */
static const char append_text[] = LUA_LAST_ID
    "local meta = redis.call('HMGET', KEYS[2], 'host', 'epoch', 'queued', 'batch')\n"
    "local last = last_id(KEYS[1])\n"
    "if meta[4] == ARGV[1] and last then return {1} end\n"
    "if last ~= ARGV[2] or meta[1] ~= ARGV[3] or meta[2] ~= ARGV[4] or meta[3] ~= ARGV[5] then\n"
    "  return {0, last, meta[1], meta[2], meta[3]}\n"
    "end\n"
    "local events, frames, at = tonumber(ARGV[10]), tonumber(ARGV[11]), 14\n"
    "local first_frame, dead, repeated = at + events * 5, 0, 0\n"
    "for i = first_frame, first_frame + frames * 7 - 1, 7 do\n"
    "  if redis.call('ZSCORE', KEYS[5], ARGV[i]) then\n"
    "    repeated = repeated + 1\n"
    "  else\n"
    "    redis.call('XADD', KEYS[4], '*', 'type', 'frame', 'data', '{}', 'seq', ARGV[i + 1],\n"
    "               'origId', ARGV[i + 2], 'deliveries', '0', 'reason', ARGV[i + 3],\n"
    "               'error', ARGV[i + 4], 'frame', ARGV[i + 5], 'time', ARGV[i + 6])\n"
    "    redis.call('ZADD', KEYS[5], ARGV[12], ARGV[i])\n"
    "    dead = dead + 1\n"
    "  end\n"
    "end\n"
    "if dead > 0 then\n"
    "  redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -(tonumber(ARGV[13]) + 1))\n"
    "end\n"
    "for i = at, first_frame - 1, 5 do\n"
    "  redis.call('XADD', KEYS[1], ARGV[4] .. '-' .. ARGV[i + 2], 'type', ARGV[i],\n"
    "             'data', ARGV[i + 1], 'seq', ARGV[i + 2], 'time', ARGV[i + 3], 'rev', ARGV[i + "
    "4])\n"
    "end\n"
    "redis.call('HSET', KEYS[2], 'queued', ARGV[6], 'batch', ARGV[1])\n"
    "local duplicate, filtered = tonumber(ARGV[7]) + repeated, tonumber(ARGV[8])\n"
    "local ignored = tonumber(ARGV[9])\n"
    "local function count(name, by)\n"
    "  if by > 0 then redis.pcall('HINCRBY', KEYS[3], name, by) end\n"
    "end\n"
    "count('received', events + dead + duplicate + filtered + ignored)\n"
    "count('appended', events)\n"
    "count('duplicate', duplicate)\n"
    "count('filtered', filtered)\n"
    "count('ignored', ignored)\n"
    "count('dead_frames', dead)\n"
    "if dead > 0 then redis.pcall('HINCRBY', KEYS[6], 'errors', dead) end\n"
    "return {1}\n";

/*
 * group: creates it from the first retained entry on.
 *   KEYS stream, meta   ARGV group   ->  {1 created | 0 it was there, `rewinds`}
 */
static const char group_text[] =
    LUA_CREATE_GROUP "local refused, is_new = create_group(KEYS[1], ARGV[1])\n"
                     "if refused then return refused end\n"
                     "local rewinds = redis.call('HGET', KEYS[2], 'rewinds')\n"
                     "return {is_new and 1 or 0, tonumber(rewinds or 0)}\n";

/*
 * acknowledge: XACK, then the counters, only for what XACK really took (docs/delivery.md).
 *   KEYS stream, ledger, metrics, meta
 *   ARGV 1 group, 2 dead entries, 3 written, 4 unchanged, 5 skipped, 6 dead ops,
 *        7 commits, 8 identities, 9 accounts, 10 syncs, 11 `rewinds` when the batch was read, then the IDs
 *   ->  {taken | -1 the group was set back since, `rewinds`}
 * What was written before the group was set back may have gone with the PostgreSQL that held it, and the same IDs may be
 * pending on somebody else by now: such a call takes nothing.
 * XACK is first and alone: it passes while Redis is full, and what follows a write passes too
 * (docs/delivery.md). A counter of a wrong type must not undo it: pcall. Where another consumer had taken
 * part of the batch, nobody can tell which: the counters get their share. Syncs are in the ledger: the metrics have the
 * fields that other programs know, and no other.
 */
static const char acknowledge_text[] =
    "local rewinds = redis.call('HGET', KEYS[4], 'rewinds') or '0'\n"
    "if rewinds ~= ARGV[11] then return {-1, tonumber(rewinds)} end\n"
    "local taken, count = 0, #ARGV - 11\n"
    "for from = 12, #ARGV, 1000 do\n"
    "  taken = taken + redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, from,\n"
    "                             math.min(from + 999, #ARGV)))\n"
    "end\n"
    "local answer = {taken, tonumber(rewinds)}\n"
    "if taken == 0 then return answer end\n"
    "local function share(i) return math.floor(tonumber(ARGV[i]) * taken / count) end\n"
    "local function add(key, name, by)\n"
    "  if by > 0 then redis.pcall('HINCRBY', key, name, by) end\n"
    "end\n"
    "add(KEYS[2], 'committed', taken - share(2))\n"
    "add(KEYS[2], 'dead', share(2))\n"
    "add(KEYS[2], 'ops_written', share(3))\n"
    "add(KEYS[2], 'ops_unchanged', share(4))\n"
    "add(KEYS[2], 'ops_skipped', share(5))\n"
    "add(KEYS[2], 'ops_dead', share(6))\n"
    "add(KEYS[2], 'syncs', share(10))\n"
    "add(KEYS[3], 'totalEvents', taken)\n"
    "add(KEYS[3], '#commit', share(7))\n"
    "add(KEYS[3], '#identity', share(8))\n"
    "add(KEYS[3], '#account', share(9))\n"
    "add(KEYS[3], 'errors', share(6))\n"
    "return answer\n";

/*
 * heartbeat: the batch stays ours, only as far as it still is (docs/delivery.md: unchecked it steals back).
 *   KEYS stream   ARGV group, consumer, first ID, last ID, limit   ->  how many are still ours
 * JUSTID keeps the delivery count as it is.
 */
static const char heartbeat_text[] =
    "local ours = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[2])\n"
    "for from = 1, #ours, 1000 do\n"
    "  local claim = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0'}\n"
    "  for i = from, math.min(from + 999, #ours) do claim[#claim + 1] = ours[i][1] end\n"
    "  claim[#claim + 1] = 'JUSTID'\n"
    "  redis.call(unpack(claim))\n"
    "end\n"
    "return #ours\n";

/*
 * leave: deletes the consumer only where nothing is pending on it: what is, would never be
 * delivered again (docs/delivery.md).
 *   KEYS stream   ARGV group, consumer   ->  1 deleted, 0 kept
 */
static const char leave_text[] =
    "local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', '1', ARGV[2])\n"
    "if pending.err then return 0 end\n"
    "if #pending > 0 then return 0 end\n"
    "redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])\n"
    "return 1\n";

/*
 * depth: everything about the stream at one moment.
 *   KEYS stream, dead letters, ledger, metrics, meta
 *   ARGV group, count limit, mark that PostgreSQL has confirmed since the last look ('': none),
 *        `rewinds` as it was when that save was made, wanted groups...
 *   ->  { 1 length, 2 first ID, 3 last-generated ID, 4 mark | nil, 5 mark is excluded (1/0),
 *         6 pending, 7 undelivered, 8 undelivered is exact (1/0), 9 lag is known (1/0),
 *         10 idle ms of the oldest pending, 11 dead letters,
 *         12 ledger (in the order of struct stream_ledger), 13 metrics (by type),
 *         14 {host, epoch, queued, saved, refetch, again_to, rewinds, postgres_started} of the meta hash, of the
 *            same moment as the last ID,
 *         15 {{name, is behind (1/0), ms since any of its consumers asked | -1}...} of the other groups
 *            that hold trimming back, a wanted one that is missing too,
 *         16 `time` of the oldest entry that our group has not acknowledged ('': none, or not known) }
 * The confirmed mark raises `saved`, unless the group was set back since; a full Redis may refuse that, it
 * only costs a finer memory.
 * What is beyond the count limit is known by the ledger. Where there is no group yet, every entry lies before it, and that
 * is known.
 */
static const char depth_text[] = LUA_COMPARE LUA_FIELDS LUA_UNDELIVERED LUA_MARK
    "local length = redis.call('XLEN', KEYS[1])\n"
    "local dead = redis.call('XLEN', KEYS[2])\n"
    "local first, last = '0-0', '0-0'\n"
    "local info = redis.pcall('XINFO', 'STREAM', KEYS[1])\n"
    "if not info.err then\n"
    "  local stream = fields(info)\n"
    "  last = stream['last-generated-id']\n"
    "  if stream['first-entry'] then first = stream['first-entry'][1] end\n"
    "end\n"
    "local saved = redis.call('HGET', KEYS[5], 'saved')\n"
    "local is_of_now = (redis.call('HGET', KEYS[5], 'rewinds') or '0') == ARGV[4]\n"
    "if ARGV[3] ~= '' and is_of_now and (not saved or less(saved, ARGV[3])) then\n"
    "  redis.pcall('HSET', KEYS[5], 'saved', ARGV[3])\n"
    "end\n"
    "local mark, groups = committed(KEYS[1], 5)\n"
    "local group = groups[ARGV[1]]\n"
    "local pending, undelivered, exact, known, idle, waiting = 0, length, 1, 1, 0, ''\n"
    "local function event_time(from)\n"
    "  local entry = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)[1]\n"
    "  return entry and fields(entry[2]).time or ''\n"
    "end\n"
    "if group then\n"
    "  pending = tonumber(group.pending)\n"
    "  local is_known, is_exact\n"
    "  undelivered, is_known, is_exact =\n"
    "    undelivered_of(KEYS[1], group, length, first, last, tonumber(ARGV[2]))\n"
    "  known, exact = is_known and 1 or 0, is_exact and 1 or 0\n"
    "  if not is_exact then\n"
    "    local ledger = redis.call('HMGET', KEYS[3], 'appended', 'committed', 'dead')\n"
    "    local counted = tonumber(ledger[1] or 0) - tonumber(ledger[2] or 0)\n"
    "                    - tonumber(ledger[3] or 0) - pending\n"
    "    undelivered = math.max(undelivered, math.min(counted, length))\n"
    "  end\n"
    "  if pending > 0 then\n"
    "    local oldest = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', '1')\n"
    "    if oldest[1] then idle, waiting = oldest[1][3], event_time(oldest[1][1]) end\n"
    "  elseif undelivered > 0 then\n"
    "    waiting = event_time('(' .. group['last-delivered-id'])\n"
    "  end\n"
    "end\n"
    "local others = {}\n"
    "local function note(name)\n"
    "  if name == ARGV[1] or #others >= " GROUPS_LIMIT " then return end\n"
    "  local other = groups[name]\n"
    "  local behind = not other or less(other['last-delivered-id'], last)\n"
    "                 or tonumber(other.pending) > 0\n"
    "  local idle = -1\n"
    "  if behind and other then\n"
    "    local consumers = redis.call('XINFO', 'CONSUMERS', KEYS[1], name)\n"
    "    for i = 1, #consumers do\n"
    "      local since = tonumber(fields(consumers[i]).idle)\n"
    "      if idle < 0 or since < idle then idle = since end\n"
    "    end\n"
    "  end\n"
    "  others[#others + 1] = {name, behind and 1 or 0, idle}\n"
    "end\n"
    "if ARGV[5] then\n"
    "  for i = 5, #ARGV do note(ARGV[i]) end\n"
    "else\n"
    "  for name in pairs(groups) do note(name) end\n"
    "end\n"
    "return {length, first, last, mark and mark[1] or false, mark and mark[2] and 1 or 0, "
    "pending,\n"
    "        undelivered, exact, known, idle, dead,\n"
    "        redis.call('HMGET', KEYS[3], 'received', 'appended', 'duplicate', 'filtered', "
    "'ignored',\n"
    "                   'dead_frames', 'committed', 'dead', 'ops_written', 'ops_unchanged',\n"
    "                   'ops_skipped', 'ops_dead', 'syncs'),\n"
    "        redis.call('HMGET', KEYS[4], '#commit', '#identity', '#account'),\n"
    "        redis.call('HMGET', KEYS[5], 'host', 'epoch', 'queued', 'saved', 'refetch', "
    "'again_to', 'rewinds', 'postgres_started'), others, waiting}\n";

/*
 * sweep: consumers of processes that never came back under their name (a pod that was renamed) are deleted,
 * only where nothing is pending on them: what is, is claimed first.
 *   KEYS stream   ARGV group, ms since it asked last, limit a call   ->  how many were deleted
 */
static const char sweep_text[] =
    "local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])\n"
    "if consumers.err then return 0 end\n"
    "local deleted = 0\n"
    "for i = 1, #consumers do\n"
    "  local consumer = {}\n"
    "  for j = 1, #consumers[i], 2 do consumer[consumers[i][j]] = consumers[i][j + 1] end\n"
    "  if tonumber(consumer.pending) == 0 and tonumber(consumer.idle) >= tonumber(ARGV[2])\n"
    "     and deleted < tonumber(ARGV[3]) then\n"
    "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)\n"
    "    deleted = deleted + 1\n"
    "  end\n"
    "end\n"
    "return deleted\n";

/*
 * trim: removes whole nodes of entries that every group that counts has acknowledged. Mark and XTRIM are
 * one moment, so a group that appears in between loses nothing. XTRIM passes while Redis is full.
 * The entry that the mark saved in PostgreSQL stands on stays, and all after it: whenever PostgreSQL comes back with that
 * mark, the group can be set back to it. Only a Redis that is nearly full does without.
 *   KEYS stream, meta   ARGV entries to keep, limit a call, memory is short (1 or 0), wanted groups...
 *   ->  {removed, length}
 */
static const char trim_text[] = LUA_COMPARE LUA_FIELDS LUA_MARK
    "local length = redis.call('XLEN', KEYS[1])\n"
    "local excess = math.min(length - tonumber(ARGV[1]), tonumber(ARGV[2]))\n"
    "if excess <= 0 then return {0, length} end\n"
    "local mark = committed(KEYS[1], 4)\n"
    "if not mark then return {0, length} end\n"
    "local below = mark[1]\n"
    "if mark[1] == '0-0' then return {0, length} end\n"
    "local saved = redis.call('HGET', KEYS[2], 'saved')\n"
    "if saved and ARGV[3] == '0' and less(saved, below) then\n"
    "  local kept = redis.call('XREVRANGE', KEYS[1], saved, '-', 'COUNT', '1')\n"
    "  if #kept == 0 then return {0, length} end\n"
    "  below = kept[1][1]\n"
    "end\n"
    "local removed = redis.call('XTRIM', KEYS[1], 'MINID', '~', below, 'LIMIT', excess)\n"
    "if removed > 0 then redis.call('HDEL', KEYS[2], 'filled_from') end\n"
    "return {removed, length - removed}\n";

/*
 * rewind: PostgreSQL went back in time to `target`: the group goes back too, and what is above is
 * delivered again (docs/delivery.md). Once, however many processes have noticed: `rewinds` is compared.
 *   KEYS stream, meta, dead letters
 *   ARGV group, rewinds as they were seen, target, refetch (1: the relay may be asked from target), courier's group,
 *        start of the PostgreSQL that the target is from
 *   ->  {1 done | 0 somebody else did, or there is no group,
 *        1 the stream may not reach back to target | 0, last ID that had been delivered}
 * What is pending is let go, uncounted: it is delivered anew, and a late acknowledgement of what the lost
 * database held takes nothing. Frames among the dead letters are read once more. HSET comes first: a full
 * Redis refuses it before anything is changed. What was counted as committed is taken back by recount.
 */
static const char rewind_text[] = LUA_COMPARE LUA_FIELDS LUA_MARK
    "local meta = redis.call('HMGET', KEYS[2], 'rewinds', 'again_to', 'filled_from')\n"
    "if (meta[1] or '0') ~= ARGV[2] or meta[2] then return {0} end\n"
    "local _, groups = committed(KEYS[1], #ARGV + 1)\n"
    "local group, target = groups[ARGV[1]], ARGV[3]\n"
    "if not group then return {0} end\n"
    "local delivered = group['last-delivered-id']\n"
    "local is_short = 1\n"
    "if meta[3] and not less(target, meta[3]) then is_short = 0 end\n"
    "if #redis.call('XRANGE', KEYS[1], '-', target, 'COUNT', '1') > 0 then is_short = 0 end\n"
    "redis.call('HSET', KEYS[2], 'saved', target, 'rewinds', tonumber(ARGV[2]) + 1,\n"
    "           'postgres_started', ARGV[6])\n"
    "if is_short == 1 and ARGV[4] == '1' and less(target, delivered) then\n"
    "  redis.call('HSET', KEYS[2], 'refetch', target)\n"
    "end\n"
    "local let_go, from = 0, target\n"
    "repeat\n"
    "  local some = redis.call('XPENDING', KEYS[1], ARGV[1], '(' .. from, '+', '1000')\n"
    "  if #some > 0 then\n"
    "    local ids = {}\n"
    "    for i = 1, #some do ids[i] = some[i][1] end\n"
    "    from, let_go = ids[#ids], let_go + #ids\n"
    "    redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))\n"
    "  end\n"
    "until #some < 1000\n"
    "redis.pcall('XGROUP', 'SETID', KEYS[3], ARGV[5], '0')\n"
    "if less(target, delivered) then\n"
    "  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], target)\n"
    "  redis.call('HSET', KEYS[2], 'again_from', target, 'again_to', delivered,\n"
    "             'again_count', -let_go)\n"
    "end\n"
    "return {1, is_short, delivered}\n";

/*
 * recount: the entries that a rewind delivers again are no longer committed; they are counted some at a
 * time, so that Redis is never held up for long, and by whoever looks. Trimming cannot take them meanwhile.
 *   KEYS stream, meta, ledger   ARGV limit   ->  {1 all are counted | 0 there are more}
 */
static const char recount_text[] =
    "local meta = redis.call('HMGET', KEYS[2], 'again_from', 'again_to', 'again_count')\n"
    "local from, to, count = meta[1], meta[2], tonumber(meta[3] or 0)\n"
    "if not to then return {1} end\n"
    "local left, is_end = tonumber(ARGV[1]), false\n"
    "while left > 0 and not is_end do\n"
    "  local some = redis.call('XRANGE', KEYS[1], '(' .. from, to, 'COUNT', '500')\n"
    "  count, left, is_end = count + #some, left - 500, #some < 500\n"
    "  if #some > 0 then from = some[#some][1] end\n"
    "end\n"
    "redis.call('HSET', KEYS[2], 'again_from', from, 'again_count', count)\n"
    "if not is_end then return {0} end\n"
    "local committed = tonumber(redis.call('HGET', KEYS[3], 'committed') or 0)\n"
    "redis.call('HINCRBY', KEYS[3], 'committed', 0 - math.max(0, math.min(count, committed)))\n"
    "redis.call('HDEL', KEYS[2], 'again_from', 'again_to', 'again_count')\n"
    "return {1}\n";

/*
 * lease: takes it where it is free, renews it where it is ours.
 *   KEYS lease   ARGV token, ms   ->  {1} ours | {0, ms left of the other's}
 */
static const char lease_text[] = "local holder = redis.call('GET', KEYS[1])\n"
                                 "if holder == ARGV[1] then\n"
                                 "  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                                 "  return {1}\n"
                                 "end\n"
                                 "if holder then return {0, redis.call('PTTL', KEYS[1])} end\n"
                                 "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
                                 "return {1}\n";

/*
 * release: gives the lease back where it is ours.
 *   KEYS lease   ARGV token   ->  1 released, 0 it was not ours
 */
static const char release_text[] = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                                   "return redis.call('DEL', KEYS[1])\n";

static struct script scripts[SCRIPT_COUNT] = {
    [SCRIPT_FIND] = {.text = {find_text, sizeof(find_text) - 1}},
    [SCRIPT_BEGIN] = {.text = {begin_text, sizeof(begin_text) - 1}},
    [SCRIPT_APPEND] = {.text = {append_text, sizeof(append_text) - 1}},
    [SCRIPT_GROUP] = {.text = {group_text, sizeof(group_text) - 1}},
    [SCRIPT_ACKNOWLEDGE] = {.text = {acknowledge_text, sizeof(acknowledge_text) - 1}},
    [SCRIPT_HEARTBEAT] = {.text = {heartbeat_text, sizeof(heartbeat_text) - 1}},
    [SCRIPT_LEAVE] = {.text = {leave_text, sizeof(leave_text) - 1}},
    [SCRIPT_DEPTH] = {.text = {depth_text, sizeof(depth_text) - 1}},
    [SCRIPT_SWEEP] = {.text = {sweep_text, sizeof(sweep_text) - 1}},
    [SCRIPT_TRIM] = {.text = {trim_text, sizeof(trim_text) - 1}},
    [SCRIPT_REWIND] = {.text = {rewind_text, sizeof(rewind_text) - 1}},
    [SCRIPT_RECOUNT] = {.text = {recount_text, sizeof(recount_text) - 1}},
    [SCRIPT_LEASE] = {.text = {lease_text, sizeof(lease_text) - 1}},
    [SCRIPT_RELEASE] = {.text = {release_text, sizeof(release_text) - 1}},
};

static void name_scripts(void)
{
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        struct slice text = scripts[i].text;
        ASSERT(EVP_Digest(text.data, text.size, digest, &size, EVP_sha1(), NULL) == 1);
        for (unsigned at = 0; at < size; at++) {
            (void)snprintf(scripts[i].sha1 + (size_t)2 * at, 3, "%02x", digest[at]);
        }
    }
}

const struct script *script_get(enum script_name name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(pthread_once(&once, name_scripts) == 0);
    return &scripts[name];
}
