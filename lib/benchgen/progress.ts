/** How far the generation is: a bar for terminals, fields for log lines. */
import type { Clock } from "../base/mod.ts";

const BAR_WIDTH = 24;

/** Counts blocks and samples against a plan. */
export class Progress {
  readonly #clock: Clock;
  readonly #started: number;
  readonly blocks: number;
  readonly samples: number;
  doneBlocks = 0;
  doneSamples = 0;

  /** `blocks` and `samples` are planned in all. */
  constructor(clock: Clock, blocks: number, samples: number) {
    this.#clock = clock;
    this.#started = clock.now();
    this.blocks = blocks;
    this.samples = samples;
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (this.#clock.now() - this.#started) / 1000;
  }
  /** Mean rate so far. */
  get samplesPerSecond(): number {
    return this.seconds > 0 ? this.doneSamples / this.seconds : 0;
  }
  /** Seconds left at the mean rate; undefined as long as there is none. */
  get secondsLeft(): number | undefined {
    const rate = this.samplesPerSecond;
    return rate > 0 ? Math.max(0, this.samples - this.doneSamples) / rate : undefined;
  }

  /** One line for a terminal, at most `width` characters. */
  bar(width = 80): string {
    const share = this.samples > 0 ? Math.min(1, this.doneSamples / this.samples) : 1;
    const full = Math.round(share * BAR_WIDTH);
    const left = this.secondsLeft;
    const text = `${"█".repeat(full)}${"░".repeat(BAR_WIDTH - full)} ` +
      `${this.doneBlocks}/${this.blocks} blocks  ${formatRate(this.samplesPerSecond)} samples/s  ` +
      (left === undefined ? "" : `${formatSeconds(left)} left`);
    return text.slice(0, width).trimEnd();
  }

  /** The same as fields of a log line. */
  fields(): Readonly<Record<string, string | number>> {
    const left = this.secondsLeft;
    return {
      blocks: `${this.doneBlocks}/${this.blocks}`,
      samples: this.doneSamples,
      samples_per_second: Math.round(this.samplesPerSecond),
      ...(left === undefined || left === 0 ? {} : { left: formatSeconds(left) }),
    };
  }
}

function formatRate(x: number): string {
  return x >= 1e6
    ? `${(x / 1e6).toFixed(1)} M`
    : x >= 1e3
    ? `${(x / 1e3).toFixed(0)} k`
    : `${x | 0}`;
}

function formatSeconds(x: number): string {
  const s = Math.ceil(x);
  if (s < 60) return `${s}s`;
  return s < 3600
    ? `${Math.floor(s / 60)}m${s % 60}s`
    : `${Math.floor(s / 3600)}h${Math.floor(s % 3600 / 60)}m`;
}
