export interface Equivalent {
  readonly file: string;
  readonly line: string;
  readonly to: string;
  readonly why: string;
}
export const EQUIVALENT: readonly Equivalent[] = [];
