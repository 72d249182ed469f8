/**
 * PromQL over a folder of blocks, without any server:
 *
 *   deno run -A examples/query_block.ts <folder> 'sum(up)' [<unix seconds>]
 */
import { formatLabels } from "../lib/model/mod.ts";
import { Engine } from "../lib/promql/mod.ts";
import { BlockStorage } from "../lib/query/mod.ts";

const [folder = ".", query = "count({__name__!=''})", time = String(Date.now() / 1000)] = Deno.args;
const storage = BlockStorage.open(folder);
const { value } = await new Engine().instantQuery({ query, time: Number(time) * 1000, storage });
if (value.type === "vector") {
  value.labels.forEach((labels, i) => console.log(formatLabels(labels), value.v[i]));
} else console.log(value);
storage.close();
