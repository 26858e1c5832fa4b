import type { PassKind } from '../../record/schema.ts';
import type { Ability } from '../../suite/abilities.ts';
import type { Task } from '../../suite/task.ts';

type Arguments = Readonly<Record<string, string | number | boolean>>;
type Environment = Readonly<Record<string, string>>;

/**
 * All that the host knows about an engine: its names live here and in its own file, and nowhere else. Its other half is
 * a module of the same name in docker/harness.
 */
export interface EngineSpec {
  /** As a suite names it. */
  readonly name: string;
  /** What it is, for the docs. */
  readonly what: string;
  /** Only of one that runs elsewhere and is asked over the network: nothing is started, and it has no half in the harness. */
  readonly remote?: {
    /** What is wrong with the suite's arguments, by their names. */
    problems(args: Readonly<Record<string, unknown>>): Iterable<readonly [name: string, message: string]>;
  };
  /** It runs a program of the user's, which its arguments name: a suite needs no model for it. */
  readonly program?: true;
  /** An image that has it, for whoever has none; undefined where there is none. */
  readonly image: string | undefined;
  /** Arguments that make sampling repeatable. The suite's own win, and the record keeps both. */
  readonly args: Arguments;
  /**
   * All that is set where it is measured as it is served, by its own arguments and variables, each with its reason; what
   * is not there is its own. Undefined where it is no server.
   */
  readonly served:
    | {
        /** How a deployment's command line begins: `NAME serve`, or the module that Python runs. */
        readonly programs: readonly string[];
        readonly args: Arguments;
        readonly environment: Environment;
        readonly reasons: Readonly<Record<string, string>>;
      }
    | undefined;
  /** Files of the model that serving reads, and an engine with these settings does not; and what keeps it from them. */
  unread(effective: Readonly<Record<string, unknown>>): readonly Unread[];
  /**
   * Arguments that keep its memory on a GPU the same from run to run, and the suite's own arguments that speak of the
   * same: where the suite has one of these, those of ours beside it are not given.
   */
  readonly gpuMemory: readonly { readonly args: Arguments; readonly unless: readonly string[] }[];
  /** Arguments without which its modules cannot be traced; empty where they always can. */
  readonly tracing: Arguments;
  /** Arguments that turn its prefix cache on; empty where it has none. */
  readonly prefixCaching: Arguments;
  /** Arguments of one whose model gives vectors; what is left out it cannot ask. */
  readonly tasks?: Partial<Readonly<Record<Task, Arguments>>>;
  /** Arguments of one that is to ask so many adapters; undefined where it takes none. */
  adapters?(count: number): Arguments;
  /** Environment set before the engine's interpreter starts. The suite's own wins. */
  readonly environment: Environment;
  /** Beginnings of the names of its own variables: a Python of this machine may inherit them. */
  readonly variables: readonly string[];
  /** Those of them that a suite may set: they tune its numbers, and name no file, no plugin and no cache. */
  readonly tuning: readonly string[];
  /** Variables of its own that keep it from the network. */
  readonly offline: Environment;
  /** Its own caches, by variable: folders below one that lives as long as its process, or that a suite has kept. */
  readonly caches: Readonly<Record<string, string>>;
  /** Variables of its own that name a folder for UNIX sockets. */
  readonly sockets?: readonly string[];
  /** Does this environment promise that a batch changes no bits? */
  batchInvariant(environment: Environment): boolean;
  /** What verdicts stand on: where one is asked for and the running engine says that it is not in force, a run ends. */
  readonly foundations: readonly Foundation[];
  /** Whether its lifetimes may be forks of a process that has imported it: shown to give the same bits. */
  readonly warm?: true;
  /**
   * It computes without a model, and these are what it is asked: a suite of it needs neither model nor sampling, and
   * without prompts it asks them all. Passes of other kinds than its own are not asked of it.
   */
  readonly probes?: readonly string[];
  /** What it can be asked beside texts: what else a suite asks is refused as the suite is read. */
  readonly takes: readonly Ability[];
  /** Kinds of pass that it can do; of another kind it says why not. */
  readonly kinds: readonly PassKind[];
  /** What a report tells of a running one, by the settings that it is in force with. */
  readonly facts: {
    /** How it is known whether the model is compiled; undefined where the engine does not tell. */
    compiled(
      effective: Readonly<Record<string, unknown>>,
    ): { readonly is: boolean; readonly by: string } | undefined;
    /** How it speculates; undefined where it does not. */
    speculation(effective: Readonly<Record<string, unknown>>): string | undefined;
  };
  /** What to lower where it runs out of memory: names of its own arguments. */
  readonly memory: readonly string[];
  /** Arguments and variables that make known changes of it; what is left out it cannot do. */
  readonly changes: EngineChanges;
}

/** Files that a server would read; `by`: what of this run it is that does not. */
export interface Unread {
  readonly files: readonly string[];
  readonly by: string;
  /** What would measure it. */
  readonly remedy: string;
}

/** Something that makes an engine repeat itself, as it is asked for and as the running engine tells it. */
export interface Foundation {
  /** As a suite would write it. */
  readonly name: string;
  isAsked(args: Readonly<Record<string, unknown>>, environment: Environment): boolean;
  /** Undefined where the engine does not tell. */
  isInForce(effective: Readonly<Record<string, unknown>>): boolean | undefined;
}

/** An argument to change, or why that is impossible here. */
type Change = Arguments | Readonly<Record<string, unknown>> | string;

/** How the changes that every engine knows are made with this one. `cpu`: it computes on one. */
export interface EngineChanges {
  /** Keys and values kept in fp8. */
  fp8KvCache(cpu: boolean): Change;
  /** Long prompts cut into pieces of 64 tokens. */
  readonly chunkedPrefill: Change;
  /** Another attention implementation than the one that is in force. */
  attention(cpu: boolean, effective: Readonly<Record<string, unknown>>): Change;
  /** Beside the number of threads itself, variables that keep it from choosing another. */
  readonly threads: Environment;
  /** Variables that make it log everything. */
  readonly logging: Environment;
}

/** A setting that is on or off; undefined where the engine does not tell. */
export const flag = (told: unknown): boolean | undefined => (typeof told === 'boolean' ? told : undefined);
