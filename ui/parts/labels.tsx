/** Label sets on the page. Values are text, whatever they hold. */
import type { LabelRecord } from "../model/labels.ts";
import { formatName, quote, visible } from "../model/labels.ts";
import { Plain } from "./plain.tsx";

/** A label set as in a selector: the metric's name stands out. */
export function SeriesName({ labels }: { labels: LabelRecord }) {
  const { __name__: name, ...rest } = labels;
  const pairs = Object.entries(rest);
  return (
    <bdi class="series-name">
      {name !== undefined && <span class="metric">{visible(name)}</span>}
      {(pairs.length > 0 || name === undefined) && "{"}
      {pairs.map(([key, value], i) => (
        <span key={key} class="pair">
          {i > 0 && ", "}
          <span class="label-name">{visible(formatName(key))}</span>=
          <Plain class="label-value" text={quote(value)} />
        </span>
      ))}
      {(pairs.length > 0 || name === undefined) && "}"}
    </bdi>
  );
}

/** Labels as badges. */
export function Badges(
  props: { readonly labels: LabelRecord; readonly onPick?: (name: string, value: string) => void },
) {
  const { onPick } = props;
  return (
    <span class="badges">
      {Object.entries(props.labels).map(([name, value]) => {
        const content = (
          <>
            <span class="badge-name">{visible(name)}</span>
            <Plain text={value} />
          </>
        );
        return onPick === undefined ? <span key={name} class="badge">{content}</span> : (
          <button
            key={name}
            type="button"
            class="badge"
            title={`Search for ${name}=${value}`}
            onClick={() => onPick(name, value)}
          >
            {content}
          </button>
        );
      })}
    </span>
  );
}
