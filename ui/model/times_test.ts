import assert from "node:assert/strict";
import { ago, isOpen, isUnlimited, isZone, tickSpacing, timeTicks, ZoneClock } from "./times.ts";

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

Deno.test("timeTicks() begins days and months where the zone does", () => {
  const berlin = new ZoneClock("Europe/Berlin");
  const year = timeTicks(Date.UTC(2025, 10, 20), Date.UTC(2026, 10, 20), 12, berlin);
  assert.deepEqual(
    year.times.map((t) => berlin.format(t)).slice(0, 5),
    ["2026-01-01", "2026-03-01", "2026-05-01", "2026-07-01", "2026-09-01"].map((d) =>
      `${d} 00:00:00`
    ),
  );
  const week = timeTicks(Date.UTC(2026, 5, 1, 5), Date.UTC(2026, 5, 8), 8, berlin);
  assert.ok(week.times.length >= 6);
  for (const time of week.times) assert.equal(berlin.clock(time), "00:00");
  const hour = timeTicks(0, 3_600_000, 7, new ZoneClock("utc"));
  assert.deepEqual(hour.times, [0, 600_000, 1_200_000, 1_800_000, 2_400_000, 3_000_000, 3_600_000]);
  assert.deepEqual(timeTicks(5, 5, 3, berlin).times, []);
  assert.ok(timeTicks(-8e15, 8e15, 3, berlin).times.length < 201);
});

Deno.test("isOpen() takes year 0 and year 9999 for what they mean", () => {
  for (const bound of [Date.parse("0000-01-01T00:00:00Z"), Date.UTC(9999, 11, 31), -(2 ** 63)]) {
    assert.ok(isOpen(bound));
  }
  assert.ok(!isOpen(Date.UTC(2026, 0, 1)));
});
