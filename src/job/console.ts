/** Where a use-case tells what it does. Implementations make every line inert: callers need not. */
export interface Console {
  info(line: string): void;
  /** A titled section: folds on Actions, is timed. */
  section<T>(title: string, work: () => Promise<T>): Promise<T>;
  /**
   * Live state of long work, whose first line is told at once; the others may be dropped or thinned out.
   *
   * @param share of the work that is done, from 0 to 1, where a bar is to show it
   */
  progress(what: string, line: string, share?: number): void;
}
