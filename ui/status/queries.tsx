/** Queries that run now, and a way to stop one. */
import { useState } from "preact/hooks";
import { isAbsent, messageOf } from "../api/client.ts";
import type { RunningQuery } from "../api/types.ts";
import { useApp } from "../app/context.ts";
import { roughDuration } from "../model/durations.ts";
import { grouped } from "../model/numbers.ts";
import { Button } from "../parts/controls.tsx";
import { useFetched } from "../parts/fetched.tsx";
import { Empty, ErrorMessage, Loading } from "../parts/messages.tsx";
import { graphLink, PageLink } from "../parts/page_link.tsx";
import { Plain } from "../parts/plain.tsx";

const REFRESH = 2000;

export function QueriesPage() {
  const app = useApp();
  const { answer, error, reload } = useFetched<readonly RunningQuery[] | null>(
    "/queries",
    [],
    REFRESH,
  );
  const [ended, setEnded] = useState<ReadonlySet<string>>(new Set());
  const cancel = async (id: string) => {
    try {
      await app.api.delete(`/queries/${encodeURIComponent(id)}`);
      app.say("The query was cancelled");
    } catch (failure) {
      app.say(`Not cancelled: ${messageOf(failure)}`, true);
    }
    setEnded(new Set([...ended, id]));
    reload();
  };
  const queries = answer?.data ?? [];
  return (
    <div class="page">
      <div class="page-head">
        <h1>Running queries</h1>
        {answer !== undefined && <span class="dim">{queries.length}</span>}
      </div>
      {isAbsent(error)
        ? (
          <Empty title="Not part of this component">
            This server keeps no list of its running queries.
          </Empty>
        )
        : error !== undefined && <ErrorMessage error={error} retry={reload} />}
      {answer === undefined && error === undefined && <Loading />}
      {answer !== undefined && queries.length === 0 && (
        <Empty title="Nothing runs now">
          Queries appear here while they are worked on; the list follows by itself.
        </Empty>
      )}
      {queries.length > 0 && (
        <div class="card scroll">
          <table class="grid">
            <thead>
              <tr>
                <th>Query</th>
                <th>Range</th>
                <th>Tenant</th>
                <th class="number">Running for</th>
                <th class="number">Samples</th>
                <th>
                  <span class="unseen">Cancel</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {queries.map((query) => {
                const id = String(query.id);
                return (
                  <tr key={id}>
                    <td>
                      <PageLink to={graphLink(query.query)} class="mono">
                        <Plain text={query.query} />
                      </PageLink>
                    </td>
                    <td class="nowrap">{rangeText(query, app)}</td>
                    <td>
                      <Plain text={query.tenant ?? ""} />
                    </td>
                    <td class="number">
                      {query.elapsed === undefined ? "" : roughDuration(query.elapsed * 1000)}
                      {query.state === "queued" && <span class="dim">queued</span>}
                    </td>
                    <td class="number">
                      {query.samples === undefined ? "" : grouped(query.samples)}
                    </td>
                    <td>
                      <Button
                        kind="danger"
                        small
                        disabled={ended.has(id)}
                        onClick={() => cancel(id)}
                      >
                        Cancel
                      </Button>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function rangeText(
  { start, end, step }: RunningQuery,
  { clock }: ReturnType<typeof useApp>,
): string {
  if (start === undefined || end === undefined) return "";
  if (start === end || !step) return `at ${clock.value.format(end * 1000)}`;
  return `${clock.value.format(start * 1000)} to ${clock.value.format(end * 1000)}, step ${
    roughDuration(step * 1000)
  }`;
}
