/**
 * The house rules inside `deno lint`, so that an editor shows them while one writes. The same
 * functions as in the tidy test, and one rule that needs syntax.
 */
import { checkSource, isTestFile } from "./rules.ts";

const root = new URL("../..", import.meta.url).pathname;

function pathOf(filename: string): string {
  const path = filename.startsWith("file:") ? new URL(filename).pathname : filename;
  return path.startsWith(root) ? path.slice(root.length) : path;
}

const plugin: Deno.lint.Plugin = {
  name: "mneme",
  rules: {
    /** Layers, packages, Deno's API, BigInt and patterns: see rules.ts. */
    "house-rules": {
      create: (context) => ({
        Program() {
          const { text } = context.sourceCode;
          for (const complaint of checkSource({ path: pathOf(context.filename), text })) {
            const [, line, message] = /^[^:]+:(\d+): (.*)$/s.exec(complaint)!;
            const lines = text.split("\n");
            const start = lines.slice(0, Number(line) - 1).join("\n").length +
              (line === "1" ? 0 : 1);
            const end = start + (lines[Number(line) - 1]?.length ?? 0);
            context.report({ range: [start, end], message: message! });
          }
        },
      }),
    },
    /** `{ t: t[i], v: v[i] }` loses staleness bits and costs an allocation a sample. */
    "no-object-sample": {
      create: (context) => {
        const path = pathOf(context.filename);
        if (!/^lib\/(?:chunks|dedup|model|promql|storeapi|tsdb)\//.test(path) || isTestFile(path)) {
          return {};
        }
        return {
          ObjectExpression(node) {
            const cells = node.properties.filter((property) =>
              property.type === "Property" &&
              property.key.type === "Identifier" &&
              /^(?:t|v)$/.test(property.key.name) &&
              property.value.type === "MemberExpression" && property.value.computed
            );
            if (cells.length < 2) return;
            context.report({
              node,
              message:
                "a sample in an object: staleness bits may be lost and each one is allocated",
              hint: "Copy between typed arrays, or pass the arrays and an index.",
            });
          },
        };
      },
    },
  },
};

export default plugin;
