export interface Program {
  readonly args: readonly string[];
  readonly status?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}
