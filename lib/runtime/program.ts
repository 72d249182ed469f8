/**
 * What makes a program of a flag table and a run function: reads the command line, sets up logs,
 * metrics and signals, runs, and turns whatever goes wrong into one line and an exit code.
 */
import { type Clock, MnemeError, systemClock } from "../base/mod.ts";
import {
  CommandLineError,
  type CommandNode,
  type ConfigOf,
  flag,
  type FlagHost,
  type FlagTable,
  parseCommandLine,
  printArgs,
  printCompletion,
  printHelp,
  printMan,
} from "../config/mod.ts";
import {
  type BuildInfo,
  createLogger,
  LOG_LEVELS,
  type Logger,
  Metrics,
  noTracer,
  printVersion,
  type Tracer,
  VERSION,
} from "../telemetry/mod.ts";
import { registerProcessMetrics } from "./process_metrics.ts";
import { type Actor, runGroup, type RunGroupOptions } from "./run_group.ts";
import { listenSignals } from "./signals.ts";

/** What every command gets besides its own config. */
export interface CommandEnv {
  /** Name of the command, such as `store`. */
  readonly name: string;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
  readonly clock: Clock;
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal;
  /** Calls `listener` at each SIGHUP; returns what ends it. */
  readonly onReload: (listener: () => void) => () => void;
  readonly build: BuildInfo;
  /** Ms since the epoch. */
  readonly startTime: number;
  /** The command's flags as the flags API shows them. */
  readonly flags: Readonly<Record<string, string>>;
  /** Words after the flags. */
  readonly rest: readonly string[];
  /** Runs actors until one ends or the process is asked to stop. */
  readonly runGroup: (
    actors: readonly Actor[],
    options?: Omit<RunGroupOptions, "signal">,
  ) => Promise<void>;
}

/** A command that can be run. */
export interface Command extends CommandNode {
  readonly commands?: readonly Command[];
  readonly run?: (
    config: Readonly<Record<string, unknown>>,
    env: CommandEnv,
  ) => Promise<ExitCode>;
}

/** What a command that has done its work ends with; nothing is 0. */
export type ExitCode = void | 0 | 1;

/** Defines a command; `run` gets the config typed from `flags`. */
export function defineCommand<const F extends FlagTable>(spec: {
  readonly name: string;
  readonly help: string;
  readonly flags: F;
  readonly rest?: { readonly name: string; readonly help: string };
  readonly run: (config: ConfigOf<F>, env: CommandEnv) => Promise<ExitCode>;
}): Command {
  return { ...spec, run: (config, env) => spec.run(config as ConfigOf<F>, env) };
}

/** Defines a group of commands, such as `bench block`. */
export function defineGroup(spec: {
  readonly name: string;
  readonly help: string;
  readonly commands: readonly Command[];
}): Command {
  return { ...spec, flags: {} };
}

/** Flags of every command. */
export const globalFlags = {
  logLevel: flag.oneOf(LOG_LEVELS, "log.level", "info", "Log filtering level."),
  logFormat: flag.oneOf(
    ["logfmt", "json", "journald"],
    "log.format",
    "logfmt",
    "Log format to use. Possible options: logfmt, json or journald (logfmt with the priorities of systemd's journal, where that reads standard error).",
  ),
  debugName: flag.string(
    "debug.name",
    "",
    "Name to add as prefix to log lines.",
    { hidden: true },
  ),
  tracing: flag.pathOrContent(
    "tracing.config",
    "YAML file with tracing configuration.",
    { secret: true },
  ),
  autoMemoryLimit: flag.bool(
    "enable-auto-gomemlimit",
    false,
    "Enable automatic setting of the memory limit based on cgroups or system memory.",
    { noEffect: "memory is limited with --v8-flags=--max-old-space-size" },
  ),
  memoryLimitRatio: flag.float(
    "auto-gomemlimit.ratio",
    "0.9",
    "The ratio of reserved memory limit to the detected maximum container or system memory.",
  ),
} as const;

/** The program's name and description in help texts. */
export const PROGRAM = {
  name: "mneme",
  help: "A block storage based long-term storage for Prometheus.",
} as const;

