/**
 * Random PromQL over the series of promql_data.ts, in the language that old and new engines share.
 *
 * An expression knows whether its values are exact: the same in every engine to the last bit. Only
 * exact values reach operators that turn a last-bit difference into another answer (comparisons,
 * rounding, ranking, division).
 */
import type { Random } from "../../lib/base/testing/random.ts";
import { DATA_END, DATA_START } from "./promql_data.ts";

/** A generated expression with the expressions it is made of. */
export interface Generated {
  readonly text: string;
  readonly type: "vector" | "scalar";
  readonly exact: boolean;
  /** Values are told apart surely; only then may they be ranked. */
  readonly distinct: boolean;
  /** No NaN and no infinity among the values. */
  readonly finite: boolean;
  /** Expressions it is made of that may stand alone. */
  readonly parts: readonly Generated[];
}

/** Newer name of holt_winters. */
export const SMOOTHING = "double_exponential_smoothing";

const METRICS = ["requests_total", "load", "odd", "up", "latency_bucket", "limit", "rare"] as const;
const MATCHERS = [
  'job="api"',
  'job!="api"',
  'job=~"a.*|db"',
  'job!~"w.b"',
  'instance="a:1"',
  'instance=~".:1"',
  'instance!~"a.+"',
  'nothing=""',
  'nothing!="x"',
];

/** Makes one random query after the other. */
export class QueryGenerator {
  readonly #random: Random;
  /** How many subqueries stand around what is being made. */
  #nested = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A query for instant or range evaluation. */
  query(): Generated {
    const depth = 1 + this.#random.below(4);
    return this.#random.chance(0.06) ? this.#scalar(depth) : this.#vector(depth);
  }

