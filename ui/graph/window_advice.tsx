/** Says when windows are too short for the resolution, and offers what to do. */
import { coverageOf, resolutionName, servedResolution } from "../model/fanout.ts";
import { formatDuration, parseDuration } from "../model/durations.ts";
import { enough, shortWindows, widened } from "../model/windows.ts";
import { Button } from "../parts/controls.tsx";
import { Message } from "../parts/messages.tsx";
import { analysisOf, type Panel, type Run } from "./state.ts";

/** Nothing while every window holds five samples of what answered and of what was asked for. */
export function WindowAdvice({ panel, run }: { panel: Panel; run: Run }) {
  const { answered } = run;
  if (answered === undefined) return null;
  const field = (wanted: string) => answered.form.find(([name]) => name === wanted)?.[1] ?? "";
  const expr = field("query");
  const asked = parseDuration(field("max_source_resolution")) ?? 0;
  const coverage = coverageOf(analysisOf(run));
  const served = servedResolution(coverage, answered.end - answered.start);
  const coarse = shortWindows(expr, served);
  const short = coarse.length > 0 ? coarse : shortWindows(expr, asked);
  const first = short[0];
  if (first === undefined) return null;
  const resolution = coarse.length > 0 ? served : asked;
  const what = `${first.func} over ${formatDuration(first.window)}`;
  const name = resolutionName(resolution);
  const wide = enough(resolution);
  return (
    <Message
      kind={coarse.length > 0 ? "warning" : "info"}
      title="The window is short for this resolution"
      actions={
        <>
          <Button
            small
            onClick={() => {
              panel.draft.value = widened(expr, short, resolution);
              panel.submit();
            }}
          >
            {`Use ${wide}`}
          </Button>
          {asked > 0 && (
            <Button small onClick={() => panel.set({ resolution: "0s" })}>Only raw data</Button>
          )}
        </>
      }
    >
      <span>
        {coarse.length > 0
          ? `${what} reads ${name} data, of which a window should hold five samples: what happens within ${name} is averaged away, and stretches may be empty. Use at least ${wide}.`
          : `${what} is too short for five samples of ${name} data, so finer data were read in their place. With at least ${wide} the coarser data answer, with less to read.`}
      </span>
    </Message>
  );
}
