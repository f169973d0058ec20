#!/bin/bash
# Finding: npm redis-dump 0.1.10 --json writes the scores of a sorted set as whole numbers (1.5 as 1, 0.9 as 0, 1e+21 as 1, inf as null), with exit status 0; its default format has them right, and so it is a dump of the same keys that restores another order.
#
# One would guess: both formats hold the same, as one is made for the other (--convert makes commands of the JSON), scores are
#   doubles, and JSON has those; what JSON has not (inf) is written as a string or is an error.
# What it means: after a restore from such a backup ranks are mixed up (0.3 and 0.9 are equal), times with a fraction of a
#   second are cut, weights between 0 and 1 are all 0, and what had a score of 1e+21 is among the smallest. Scores that are
#   whole numbers below 1e+21 are right, which is what a test has. A set with an infinite score cannot be restored at all:
#   ZADD refuses null, and with it the other members of that command. Use the default format, redis-cli --rdb, or DUMP and
#   RESTORE.
# Seen with: node 20.20.2, redis-server 5:7.0.15-1~deb12u10. Stored: 1.5, 0.9, 2, 1e21, inf; in the JSON: 1, 0, 2, 1, null;
#   default format: '1.5', '0.90000000000000002', 2, '1e+21', inf. After --convert and a restore of the finite ones the order
#   is b a d c, not b a c d. Needs: Debian 12 (amd64 or arm64), node 18 or later, npm, apt-get.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its redis-server 7.0"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || fail "needs node 18 or later"
dir=$(mktemp -d) || fail "no temporary folder"
redis=
trap '[ -z "$redis" ] || { kill $redis; wait $redis; }; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent redis-dump@0.1.10 >npm.log 2>&1 ||
	fail "npm install failed: $(tail -n 3 npm.log)"
timeout 500 apt-get -o Acquire::Retries=3 download -q redis-tools=5:7.0.15-1~deb12u10 liblzf1 libjemalloc2 >apt.log 2>&1 ||
	fail "apt-get download failed (redis-tools 5:7.0.15-1~deb12u10 is needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
# The server is redis-check-rdb: Debian's package has one program under three names.
ln -s redis-check-rdb files/usr/bin/redis-server 2>/dev/null
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*)
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
files/usr/bin/redis-server --bind 127.0.0.1 --port "$port" --save '' --dir "$dir" >redis.log 2>&1 &
redis=$!
ask() { files/usr/bin/redis-cli -p "$port" "$@"; }
for ((i = 0; i < 300; i++)); do [ "$(ask PING 2>/dev/null)" = PONG ] && break; sleep 0.2; done
ask ZADD scores 1.5 a 0.9 b 2 c 1e21 d >ask.log
order=$(ask ZRANGE scores 0 -1 | tr '\n' ' ')
dump() { timeout 100 node --no-deprecation node_modules/redis-dump/bin/cli/redis-dump -h 127.0.0.1 -p "$port" "$@"; }
dump --json >finite.json 2>json.log || fail "redis-dump failed: $(tail -n 3 json.log)"
ask ZADD scores inf e >>ask.log
echo "stored: $(ask ZRANGE scores 0 -1 WITHSCORES | tr '\n' ' ')"
dump --json >dump.json 2>json.log || fail "redis-dump failed: $(tail -n 3 json.log)"
dump >dump.txt 2>text.log
cat dump.json
grep ZADD dump.txt
ask DEL scores >>ask.log
dump --convert <finite.json 2>convert.log | ask >>ask.log
restored=$(ask ZRANGE scores 0 -1 | tr '\n' ' ')
echo "order: $order restored: $restored"
cat >see.cjs <<'END'
const { readFileSync } = require('fs')
const keys = JSON.parse(readFileSync('dump.json', 'utf8'))
const scores = Object.fromEntries((keys.scores?.value ?? []).map(([score, member]) => [member, score]))
const text = readFileSync('dump.txt', 'utf8')
const stated = JSON.stringify(Object.entries(scores).sort()) == '[["a",1],["b",0],["c",2],["d",1],["e",null]]' &&
	['1.5', '0.9', '1e+21', 'inf'].every(score => text.includes(score)) &&
	process.argv[2] == 'b a c d ' && process.argv[3] == 'b a d c '
console.log(stated ? 'as stated: the JSON has other scores' : 'not as stated')
process.exit(stated ? 0 : 1)
END
timeout 60 node see.cjs "$order" "$restored"