  #pick<T>(items: readonly T[]): T {
    return this.#random.pick(items);
  }

  /** A whole multiple of the scrape interval. */
  #duration(atLeast: number, atMost: number): string {
    const seconds = 15 * this.#random.between(Math.ceil(atLeast / 15), Math.floor(atMost / 15));
    if (seconds % 3600 === 0) return `${seconds / 3600}h`;
    if (seconds % 60 === 0) return `${seconds / 60}m`;
    return this.#random.chance(0.3) && seconds > 60
      ? `${Math.floor(seconds / 60)}m${seconds % 60}s`
      : `${seconds}s`;
  }

  #modifiers(fixed = true): string {
    let text = "";
    if (this.#random.chance(0.15)) {
      text += ` offset ${this.#random.chance(0.3) ? "-" : ""}${this.#duration(15, 900)}`;
    }
    if (fixed && this.#random.chance(0.06)) {
      const steps = Math.floor((DATA_END - DATA_START) / 15_000);
      const seconds = DATA_START / 1000 + 15 * this.#random.below(steps) + 7;
      text += ` @ ${this.#pick([String(seconds), "start()", "end()"])}`;
    }
    return text;
  }

  #selector(metric: string): string {
    const random = this.#random;
    const matchers: string[] = [];
    while (random.chance(0.25)) matchers.push(this.#pick(MATCHERS));
    if (metric === "requests_total" && random.chance(0.3)) {
      matchers.push(this.#pick(['code="200"', 'code=~"4..|5.."', 'code!="404"']));
    }
    return metric + (matchers.length > 0 ? `{${matchers.join(",")}}` : "");
  }

  #leaf(named?: string): Generated {
    if (named === undefined && this.#nested === 0 && this.#random.chance(0.03)) {
      // Several metrics at once: functions that drop the name may make their series equal.
      const name = this.#pick(['"load|odd"', '"(up|load)"', '".+_total|limit"', '"l.*"']);
      return {
        text: `{__name__=~${name}}${this.#modifiers()}`,
        type: "vector",
        exact: true,
        distinct: false,
        finite: false,
        parts: [],
      };
    }
    const metric = named ?? this.#pick(METRICS);
    return {
      text: this.#selector(metric) + this.#modifiers(),
      type: "vector",
      exact: true,
      distinct: metric === "load",
      finite: metric !== "odd",
      parts: [],
    };
  }

  #vector(depth: number): Generated {
    if (depth <= 0) return this.#leaf();
    const roll = this.#random.below(100);
    if (roll < 8) return this.#leaf();
    if (roll < 34) return this.#range(depth);
    if (roll < 52) return this.#aggregation(depth);
    if (roll < 64) return this.#withScalar(depth);
    if (roll < 78) return this.#withVector(depth);
    if (roll < 88) return this.#function(depth);
    if (roll < 93) return this.#quantileOfBuckets(depth);
    if (roll < 97) return this.#labels(depth);
    return this.#absent(depth);
  }

  /** Functions over ranges and subqueries. */
  #range(depth: number): Generated {
    const random = this.#random;
    const counter = random.chance(0.4);
    const exact = ["min", "max", "count", "last", "present"].map((f) => `${f}_over_time`);
    const all = counter
      ? ["rate", "increase", "irate", "resets", "changes"]
      : [...exact, "sum_over_time", "avg_over_time", "stddev_over_time", "stdvar_over_time"]
        .concat("quantile_over_time", "delta", "idelta", "deriv", "predict_linear", "changes")
        .concat(SMOOTHING);
    const subquery = depth > 1 && random.chance(0.3);
    // Behind a reset, Prometheus 2.42 extrapolates farther towards zero than 3 does (2026-11-24);
    // that shows when points are far apart.
    const func = this.#pick(
      subquery && counter ? all.filter((f) => f !== "rate" && f !== "increase") : all,
    );
    const parts: Generated[] = [];
    let range: string;
    // Over ranges fixed by `@`, Prometheus 2.42 lets the range of predict_linear slide (2026-11-24).
    const fixed = func !== "predict_linear";
    let exactInput = true;
    let finite = true;
    if (subquery) {
      // Points of a subquery fall on multiples of its step. The edges of its windows must not: they
      // lie 7 s behind such multiples outside of subqueries, and are moved by 7 s inside.
      this.#nested++;
      const inner = counter
        ? this.#leaf(this.#pick(["requests_total", "latency_bucket"]))
        : this.#vector(depth - 2);
      this.#nested--;
      exactInput = inner.exact;
      finite = inner.finite;
      const step = random.chance(0.8) ? this.#pick(["15s", "30s", "1m", "2m"]) : "";
      const modifiers = this.#nested > 0 ? " offset 7s" : this.#modifiers(fixed);
      range = `(${inner.text})[${this.#duration(120, 1800)}:${step}]${modifiers}`;
    } else {
      const metric = counter
        ? this.#pick(["requests_total", "latency_bucket"] as const)
        : undefined;
      const name = metric ?? this.#pick(METRICS);
      finite = name !== "odd";
      range = `${this.#selector(name)}[${this.#duration(15, 1800)}]${this.#modifiers(fixed)}`;
    }
    // Sums that overflow are NaN in Prometheus 2.42 where later ones say infinite (2026-11-24).
    if (!finite && /^std|deriv|predict/.test(func)) {
      return this.#call("max_over_time", range, parts, false);
    }
    if (!exactInput && (func === "changes" || func === "resets")) {
      return this.#call("last_over_time", range, parts, false);
    }
    switch (func) {
      case "quantile_over_time":
        return this.#call(func, `${this.#phi()}, ${range}`, parts, false);
      case "predict_linear":
        return this.#call(func, `${range}, ${this.#pick(["60", "3600", "-600"])}`, parts, false);
      case SMOOTHING:
        return this.#call(func, `${range}, ${this.#pick(["0.1, 0.5", "0.9, 0.3"])}`, parts, false);
      default: {
        const stays = exact.includes(func) || func === "changes" || func === "resets" ||
          func === "idelta";
        return this.#call(func, range, parts, exactInput && stays, finite);
      }
    }
  }

  #call(
    func: string,
    args: string,
    parts: readonly Generated[],
    exact: boolean,
    finite = false,
  ): Generated {
    return { text: `${func}(${args})`, type: "vector", exact, distinct: false, finite, parts };
  }

  #phi(): string {
    return this.#pick(["0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2", "NaN"]);
  }

  #grouping(): string {
    const roll = this.#random.below(4);
    if (roll === 0) return "";
    const names = this.#random.shuffled(["job", "instance", "code", "zone", "le", "none"])
      .slice(0, this.#random.between(0, 3));
    return ` ${roll === 1 ? "without" : "by"} (${names.join(", ")})`;
  }

  #aggregation(depth: number): Generated {
    const random = this.#random;
    const inner = this.#vector(depth - 1);
    const parts = [inner];
    const grouping = this.#grouping();
    const op = this.#pick(
      inner.exact
        ? [
          "sum",
          "avg",
          "min",
          "max",
          "count",
          "group",
          // Of infinite values they are NaN since Prometheus 3.
          ...(inner.finite ? ["stddev", "stdvar"] : []),
          "quantile",
          "count_values",
          "topk",
          "bottomk",
        ]
        : ["sum", "avg", "min", "max", "count", "group", "quantile"],
    );
    const written = (op: string, args: string, exact: boolean): Generated => {
      const text = random.chance(0.8) || grouping === ""
        ? `${op}${grouping} (${args})`
        : `${op}(${args})${grouping}`;
      return { text, type: "vector", exact, distinct: false, finite: false, parts };
    };
    switch (op) {
      case "topk":
      case "bottomk": {
        const ranked = inner.distinct ? inner : this.#leaf("load");
        parts[0] = ranked;
        return written(op, `${this.#pick(["1", "2", "3", "0", "-1"])}, ${ranked.text}`, true);
      }
      case "quantile":
        return written(op, `${this.#phi()}, ${inner.text}`, false);
      case "count_values":
        // The label stands behind all others: Prometheus 2.42 loses grouping labels behind it.
        // Of 0 and -0, which are equal, max() may keep either: the order of inner results is not fixed.
        parts[0] = inner.parts.length === 0 ? inner : this.#leaf();
        return written(op, `"zz", ${parts[0].text}`, true);
      default: {
        const exact = inner.exact && ["min", "max", "count", "group"].includes(op);
        return written(op, inner.text, exact || op === "count" || op === "group");
      }
    }
  }

  #number(texts: readonly string[]): Generated {
    const text = this.#pick(texts);
    return { text, type: "scalar", exact: true, distinct: false, finite: true, parts: [] };
  }

  #scalar(depth: number): Generated {
    if (depth <= 0 || this.#random.chance(0.6)) {
      return this.#number(["1", "2", "0.5", "-3", "10", "1e3", "time()", "pi()", "0", "100"]);
    }
    if (this.#random.chance(0.5)) {
      const inner = this.#vector(depth - 1);
      const single = `scalar(sum(${inner.text}))`;
      const parts = [inner];
      return { text: single, type: "scalar", exact: false, distinct: false, finite: false, parts };
    }
    const a = this.#scalar(depth - 1);
    const b = this.#scalar(0);
    const op = this.#pick(["+", "-", "*"]);
    return {
      text: `(${a.text} ${op} ${b.text})`,
      type: "scalar",
      exact: a.exact && b.exact,
      distinct: false,
      finite: false,
      parts: [a, b],
    };
  }

  /** Operators that are safe for these operands. */
  #operator(exact: boolean, exactRight: boolean): string {
    const list = ["+", "-", "*"];
    if (exactRight) list.push("/", "/");
    if (exact) list.push("%", "^", "==", "!=", "<", "<=", ">", ">=");
    return this.#pick(list);
  }

  #withScalar(depth: number): Generated {
    const vector = this.#vector(depth - 1);
    // Large factors would blow up differences in the last bits of sums that cancel.
    const scalar = vector.exact ? this.#scalar(depth - 1) : this.#number(["2", "0.5", "-3", "10"]);
    const exact = vector.exact && scalar.exact;
    const swapped = this.#random.chance(0.3);
    const [left, right] = swapped ? [scalar, vector] : [vector, scalar];
    const op = this.#operator(exact, right.exact);
    const bool = isComparison(op) && this.#random.chance(0.5) ? " bool" : "";
    return {
      text: `(${left.text} ${op}${bool} ${right.text})`,
      type: "vector",
      exact: exact && op !== "^",
      distinct: false,
      finite: false,
      parts: [left, right],
    };
  }

  #withVector(depth: number): Generated {
    const random = this.#random;
    if (random.chance(0.3)) {
      const left = this.#vector(depth - 1);
      const right = this.#vector(depth - 1);
      const on = this.#pick(["", "", " on (job)", " on (job, instance)", " ignoring (code, le)"]);
      return {
        text: `(${left.text} ${this.#pick(["and", "or", "unless"])}${on} ${right.text})`,
        type: "vector",
        exact: left.exact && right.exact,
        distinct: false,
        finite: false,
        parts: [left, right],
      };
    }
    // Sides that match: the same metric twice, one series a target, or an explicit join.
    const roll = random.below(4);
    if (roll === 0) {
      const left = this.#vector(depth - 1);
      return this.#binary(left, this.#pick([left, this.#vector(depth - 1)]), "");
    }
    if (roll === 1 && random.chance(0.2)) {
      const lonely = this.#pick(["sum(load)", "count(up)", 'limit{job="api"}', "vector(2)"]);
      const one = this.#call("max", lonely, [], !lonely.startsWith("sum"));
      return this.#binary(this.#vector(depth - 1), one, " on () group_left ()");
    }
    if (roll === 1) {
      const many = this.#pick([this.#leaf("requests_total"), this.#vector(depth - 1)]);
      const one = this.#leaf(this.#pick(["load", "odd", "up"]));
      return random.chance(0.5)
        ? this.#binary(many, one, " on (job, instance) group_left ()")
        : this.#binary(one, many, " on (job, instance) group_right (zone)");
    }
    if (roll === 2) {
      const right = this.#leaf("build_info");
      const left = this.#leaf(this.#pick(["requests_total", "load", "latency_bucket"]));
      return this.#binary(left, right, " on (instance, job) group_left (version)", "*");
    }
    return this.#binary(
      this.#leaf(this.#pick(["load", "odd", "up"])),
      this.#leaf(this.#pick(["load", "odd", "up"])),
      this.#pick([" on (job, instance)", " ignoring (zone)", " on (instance)", ""]),
    );
  }

  #binary(left: Generated, right: Generated, matching: string, fixed?: string): Generated {
    const exact = left.exact && right.exact;
    const op = fixed ?? this.#operator(exact, right.exact);
    const bool = isComparison(op) && this.#random.chance(0.4) ? " bool" : "";
    return {
      text: `(${left.text} ${op}${bool}${matching} ${right.text})`,
      type: "vector",
      exact: exact && op !== "^",
      distinct: false,
      finite: false,
      parts: left === right ? [left] : [left, right],
    };
  }

  #function(depth: number): Generated {
    const random = this.#random;
    const inner = this.#vector(depth - 1);
    const parts = [inner];
    const smooth = ["abs", "sgn", "timestamp", "sort", "sort_desc", "-", "clamp", "clamp_min"];
    const rough = ["ceil", "floor", "round", "sqrt", "exp", "ln", "log2", "log10"];
    const trig = ["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh"];
    const rest = ["acosh", "atanh", "deg", "rad", "clamp_max", "minute", "hour", "day_of_week"];
    const calendar = ["day_of_month", "day_of_year", "days_in_month", "month", "year"];
    const func = this.#pick(
      inner.exact
        ? [...smooth, ...rough, ...trig, ...rest, ...calendar]
        : smooth.filter((f) => f !== "sgn"),
    );
    switch (func) {
      case "-":
        return {
          text: `-${inner.text}`,
          type: "vector",
          exact: inner.exact,
          distinct: false,
          finite: inner.finite,
          parts,
        };
      case "clamp":
        return this.#call(
          func,
          `${inner.text}, ${this.#pick(["-1", "0", "5"])}, ${this.#pick(["1", "10", "-5"])}`,
          parts,
          inner.exact,
        );
      case "clamp_min":
      case "clamp_max":
        return this.#call(
          func,
          `${inner.text}, ${this.#pick(["0", "3.5", "NaN"])}`,
          parts,
          inner.exact,
        );
      case "round":
        return this.#call(
          func,
          inner.text + (random.chance(0.5) ? `, ${this.#pick(["5", "0.25", "-2", "0"])}` : ""),
          parts,
          inner.exact,
        );
      case "timestamp":
        // Prometheus 2.42 fetches the wrong time range for an offset beside `@` (2026-11-24).
        if (/ offset .* @ /.test(inner.text)) return inner;
        return this.#call(func, inner.text, parts, inner.exact);
      case "abs":
      case "sgn":
      case "ceil":
      case "floor":
      case "sort":
      case "sort_desc":
        return this.#call(func, inner.text, parts, inner.exact);
      default:
        return this.#call(func, inner.text, parts, rest.slice(5).concat(calendar).includes(func));
    }
  }

  #quantileOfBuckets(depth: number): Generated {
    const buckets = this.#pick([
      () => this.#leaf("latency_bucket").text,
      () => `rate(${this.#selector("latency_bucket")}[${this.#duration(60, 900)}])`,
      () => `sum by (le) (${this.#selector("latency_bucket")})`,
      () => `sum by (job, le) (increase(latency_bucket[${this.#duration(60, 900)}]))`,
      () => this.#vector(depth - 1).text,
    ])();
    return this.#call("histogram_quantile", `${this.#phi()}, ${buckets}`, [], false);
  }

  #labels(depth: number): Generated {
    const inner = this.#vector(depth - 1);
    if (this.#random.chance(0.4)) {
      const args = `"joined", "-", "job", "instance"`;
      return this.#call("label_join", `${inner.text}, ${args}`, [inner], inner.exact);
    }
    const args = this.#pick([
      '"zone", "$1-$2", "instance", "(.):(.)"',
      '"job", "", "code", "200"',
      '"new", "x${1}y", "job", "(a|w).*"',
      '"instance", "same", "instance", ".*"',
      '"__name__", "renamed_$1", "__name__", "(.*)"',
      '"copy", "$0", "instance", ".+"',
      '"le", "0.7", "le", "0.5"',
    ]);
    return this.#call("label_replace", `${inner.text}, ${args}`, [inner], inner.exact);
  }

  #comparison(): string {
    return this.#pick(["==", "!=", "<", "<=", ">", ">="]);
  }

  #absent(depth: number): Generated {
    const inner = this.#vector(depth - 1);
    return this.#pick([
      this.#call("absent", inner.text, [inner], true),
      this.#call("absent", 'missing{job="x",a=~"b",c="d"}', [], true),
      this.#call("absent_over_time", `${this.#selector("rare")}[5m]`, [], true),
      this.#call("vector", this.#scalar(depth - 1).text, [], false),
      this.#call(this.#pick(["hour", "day_of_week", "month", "year", "minute"]), "", [], true),
      this.#call("vector", `${this.#scalar(0).text} ${this.#comparison()} bool 2`, [], true),
    ]);
  }
}

function isComparison(op: string): boolean {
  return /^(==|!=|[<>]=?)$/.test(op);
}
