/** The explain tab: the plan with times where measured, and the expression as a tree. */
import { useEffect, useState } from "preact/hooks";
import type { AnalysisNode, QueryData } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { messageOf } from "../api/client.ts";
import { roughDuration } from "../model/durations.ts";
import { durationMs } from "../model/fanout.ts";
import { counted } from "../model/numbers.ts";
import { printNode, syntaxChildren, type SyntaxNode } from "../model/syntax.ts";
import { queryRequest } from "../model/query_form.ts";
import { Button } from "../parts/controls.tsx";
import { Empty, ErrorMessage, Loading } from "../parts/messages.tsx";
import { analysisOf, type Panel, queryDefaults } from "./state.ts";

interface PlanNode {
  readonly name: string;
  readonly children?: readonly PlanNode[] | null;
}

/** Asks for both trees when shown and when the query is run again. */
export function Explain({ panel }: { panel: Panel }) {
  const { api, flags } = useApp();
  const options = panel.options.value;
  const [plan, setPlan] = useState<PlanNode>();
  const [tree, setTree] = useState<SyntaxNode>();
  const [error, setError] = useState<unknown>();
  const measured = analysisOf(panel.runs.graph.value) ?? analysisOf(panel.runs.table.value);
  const round = panel.explained.value;
  useEffect(() => {
    const abort = new AbortController();
    const request = queryRequest(options, "graph", Date.now(), queryDefaults(flags.value));
    const form = request.form.filter(([name]) => name !== "engine" && name !== "analyze");
    const call = { signal: abort.signal, headers: request.headers };
    setError(undefined);
    api.post<SyntaxNode>("/parse_query", [["query", options.expr]], call)
      .then(({ data }) => setTree(data), (failure) => abort.signal.aborted || setError(failure));
    api.post<PlanNode>("/query_range_explain", [...form, ["engine", "thanos"]], call)
      .then(({ data }) => setPlan(data), () => setPlan(undefined));
    return () => abort.abort();
  }, [options.expr, round]);
  if (options.expr === "") {
    return <Empty title="Nothing to explain yet">Write an expression above.</Empty>;
  }
  if (error !== undefined) return <ErrorMessage error={error} />;
  if (tree === undefined) return <Loading />;
  return (
    <div class="explain">
      <section>
        <h3>Expression, part by part</h3>
        <p class="dim">
          Each part can be asked alone: how many series it gives, and how long it takes.
        </p>
        <ul class="tree">
          <SyntaxRow node={tree} panel={panel} />
        </ul>
      </section>
      {plan !== undefined && (
        <section>
          <h3>Plan</h3>
          <ul class="tree">
            <PlanRow node={plan} />
          </ul>
        </section>
      )}
      {measured?.name !== undefined && (
        <section>
          <h3>Measured in the last run</h3>
          <ul class="tree">
            <MeasuredRow node={measured} longest={durationMs(measured.executionTime) || 1} />
          </ul>
        </section>
      )}
    </div>
  );
}

interface Part {
  readonly text: string;
  readonly bad: boolean;
}

function SyntaxRow({ node, panel }: { node: SyntaxNode; panel: Panel }) {
  const { api, flags } = useApp();
  const [part, setPart] = useState<Part>();
  const text = printNode(node);
  const ask = async () => {
    setPart({ text: "asking", bad: false });
    const request = queryRequest(
      { ...panel.options.value, expr: text },
      "table",
      Date.now(),
      queryDefaults(flags.value),
    );
    try {
      const { data, elapsed } = await api.post<QueryData>("/query", request.form, {
        headers: request.headers,
      });
      const count = data.resultType === "vector" || data.resultType === "matrix"
        ? data.result.length
        : 1;
      const what = data.resultType === "scalar" || data.resultType === "string"
        ? `${data.resultType} ${data.result[1]}`
        : counted(count, "series", "series");
      setPart({ text: `${what} in ${roughDuration(elapsed)}`, bad: false });
    } catch (error) {
      setPart({ text: messageOf(error), bad: true });
    }
  };
  const children = syntaxChildren(node);
  return (
    <li>
      <div class="tree-row">
        <span class="tree-kind">{kindName(node.type)}</span>
        <code>{text}</code>
        {part === undefined
          ? <Button kind="quiet" small label={`Ask for ${text}`} onClick={ask}>Ask</Button>
          : <span class={part.bad ? "bad-text" : "dim"}>{part.text}</span>}
      </div>
      {children.length > 0 && (
        <ul>{children.map((child, i) => <SyntaxRow key={i} node={child} panel={panel} />)}</ul>
      )}
    </li>
  );
}

const KINDS: Readonly<Record<string, string>> = {
  aggregation: "aggregation",
  binaryExpr: "operation",
  call: "function",
  matrixSelector: "range",
  subquery: "subquery",
  numberLiteral: "number",
  parenExpr: "parentheses",
  stringLiteral: "text",
  unaryExpr: "sign",
  vectorSelector: "selector",
  placeholder: "missing",
};

function kindName(type: string): string {
  return Object.hasOwn(KINDS, type) ? KINDS[type]! : type;
}

function PlanRow({ node }: { node: PlanNode }) {
  return (
    <li>
      <div class="tree-row">
        <code>{node.name}</code>
      </div>
      {(node.children?.length ?? 0) > 0 && (
        <ul>{node.children!.map((child, i) => <PlanRow key={i} node={child} />)}</ul>
      )}
    </li>
  );
}

function MeasuredRow({ node, longest }: { node: AnalysisNode; longest: number }) {
  const time = durationMs(node.executionTime) ?? 0;
  return (
    <li>
      <div class="tree-row">
        <span class="share" aria-hidden="true">
          <i style={{ width: `${Math.min(100, time / longest * 100)}%` }} />
        </span>
        <code>{node.name}</code>
        <span class="dim">
          {`${roughDuration(time)}, ${counted(node.totalSamples ?? 0, "sample")}, at most ${
            node.peakSamples ?? 0
          } at once`}
        </span>
      </div>
      {(node.children?.length ?? 0) > 0 && (
        <ul>
          {node.children!.map((child, i) => <MeasuredRow key={i} node={child} longest={longest} />)}
        </ul>
      )}
    </li>
  );
}
