#!/bin/bash
# Finding: npm parse-prometheus-text-format 1.1.1 makes one entry of all histograms (and summaries) of a name when they have labels: the buckets of the last one win, and labels, sum and count are gone; without labels, and for counters and gauges with labels, it is right.
#
# One would guess: one entry for each set of labels other than le and quantile, as the parser has it for counters and gauges;
#   the text holds the label sets in full, one line each, and the shape that comes out has room for labels, sum and count
#   beside the buckets.
# What it means: a dashboard, a test or an alert that reads an exporter with it shows the durations of the route or host that
#   happens to be printed last, as though they were all; no rate or mean can be made, as sum and count are undefined. Each
#   histogram of an HTTP middleware has labels, while the ones in examples and unit tests have none, where all is right.
#   Counters from the same text are right, so the error looks like one of the exporter. Read the lines <name>_bucket, _sum and
#   _count oneself, or leave the TYPE line of histograms out of the text: the parser then takes each line as a value of its
#   own.
# Seen with: node 20.20.2, npm prom-client 15.1.3 as the exporter; a histogram and a summary that count 3 for /a and 5 for /b.
#   With labels: one entry, buckets 5, no labels, sum or count; without: sum and count; a counter: two entries; without TYPE:
#   all lines. Needs: node 18 or later, npm.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in node npm; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || fail "needs node 18 or later"
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent \
	parse-prometheus-text-format@1.1.1 prom-client@15.1.3 >npm.log 2>&1 || fail "npm install failed: $(tail -n 3 npm.log)"
cat >see.cjs <<'END'
const loaded = require('parse-prometheus-text-format')
const { Registry, Counter, Histogram, Summary } = require('prom-client')
const parse = loaded.default ?? loaded
const main = async () => {
	const registry = new Registry(), registers = [registry], help = 'help'
	const labelled = { labelNames: ['route'], help, registers }
	const all = new Counter({ name: 'requests', ...labelled })
	const time = new Histogram({ name: 'seconds', buckets: [0.1], ...labelled })
	const size = new Summary({ name: 'bytes', percentiles: [0.5], ...labelled })
	const plain = new Histogram({ name: 'plain', buckets: [0.1], help, registers })
	for (const [route, times] of [['/a', 3], ['/b', 5]])
		for (let i = 0; i < times; i++) {
			all.inc({ route })
			time.observe({ route }, 0.05)
			size.observe({ route }, times)
			plain.observe(0.05)
		}
	const text = await registry.metrics()
	console.log(text)
	const seen = Object.fromEntries(parse(text).map(family => [family.name, family.metrics]))
	const wanted = {
		requests: [{ value: '3', labels: { route: '/a' } }, { value: '5', labels: { route: '/b' } }],
		seconds: [{ buckets: { '0.1': '5', '+Inf': '5' } }],
		bytes: [{ quantiles: { '0.5': '5' } }],
		plain: [{ buckets: { '0.1': '8', '+Inf': '8' }, count: '8', sum: seen.plain?.[0]?.sum }]
	}
	let stated = Number(seen.plain?.[0]?.sum) > 0.39
	const sorted = value => JSON.stringify(value, (key, part) => part && !Array.isArray(part) && typeof part == 'object' ? Object.fromEntries(Object.entries(part).sort()) : part)
	for (const name in wanted) {
		console.log(name.padEnd(10), sorted(seen[name]))
		stated &&= sorted(seen[name]) == sorted(wanted[name])
	}
	const untyped = parse(text.replace(/^# TYPE seconds .*\n/m, '').replace(/^# HELP seconds .*\n/m, '')).filter(family => /^seconds/.test(family.name))
	const values = untyped.flatMap(family => family.metrics.map(metric => `${family.name} ${metric.labels?.route} ${metric.value}`))
	console.log('without TYPE:', values.join(', '))
	stated &&= values.includes('seconds_count /a 3') && values.includes('seconds_count /b 5')
	console.log(stated ? 'as stated: one histogram is left, without labels' : 'not as stated')
	process.exit(stated ? 0 : 1)
}
main()
END
timeout 200 node see.cjs
