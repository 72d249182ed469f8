import assert from "node:assert/strict";
import { ago, isUnlimited, isZone, tickSpacing, ZoneClock } from "./times.ts";

Deno.test("isUnlimited() knows int64's ends though JSON numbers lose their last digits", () => {
  const { minTime, maxTime } = JSON.parse(
    '{"minTime":9223372036854775807,"maxTime":-9223372036854775808}',
  );
  assert.ok(isUnlimited(minTime));
  assert.ok(isUnlimited(maxTime));
  assert.ok(isUnlimited(NaN));
  assert.ok(!isUnlimited(Date.UTC(2026, 0, 1)));
  assert.ok(!isUnlimited(0));
  assert.ok(!isUnlimited(8.64e15));
  assert.equal(new ZoneClock("utc").format(minTime), "no date");
});

Deno.test("ZoneClock reads what it writes in every kind of zone, summer and winter", () => {
  const times = [
    Date.UTC(2026, 0, 15, 12),
    Date.UTC(2026, 6, 15, 12, 34, 56),
    Date.UTC(1999, 11, 31, 23, 59, 59),
    Date.UTC(2026, 2, 29, 4),
  ];
  for (
    const zone of [
      "utc",
      "local",
      "Europe/Berlin",
      "America/St_Johns",
      "Asia/Kathmandu",
      "Pacific/Apia",
    ]
  ) {
    const clock = new ZoneClock(zone);
    for (const time of times) {
      assert.equal(clock.parse(clock.format(time)), time, `${zone} ${time}`);
    }
  }
  assert.equal(new ZoneClock("Asia/Kathmandu").format(Date.UTC(2026, 0, 1)), "2026-01-01 05:45:00");
  assert.equal(new ZoneClock("utc").format(1234), "1970-01-01 00:00:01.234");
});

Deno.test("ZoneClock.parse() takes the ways people write times and refuses others", () => {
  const clock = new ZoneClock("Europe/Berlin");
  const time = Date.UTC(2026, 8, 12, 6, 30);
  for (
    const text of [
      "2026-09-12 08:30",
      "2026-09-12T08:30:00",
      " 2026-09-12 08:30:00.000 ",
      "2026-09-12T06:30:00Z",
      "2026-09-12T08:30:00+02:00",
      "2026-09-12T03:30:00-0300",
      String(time / 1000),
      String(time),
    ]
  ) assert.equal(clock.parse(text), time, text);
  assert.equal(clock.parse("2026-09-12"), Date.UTC(2026, 8, 11, 22));
  for (
    const bad of ["", "now", "2026-13-01", "2026-02-30 10:00", "2026-09-12 25:00", "12.9.2026", "1"]
  ) {
    assert.equal(clock.parse(bad), undefined, bad);
  }
});

Deno.test("isZone() knows names, and takes no rubbish", () => {
  for (const zone of ["utc", "local", "Europe/Berlin", "UTC"]) assert.ok(isZone(zone), zone);
  for (const zone of ["", "Mars/Olympus", "<script>"]) assert.ok(!isZone(zone), zone);
});

Deno.test("tickSpacing() keeps to at most the wanted number of ticks", () => {
  for (
    const span of [1000, 60_000, 3_600_000, 86_400_000, 365 * 86_400_000, 20 * 365 * 86_400_000]
  ) {
    for (const count of [2, 5, 12]) {
      assert.ok(
        span / tickSpacing(span, count) <= count,
        `${span} ${count}`,
      );
    }
  }
});

Deno.test("ago() speaks of the past and the future", () => {
  const now = 1_000_000_000;
  assert.equal(ago(now - 5000, now), "5 s ago");
  assert.equal(ago(now + 180_000, now), "in 3 min");
  assert.equal(ago(now - 20, now), "just now");
});
