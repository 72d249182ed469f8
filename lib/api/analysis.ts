/** What `analyze=true` adds to an answer, and what every answer tells in its headers. */
import { formatGoDuration } from "../base/mod.ts";
import type { AnalysisNode } from "../promql/mod.ts";
import type { QueryAnswer, QueryRecorder } from "../query/mod.ts";

/**
 * JSON of `data.analysis`: the operators as Thanos tells them (when they were measured), what each
 * store did (`fanout`), and which resolution served which stretch of time (`coverage`).
 *
 * Durations are Go's texts, as Thanos prints them.
 */
export function analysisJson(nodes: AnalysisNode | undefined, recorder: QueryRecorder): string {
  const fanout = recorder.stores().map((store) => ({
    endpointAddr: store.address,
    duration: duration(store.duration),
    ...(store.firstByte === undefined ? {} : { firstByte: duration(store.firstByte) }),
    bytesProcessed: store.bytes,
    numResponses: store.frames,
    series: store.series,
    chunks: store.chunks,
    samples: store.samples,
    ...(store.error === undefined ? {} : { error: store.error }),
  }));
  const coverage = recorder.coverage().map(({ resolution, minTime, maxTime }) => ({
    resolution,
    minTime,
    maxTime,
  }));
  return JSON.stringify({ ...nodes, fanout, coverage });
}

function duration(ms: number): string {
  return formatGoDuration(Math.round(ms * 1000) / 1000);
}

/** Headers with the figures of a query: for logs and proxies, without reading the body. */
export function statisticsHeaders(answer: QueryAnswer): Record<string, string> {
  const { result: { stats }, recorder, queueTime } = answer;
  const ms = (seconds: number) => (seconds * 1000).toFixed(3);
  return {
    "server-timing": `queue;dur=${ms(queueTime)}, prepare;dur=${ms(stats.preparationTime)}, ` +
      `eval;dur=${ms(stats.evaluationTime)}`,
    "x-mneme-query-id": answer.id,
    "x-mneme-query-stats": `series=${recorder.series}, chunks=${recorder.chunks}, ` +
      `samples=${recorder.samples}, bytes=${recorder.bytes}, ` +
      `queryable-samples=${stats.totalSamples}, peak-samples=${stats.peakSamples}`,
  };
}
