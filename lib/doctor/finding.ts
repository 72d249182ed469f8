/** What a check says about one thing. */

/** From harmless to harmful. */
export type Severity = "ok" | "note" | "warning" | "error";

/** One statement about the installation. */
export interface Finding {
  /** What was looked at, such as `bucket` or `clock`. */
  readonly check: string;
  readonly severity: Severity;
  /** One line: what is so. */
  readonly message: string;
  /** What to do about it; absent where nothing need be done. */
  readonly cure?: string;
}

/** Makers of findings of one check. */
export function findingsOf(check: string) {
  const make = (severity: Severity) => (message: string, cure?: string): Finding => ({
    check,
    severity,
    message,
    ...(cure === undefined ? {} : { cure }),
  });
  return { ok: make("ok"), note: make("note"), warning: make("warning"), error: make("error") };
}

const SIGNS: Readonly<Record<Severity, string>> = {
  ok: "ok      ",
  note: "note    ",
  warning: "WARNING ",
  error: "ERROR   ",
};

/** The findings as text for people, with a line that counts them. */
export function printFindings(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ check, severity, message, cure }) => [
    `${SIGNS[severity]}${check}: ${message}`,
    ...(cure === undefined ? [] : [`        -> ${cure}`]),
  ]);
  const count = (severity: Severity) => findings.filter((f) => f.severity === severity).length;
  const errors = count("error");
  const warnings = count("warning");
  lines.push(
    "",
    errors + warnings === 0
      ? `${findings.length} checks, nothing to mend`
      : `${findings.length} checks: ${errors} to mend, ${warnings} to look at`,
  );
  return lines.join("\n");
}