/** Where a program writes and what it reads: the process, or a test. */
export interface ProgramHost extends FlagHost {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** Facts about this build. */
export function buildInfo(): BuildInfo {
  return {
    version: VERSION,
    revision: "unknown",
    branch: "unknown",
    buildUser: "",
    buildDate: "",
    runtime: `deno${Deno.version.deno}`,
    platform: `${Deno.build.os}/${Deno.build.arch}`,
  };
}

/** The root of the command line for some commands. */
export function programRoot(commands: readonly CommandNode[]): CommandNode {
  return { ...PROGRAM, flags: globalFlags, commands };
}

/**
 * Runs a program over these commands and resolves to its exit code: 0 done, 1 failed or not
 * understood, 2 wrong values.
 */
export async function runProgram(
  commands: readonly Command[],
  args: readonly string[],
  host: ProgramHost,
): Promise<number> {
  const root = programRoot(commands);
  try {
    const line = parseCommandLine(root, args, host);
    switch (line.kind) {
      case "version":
        host.stdout(printVersion(buildInfo()));
        return 0;
      case "help":
        host.stdout(printHelp(line.path, line.long).trimEnd());
        return 0;
      case "man":
        host.stdout(printMan(root, `${PROGRAM.name} ${VERSION}`).trimEnd());
        return 0;
      case "completion":
        host.stdout(printCompletion(root, line.shell).trimEnd());
        return 0;
      case "run":
        return await runParsed(line, host);
    }
  } catch (error) {
    if (error instanceof CommandLineError) {
      host.stderr(printCommandLineError(error, root, args));
      return error.exitCode;
    }
    throw error;
  }
}

/** One line for a command line that cannot be run. */
export function printCommandLineError(
  error: CommandLineError,
  root: CommandNode,
  args: readonly string[],
): string {
  return error.exitCode === 1
    ? `${PROGRAM.name}: error: ${error.message}`
    : `error parsing commandline arguments: ${printArgs(root, args)}: ${error.message}`;
}

type ParsedRun = Extract<ReturnType<typeof parseCommandLine>, { kind: "run" }>;

async function runParsed(line: ParsedRun, host: ProgramHost): Promise<number> {
  const globals = line.globals as ConfigOf<typeof globalFlags>;
  const command = line.path.at(-1) as Command;
  const name = line.path.slice(1).map((node) => node.name).join(" ");
  const logger = createLogger({
    level: globals.logLevel,
    format: globals.logFormat === "journald" && !hasJournal(host) ? "logfmt" : globals.logFormat,
    sink: host.stderr,
    fields: globals.debugName === "" ? {} : { name: globals.debugName },
  });
  const signals = listenSignals(logger);
  let phase = "preparing ";
  let tracer = noTracer;
  try {
    checkGlobals(globals, host);
    for (const warning of line.warnings) logger.warn(warning);
    const metrics = new Metrics();
    const build = buildInfo();
    const startTime = Date.now();
    registerProcessMetrics(metrics, build, startTime);
    const tracing = globals.tracing.load();
    if (tracing.trim() !== "") {
      // Few processes trace: the exporter is loaded when it is asked for.
      const { startTracing } = await import("./tracing.ts");
      const { source } = globals.tracing;
      const service = `thanos-${name.replaceAll(" ", "-")}`;
      tracer = startTracing(tracing, { ...host, source, service, clock: systemClock, logger });
    }
    const code = await command.run!(line.config, {
      name,
      logger,
      metrics,
      tracer,
      clock: systemClock,
      signal: signals.stop,
      onReload: signals.onReload,
      build,
      startTime,
      flags: line.shown,
      rest: line.rest,
      runGroup: (actors, options = {}) =>
        runGroup(actors, {
          ...options,
          signal: signals.stop,
          onStarted() {
            phase = "";
            options.onStarted?.();
          },
        }),
    });
    if (signals.stop.aborted) logger.info("exiting");
    return code ?? 0;
  } catch (error) {
    if (signals.stop.aborted && isAbort(error, signals.stop)) {
      logger.info("exiting");
      return 0;
    }
    logger.error(`${phase}${name} command failed`, {
      err: error,
      // A bug needs its place; what a user can mend does not.
      ...(error instanceof MnemeError ? {} : { stack: (error as Error)?.stack }),
    });
    return 1;
  } finally {
    await tracer.close();
    signals.dispose();
  }
}

/** An error that only says that the process was asked to stop. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason ||
    (error instanceof MnemeError && error.kind === "canceled") ||
    (error instanceof DOMException && error.name === "AbortError");
}

/** True when systemd has connected standard error to its journal. */
function hasJournal(host: ProgramHost): boolean {
  return (host.env("JOURNAL_STREAM") ?? "") !== "";
}

function checkGlobals(globals: ConfigOf<typeof globalFlags>, host: ProgramHost): void {
  const ratio = globals.memoryLimitRatio;
  if (!(ratio > 0 && ratio <= 1)) {
    throw new MnemeError(
      "bad_data",
      `--auto-gomemlimit.ratio: must be greater than 0 and at most 1, got ${ratio}`,
    );
  }
  if (globals.logFormat === "journald" && !hasJournal(host)) {
    throw new MnemeError(
      "bad_data",
      "--log.format: no journal is available (systemd sets JOURNAL_STREAM where it reads standard error); use logfmt or json",
    );
  }
}
